// What capture integrations caught and what became of every message: asked for often after a send, rarely when idle.
import { ask } from "./server.js";
import { showTimes } from "./times.js";

const QUICK_MS = 150;
const IDLE_MS = 1500;
const QUICK_FOR_MS = 4000;
const KEPT = 60;

export function startFeed() {
  let after = document.body.dataset.seq;
  let quickUntil = 0;
  let timer = 0;
  let asking = false;

  async function look() {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    try {
      const response = await ask(`/ui/feed?after=${after}`);
      if (response.status === 200) {
        after = response.headers.get("clarion-seq");
        place(await response.text());
      }
    } catch {
      quickUntil = 0;
    }
    asking = false;
    timer = setTimeout(look, Date.now() < quickUntil ? QUICK_MS : IDLE_MS);
  }

  document.addEventListener("visibilitychange", look);
  for (const radio of document.querySelectorAll('[name="watch"]')) radio.addEventListener("change", filter);
  filter();
  look();
  return {
    hurry() {
      quickUntil = Date.now() + QUICK_FOR_MS;
      look();
    },
  };
}

export function watched() {
  return document.querySelector('[name="watch"]:checked')?.value ?? "";
}

/** Each element of `html` says which list it belongs to; a known one is replaced, a new one comes first. */
function place(html) {
  const parsed = new DOMParser().parseFromString(`<ul>${html}</ul>`, "text/html");
  for (const element of [...parsed.body.firstElementChild.children]) {
    showTimes(element);
    const known = document.getElementById(element.id);
    if (known) {
      const focused = known.contains(document.activeElement);
      known.replaceWith(element);
      if (focused) element.querySelector("button")?.focus();
      continue;
    }
    const list = document.getElementById(element.dataset.into);
    element.classList.add("fresh");
    for (const open of element.querySelectorAll("details[open]")) {
      // Never close an email that someone reads.
      if (list.contains(document.activeElement)) open.open = false;
      else list.querySelectorAll("details[open]").forEach((other) => (other.open = false));
    }
    list.prepend(element);
    while (list.children.length > KEPT) list.lastElementChild.remove();
  }
  filter();
}

/** Show one person's devices, or everyone's; a list with nothing to show says so. */
export function filter() {
  const who = watched();
  for (const list of document.querySelectorAll(".list, .rows")) {
    let any = false;
    for (const item of list.querySelectorAll(":scope > [data-user]")) {
      item.hidden = who !== "" && item.dataset.user !== who;
      any ||= !item.hidden;
    }
    const empty = list.parentElement.querySelector(":scope > .empty");
    if (empty) empty.hidden = any || list.getAttribute("aria-busy") === "true";
  }
}
