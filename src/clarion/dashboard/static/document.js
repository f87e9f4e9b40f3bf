// The editor of a YAML document: what the server says about the text while it is written, and what may stand at the cursor.
import { numbered } from "./lined.js";
import { ask } from "./server.js";

const PAUSE_MS = 350;
const LINE_PX = 20;
const EDGE_PX = 8;
const byId = (id) => document.getElementById(id);

export function startDocument() {
  const form = byId("document");
  const box = numbered(byId("yaml"));
  const { area } = box;
  const base = form.action.replace(/\/edit$/, "");
  const list = byId("completions");
  const began = area.value;
  let asked = 0;
  let timer = 0;
  let leaving = false;
  let typed = 0;

  // ── what is wrong ──────────────────────────────────────────────────────────────────────────────────────

  async function look() {
    const mine = ++asked;
    byId("checks").setAttribute("aria-busy", "true");
    try {
      const response = await ask(`${base}/check`, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const html = await response.text();
      if (mine === asked && response.ok) {
        byId("checks").innerHTML = html;
        mark();
      }
    } catch {
      // The banner says why.
    }
    if (mine === asked) byId("checks").setAttribute("aria-busy", "false");
  }

  function mark() {
    const found = [...document.querySelectorAll("#findings [data-jump]")].map((button) => button.dataset);
    box.mark(new Map(found.map((one) => [Number(one.line), one.severity])));
    area.setAttribute("aria-invalid", String(found.length > 0));
  }

  // ── what may stand there ───────────────────────────────────────────────────────────────────────────────

  const options = () => [...list.children];
  const chosen = () => options().findIndex((one) => one.getAttribute("aria-selected") === "true");

  async function complete() {
    const before = area.value.slice(0, area.selectionStart).split("\n");
    const at = area.selectionStart;
    try {
      const body = JSON.stringify({ text: area.value, line: before.length - 1, column: before.at(-1).length });
      const response = await ask(`${base}/completions`, { method: "POST", body });
      if (!response.ok || at !== area.selectionStart || document.activeElement !== area) return;
      const found = await response.json();
      typed = found.typed;
      offer(found.items, before.length, before.at(-1).length - typed);
    } catch {
      close();
    }
  }

  function offer(items, line, column) {
    list.replaceChildren(
      ...items.map(([text, about], index) => {
        const option = document.createElement("li");
        option.id = `completion-${index}`;
        option.setAttribute("role", "option");
        option.dataset.text = text;
        const name = Object.assign(document.createElement("b"), { textContent: text.trim() });
        const words = Object.assign(document.createElement("span"), { textContent: about });
        option.append(name, words);
        return option;
      }),
    );
    list.hidden = items.length === 0;
    if (list.hidden) return close();
    list.style.setProperty("top", `${area.offsetTop + EDGE_PX + line * LINE_PX - area.scrollTop}px`);
    list.style.setProperty("left", `min(calc(${column}ch * 0.9 + 40px), 40%)`);
    choose(0);
  }

  function choose(index) {
    const all = options();
    const now = (index + all.length) % all.length;
    for (const [place, one] of all.entries()) one.setAttribute("aria-selected", String(place === now));
    area.setAttribute("aria-activedescendant", all[now].id);
    all[now].scrollIntoView({ block: "nearest" });
  }

  function take(option) {
    area.setRangeText(option.dataset.text, area.selectionStart - typed, area.selectionStart, "end");
    close();
    area.focus();
    changed();
  }

  function close() {
    list.hidden = true;
    list.replaceChildren();
    area.removeAttribute("aria-activedescendant");
  }

  function changed() {
    box.shown();
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  }

  area.setAttribute("aria-autocomplete", "list");
  area.setAttribute("aria-controls", list.id);
  byId("yaml-hint").textContent = "Ctrl Space: what may stand here. Comments are not stored.";
  byId("check").hidden = true;

  area.addEventListener("input", (event) => {
    changed();
    if (event.inputType?.startsWith("insert") && /[\w:-] ?$/.test(area.value.slice(0, area.selectionStart))) complete();
    else close();
  });
  area.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if (event.key === " " && event.ctrlKey) complete();
    else if (open && event.key === "ArrowDown") choose(chosen() + 1);
    else if (open && event.key === "ArrowUp") choose(chosen() - 1);
    else if (open && event.key === "Enter") take(options()[chosen()]);
    else if (open && event.key === "Escape") close();
    else if (event.key === "Enter" && !event.isComposing) indent();
    else return;
    event.preventDefault();
  });
  area.addEventListener("blur", close);
  area.addEventListener("click", close);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("li");
    if (option) take(option);
  });

  /** A new line begins where the one before it did. */
  function indent() {
    const line = area.value.slice(0, area.selectionStart).split("\n").at(-1);
    const lead = line.match(/^ *(?:- )?/)[0].replace("-", " ");
    document.execCommand("insertText", false, `\n${lead}${/:\s*$/.test(line) ? "  " : ""}`);
  }

  document.addEventListener("click", (event) => {
    const { dataset = {} } = event.target.closest("button") ?? {};
    if ("jump" in dataset) setTimeout(() => box.show(Number(dataset.line)));
  });
  document.addEventListener("submit", () => (leaving = true));
  addEventListener("beforeunload", (event) => {
    if (!leaving && area.value !== began) event.preventDefault();
  });
  mark();
  box.shown();
}
