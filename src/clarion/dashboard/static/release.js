// Saving, publishing, going back, comparing, and a test to oneself.
import { ask } from "./server.js";
import { showSheet } from "./sheet.js";
import { showTimes } from "./times.js";

const byId = (id) => document.getElementById(id);

/** Others published something since: look at both, or replace it. */
const choices = `<p><button class="quiet" type="button" data-compare>Compare with live</button><button class="quiet" type="button" data-insist>Publish mine</button></p>`;

export function startRelease({ written, saved, isDirty }) {
  const main = byId("main");
  const base = `/ui/templates/${encodeURIComponent(main.dataset.key)}`;
  const answer = byId("answer");

  const post = (path, body) => ask(`${base}/${path}`, { method: "POST", body: JSON.stringify(body) });

  /** Whether what is in the editor is kept now. A conflict asks what to do. */
  async function save(revision = Number(main.dataset.revision)) {
    const response = await post("draft", { template: written, revision, based_on: Number(main.dataset.version) });
    const html = await response.text();
    if (response.status === 412) {
      answer.innerHTML = `${html}<p><button class="quiet" type="button" data-overwrite>Keep mine</button><button class="quiet" type="button" data-reload>Take theirs</button></p>`;
      return false;
    }
    if (!response.ok) {
      answer.innerHTML = html;
      return false;
    }
    main.dataset.revision = response.headers.get("clarion-revision");
    byId("discard").hidden = false;
    const state = byId("draft-state");
    state.className = "chip wait";
    state.innerHTML = html;
    showTimes(state);
    answer.replaceChildren();
    saved();
    return true;
  }

  async function publish() {
    if (!isDirty() && main.dataset.revision === "0" && main.dataset.version !== "0") {
      answer.textContent = "There is nothing to publish: the live version is the same.";
      return;
    }
    if ((isDirty() || main.dataset.revision === "0") && !(await save())) return;
    await release(await post("publish", { revision: Number(main.dataset.revision) }), published);
  }

  /** What is in the editor, in place of whatever anybody wrote meanwhile. */
  async function insist() {
    if (!(await save(null))) return;
    await release(await post("publish", { revision: Number(main.dataset.revision), anyway: true }), published);
  }

  function published() {
    main.dataset.revision = "0";
    byId("discard").hidden = true;
    byId("draft-state").textContent = "No changes";
    byId("draft-state").className = "chip";
  }

  async function release(response, done) {
    const html = await response.text();
    const version = response.headers.get("clarion-version");
    if (response.status === 422) showSheet(html);
    else answer.innerHTML = response.status === 412 && done === published ? html + choices : html;
    if (!version) return;
    main.dataset.version = version;
    byId("live-state").textContent = `Live: version ${version}`;
    byId("live-state").className = "chip good";
    for (const id of ["versions", "compare"]) byId(id).hidden = false;
    done();
  }

  async function rollBack(version) {
    const keeps = isDirty() || main.dataset.revision !== "0";
    byId("sheet").close();
    const response = await post("rollback", { version: Number(version), replaces: Number(main.dataset.version) });
    await release(response, () => keeps || location.reload());
  }

  async function compare(version = null) {
    const response = await post("compare", { template: written, version });
    const html = await response.text();
    if (response.ok) showSheet(html);
    else answer.innerHTML = html;
  }

  async function discard() {
    const response = await post("discard", { revision: Number(main.dataset.revision) });
    if (!response.ok) {
      answer.innerHTML = await response.text();
      return;
    }
    saved();
    location.reload();
  }

  /** One thing at a time, and a failure is already in the banner. */
  function guarded(action) {
    return async () => {
      if (main.getAttribute("aria-busy") === "true") return;
      main.setAttribute("aria-busy", "true");
      await action().catch(() => {});
      main.removeAttribute("aria-busy");
    };
  }

  byId("save").addEventListener("click", guarded(() => save()));
  byId("publish").addEventListener("click", guarded(publish));
  byId("compare").addEventListener("click", guarded(() => compare()));
  byId("discard").addEventListener("click", guarded(discard));
  byId("versions").addEventListener("click", guarded(async () => showSheet(await (await ask(`${base}/versions`)).text())));
  document.addEventListener("click", (event) => {
    const { dataset = {} } = event.target.closest("button") ?? {};
    if ("rollback" in dataset) guarded(() => rollBack(dataset.rollback))();
    if ("compare" in dataset) guarded(() => compare(Number(dataset.compare) || null))();
    if ("insist" in dataset) guarded(insist)();
    if ("overwrite" in dataset) guarded(() => save(null))();
    if ("reload" in dataset) {
      saved();
      location.reload();
    }
  });
  return {
    changed() {
      byId("draft-state").textContent = "Unsaved changes";
      byId("draft-state").className = "chip wait";
    },
  };
}
