// A textarea with line numbers: nothing more, so every key, screen reader and spelling checker works as everywhere.
const LINE_PX = 20;
const MOST_LINES = 22;
let count = 0;

/** A labelled textarea. `single`: it usually holds one line. `prose`: long lines wrap, and keep their numbers. */
export function lined({ label, hint = "", single = false, prose = false, value = "", spelling = true }) {
  const field = document.getElementById("lined").content.firstElementChild.cloneNode(true);
  const [name, note] = field.querySelector("label").children;
  const area = field.querySelector("textarea");
  const id = `lined-${++count}`;
  area.id = id;
  field.querySelector("label").htmlFor = id;
  name.textContent = label;
  note.textContent = hint;
  area.value = value;
  area.spellcheck = spelling;
  field.querySelector(".lined").classList.toggle("prose", prose);
  return numbered(field, { single, prose });
}

/** Numbers the lines of a labelled textarea that is in the page already. */
export function numbered(field, { single = false, prose = false } = {}) {
  const box = field.querySelector(".lined");
  const area = field.querySelector("textarea");
  const gutter = field.querySelector(".gutter");
  let marks = new Map();

  function number() {
    const lines = area.value.split("\n");
    const narrow = single && lines.length === 1;
    box.classList.toggle("single", narrow);
    area.rows = narrow ? 1 : Math.min(Math.max(lines.length, single ? 1 : 3), MOST_LINES);
    const heights = prose && area.isConnected ? wrapped(lines) : [];
    gutter.replaceChildren(
      ...lines.map((_, at) => {
        const line = document.createElement("span");
        line.textContent = at + 1;
        line.className = marks.get(at + 1) ?? "";
        if (heights[at] > LINE_PX) line.style.height = `${heights[at]}px`;
        return line;
      }),
    );
    grow();
    follow();
  }

  /** How high each line is once it wraps: measured on a copy that has the same width. */
  function wrapped(lines) {
    const copy = document.createElement("div");
    copy.className = "wrapping";
    copy.style.width = `${area.clientWidth}px`;
    copy.append(...lines.map((text) => Object.assign(document.createElement("p"), { textContent: text || " " })));
    box.append(copy);
    const heights = [...copy.children].map((line) => line.offsetHeight);
    copy.remove();
    return heights;
  }

  /** What wraps is as high as its text. */
  function grow() {
    area.style.height = "";
    if ((prose || box.classList.contains("single")) && area.isConnected) {
      area.style.height = `${Math.min(area.scrollHeight, MOST_LINES * LINE_PX)}px`;
    }
  }

  function follow() {
    gutter.scrollTop = area.scrollTop;
    gutter.style.maxHeight = `${area.offsetHeight}px`;
  }

  area.addEventListener("input", number);
  area.addEventListener("scroll", follow);
  number();
  return {
    field,
    area,
    shown: number,
    /** Mark lines: a map of line to "error" or "warning". */
    mark(found) {
      marks = found;
      box.classList.toggle("faulty", [...found.values()].includes("error"));
      number();
    },
    /** Put the cursor where a finding points. */
    show(line) {
      field.hidden = false;
      number();
      const lines = area.value.split("\n");
      const at = Math.min(Math.max(line, 1), lines.length) - 1;
      const start = lines.slice(0, at).reduce((sum, text) => sum + text.length + 1, 0);
      area.focus({ preventScroll: true });
      area.setSelectionRange(start, start + lines[at].length);
      area.scrollTop = Math.max(0, (at - 4) * LINE_PX);
      field.scrollIntoView({ block: "center" });
    },
  };
}
