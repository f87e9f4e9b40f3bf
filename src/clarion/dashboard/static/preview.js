// What one person would get: asked of the server after every pause in typing, an older answer never replaces a newer one.
import { ask } from "./server.js";

const byId = (id) => document.getElementById(id);

export function startPreview({ written, found }) {
  const [user, locale, channel] = ["see-user", "see-locale", "see-channel"].map(byId);
  const layouts = JSON.parse(byId("main").dataset.layouts);
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  let asked = 0;
  let view = "see-t1";
  let width = "desktop";

  /** The preview goes where the author goes. */
  function follow(here) {
    fill(channel, Object.keys(written.channels).map((key) => [key, layouts[key]?.name ?? key]), here.channel);
    const tags = new Set(Object.values(written.channels).flatMap((locales) => Object.keys(locales)));
    const keep = locale.value;
    fill(locale, [["", "as they read it"], ...[...tags].sort().map((tag) => [tag, name(tag)])], tags.has(here.locale) ? here.locale : keep);
    look();
  }

  function name(tag) {
    try {
      return names.of(tag) ?? tag;
    } catch {
      return tag;
    }
  }

  function fill(select, choices, chosen) {
    select.replaceChildren(...choices.map(([value, text]) => new Option(text, value, false, value === chosen)));
  }

  const body = () => JSON.stringify({ template: written, channel: channel.value, locale: locale.value, user: user.value });
  const at = (path) => `/ui/templates/${encodeURIComponent(byId("main").dataset.key)}/${path}`;

  async function look() {
    if (!user.value || !channel.value) return;
    const mine = ++asked;
    byId("see").setAttribute("aria-busy", "true");
    try {
      const response = await ask(at("look"), { method: "POST", body: body() });
      const html = await response.text();
      if (mine === asked) place(html, response.ok);
    } catch {
      // The banner says why.
    }
    if (mine === asked) byId("see").setAttribute("aria-busy", "false");
  }

  function place(html, ok) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    if (!ok) {
      byId("see").innerHTML = html;
      return;
    }
    byId("findings").replaceWith(parsed.getElementById("findings"));
    const fresh = parsed.getElementById("see");
    if (locale.value === fresh.dataset.theirs) locale.value = "";
    replaceSee(fresh);
    const count = byId("findings-count");
    const findings = [...document.querySelectorAll("#findings [data-jump]")];
    count.textContent = findings.length;
    count.hidden = !findings.length;
    count.classList.toggle("bad", findings.some((finding) => finding.dataset.severity === "error"));
    found();
  }

  /** A frame that shows the same email stays as it is: it would flicker and lose its place. */
  function replaceSee(fresh) {
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

  async function test() {
    const [button, answer] = [byId("test"), byId("test-answer")];
    button.disabled = true;
    answer.textContent = "Sending …";
    try {
      answer.innerHTML = await (await ask(at("test"), { method: "POST", body: body() })).text();
    } catch {
      answer.replaceChildren();
    }
    button.disabled = false;
  }

  byId("test").addEventListener("click", test);
  for (const select of [user, locale, channel]) select.addEventListener("change", () => {
    byId("test-answer").replaceChildren();
    look();
  });
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
  return { follow, look };
}
