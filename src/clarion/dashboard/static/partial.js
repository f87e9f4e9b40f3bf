// The editor of a layout or a piece that templates share: its source, what it would do to them, and publishing it.
import { lined } from "./lined.js";
import { startSee } from "./see.js";
import { ask } from "./server.js";
import { showSheet } from "./sheet.js";

const PAUSE_MS = 350;
const byId = (id) => document.getElementById(id);

export function startPartial() {
  const main = byId("main");
  const base = `/ui/partials/${encodeURIComponent(main.dataset.key)}`;
  const [name, user, where, answer] = ["set-name", "see-user", "see-where", "answer"].map(byId);
  const box = lined({ label: "source", hint: "templates fill {% block name %} … {% endblock %}", value: main.dataset.source });
  const place = startSee();
  let asked = 0;
  let timer = 0;
  let dirty = false;

  const post = (path, body) => ask(`${base}/${path}`, { method: "POST", body: JSON.stringify(body) });
  const written = () => ({ name: name.value.trim(), source: box.area.value });

  async function look() {
    const mine = ++asked;
    byId("see").setAttribute("aria-busy", "true");
    try {
      const response = await post("look", { ...written(), where: where?.value ?? "", user: user?.value ?? "" });
      const html = await response.text();
      if (mine === asked && place(html, response.ok)) mark();
    } catch {
      // The banner says why.
    }
    if (mine === asked) byId("see").setAttribute("aria-busy", "false");
  }

  function mark() {
    const mine = [...document.querySelectorAll("#findings [data-jump]")].map((button) => button.dataset);
    box.mark(new Map(mine.reverse().map((f) => [Number(f.line) || 1, f.severity])));
  }

  function changed() {
    dirty = true;
    byId("draft-state").textContent = "Unsaved changes";
    byId("draft-state").className = "chip wait";
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  }

  /** A conflict asks what to do. */
  async function publish(replaces = Number(main.dataset.version)) {
    const response = await post("publish", { ...written(), replaces });
    const html = await response.text();
    if (response.status === 422) {
      showSheet(html);
      return;
    }
    answer.innerHTML = html;
    if (response.status === 412) {
      answer.insertAdjacentHTML("beforeend", `<p><button class="quiet" type="button" data-insist>Publish mine</button><button class="quiet" type="button" data-reload>Take theirs</button></p>`);
    }
    if (!response.ok) return;
    dirty = false;
    main.dataset.version = response.headers.get("clarion-version");
    byId("live-state").textContent = `Live: version ${main.dataset.version}`;
    byId("live-state").className = "chip good";
    byId("draft-state").textContent = "No changes";
    byId("draft-state").className = "chip";
    for (const id of ["versions", "delete"]) byId(id).hidden = false;
  }

  async function remove() {
    const response = await post("delete", {});
    if (!response.ok) {
      answer.innerHTML = await response.text();
      return;
    }
    dirty = false;
    location.href = "/ui/templates";
  }

  /** An old version in the editor: it is live again when it is published. */
  function restore(source) {
    byId("sheet").close();
    box.area.value = source;
    box.shown();
    box.area.focus();
    changed();
  }

  /** One thing at a time, and a failure is already in the banner. */
  async function guarded(action) {
    if (main.getAttribute("aria-busy") === "true") return;
    main.setAttribute("aria-busy", "true");
    await action().catch(() => {});
    main.removeAttribute("aria-busy");
  }

  byId("source").append(box.field);
  box.shown();
  name.value = main.dataset.name;
  for (const area of [box.area, name]) area.addEventListener("input", changed);
  for (const select of [user, where]) select?.addEventListener("change", look);
  byId("publish").addEventListener("click", () => guarded(() => publish()));
  byId("delete").addEventListener("click", () => guarded(remove));
  byId("versions").addEventListener("click", () => guarded(async () => showSheet(await (await ask(`${base}/versions`)).text())));
  document.addEventListener("click", (event) => {
    const { dataset = {} } = event.target.closest("button") ?? {};
    if ("jump" in dataset) setTimeout(() => box.show(Number(dataset.line) || 1));
    if ("restore" in dataset) restore(dataset.restore);
    if ("insist" in dataset) guarded(() => publish(null));
    if ("reload" in dataset) {
      dirty = false;
      location.reload();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "s" && (event.metaKey || event.ctrlKey)) {
      event.preventDefault();
      byId("publish").click();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  look();
}
