// What the server says about the words in an editor, and shows of them: views, widths and what was opened stay as they are.
const byId = (id) => document.getElementById(id);

/** A function that puts an answer in its places; it returns the fresh `#see`, nothing when the question was refused. */
export function startSee() {
  let view = "see-t1";
  let width = "desktop";

  function place(html, ok) {
    if (!ok) {
      byId("see").innerHTML = html;
      return null;
    }
    const parsed = new DOMParser().parseFromString(html, "text/html");
    byId("findings").replaceWith(parsed.getElementById("findings"));
    count();
    const fresh = parsed.getElementById("see");
    show(fresh);
    return fresh;
  }

  function count() {
    const findings = [...document.querySelectorAll("#findings [data-severity]")];
    const shown = byId("findings-count");
    shown.textContent = findings.length;
    shown.hidden = !findings.length;
    shown.classList.toggle("bad", findings.some((finding) => finding.dataset.severity === "error"));
  }

  /** A frame that shows the same email stays as it is: it would flicker and lose its place. */
  function show(fresh) {
    const old = byId("see");
    const [was, is] = [old, fresh].map((one) => one.querySelector("iframe"));
    if (was && is && was.getAttribute("src") === is.getAttribute("src")) {
      for (const part of [".mail-line", ".see-bar .meter", "#see-p2", "#see-p3"]) {
        const hidden = old.querySelector(part).hidden;
        old.querySelector(part).replaceWith(fresh.querySelector(part));
        old.querySelector(part).hidden = hidden;
      }
      return;
    }
    for (const opened of fresh.querySelectorAll("details")) opened.open = old.querySelector("details")?.open ?? false;
    old.replaceWith(fresh);
    byId(view)?.click();
    setWidth(width);
  }

  function setWidth(wanted) {
    width = wanted;
    document.querySelector(".mail-view")?.classList.toggle("phone-width", wanted === "phone");
    for (const button of document.querySelectorAll("[data-width]")) {
      const chosen = button.dataset.width === wanted;
      button.setAttribute("aria-checked", chosen);
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  document.addEventListener("chosen", (event) => {
    if (event.target.id?.startsWith("see-t")) view = event.target.id;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-width]");
    if (button) setWidth(button.dataset.width);
  });
  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.("[data-width]");
    if (!button || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    setWidth(button.dataset.width === "phone" ? "desktop" : "phone");
    document.querySelector('[data-width][aria-checked="true"]').focus();
    event.preventDefault();
  });
  return place;
}
