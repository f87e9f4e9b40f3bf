// What one person would get: asked of the server after every pause in typing, an older answer never replaces a newer one.
import { startSee } from "./see.js";
import { ask } from "./server.js";

const byId = (id) => document.getElementById(id);

export function startPreview({ written, found }) {
  const [user, locale, channel] = ["see-user", "see-locale", "see-channel"].map(byId);
  const layouts = JSON.parse(byId("main").dataset.layouts);
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const place = startSee();
  let asked = 0;

  /** The preview goes where the author goes. */
  function follow(here) {
    fill(channel, Object.keys(written.channels).map((key) => [key, layouts[key]?.name ?? key]), here.channel);
    const tags = new Set(Object.values(written.channels).flatMap((locales) => Object.keys(locales)));
    const keep = locale.value;
    fill(locale, [["", "their language"], ...[...tags].sort().map((tag) => [tag, name(tag)])], tags.has(here.locale) ? here.locale : keep);
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
      if (mine === asked) placed(place(html, response.ok));
    } catch {
      // The banner says why.
    }
    if (mine === asked) byId("see").setAttribute("aria-busy", "false");
  }

  /** The language they get anyway is shown their language. */
  function placed(fresh) {
    if (!fresh) return;
    if (locale.value === fresh.dataset.theirs) locale.value = "";
    found();
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
  return { follow, look };
}
