// The editor: the document in memory, the form for one channel in one language, and what the server says about it.
import { fault } from "./json.js";
import { lined } from "./lined.js";
import { startPreview } from "./preview.js";
import { startRelease } from "./release.js";

const PAUSE_MS = 350;
const byId = (id) => document.getElementById(id);
const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

export function startEditor() {
  const main = byId("main");
  const written = JSON.parse(main.dataset.document);
  const layouts = JSON.parse(main.dataset.layouts);
  const here = { channel: Object.keys(written.channels)[0] ?? "email", locale: "" };
  let boxes = new Map();
  let dirty = false;
  let timer = 0;

  const preview = startPreview({ written, found: markFindings });
  const release = startRelease({ written, saved: () => (dirty = false), isDirty: () => dirty });

  // ── what is shown ──────────────────────────────────────────────────────────────────────────────────────

  function show({ channel = here.channel, locale = here.locale } = {}) {
    if (!(channel in written.channels)) channel = Object.keys(written.channels)[0] ?? "";
    const locales = written.channels[channel] ?? {};
    if (!(locale in locales)) locale = written.default_locale in locales ? written.default_locale : (Object.keys(locales)[0] ?? "");
    Object.assign(here, { channel, locale });
    showChannels();
    showLocales();
    showFields();
    preview.follow(here);
    markFindings();
  }

  function showChannels() {
    const free = Object.keys(layouts).filter((channel) => !(channel in written.channels));
    const adder = clone("channel-adder");
    const select = adder.querySelector("select");
    for (const channel of free) select.add(new Option(layouts[channel].name, channel));
    select.addEventListener("change", () => addChannel(select.value));
    byId("channels").replaceChildren(
      ...Object.keys(written.channels).map((channel) => pill("channel", channel, layouts[channel]?.name ?? channel, here.channel)),
      ...(free.length ? [adder] : []),
    );
  }

  function showLocales() {
    const locales = Object.keys(written.channels[here.channel] ?? {});
    const adder = clone("adder");
    const input = adder.querySelector("input");
    adder.querySelector("span").textContent = "Add a language";
    input.placeholder = "Language …";
    adder.addEventListener("submit", (event) => {
      event.preventDefault();
      addLocale(input);
    });
    byId("locales").replaceChildren(
      ...locales.map((locale) => pill("locale", locale, languageName(locale), here.locale)),
      ...(here.channel ? [adder] : []),
    );
  }

  function pill(group, value, text, chosen) {
    const label = clone("pill");
    const input = label.querySelector("input");
    Object.assign(input, { name: group, value, checked: value === chosen });
    label.querySelector("b").textContent = text;
    input.addEventListener("change", () => {
      show({ [group]: value });
      document.querySelector(`#${group}s input:checked`)?.focus();
    });
    return label;
  }

  function showFields() {
    const fields = written.channels[here.channel]?.[here.locale];
    boxes = new Map();
    byId("remove").hidden = !fields;
    if (!fields) {
      const empty = document.createElement("p");
      empty.className = "hint";
      empty.textContent = here.channel ? "Add a language." : "Add a channel.";
      byId("fields").replaceChildren(empty);
      byId("more").replaceChildren();
      return;
    }
    const known = layouts[here.channel].fields;
    const others = Object.keys(fields).filter((name) => !known.some((field) => field.name === name));
    const main = layouts[here.channel].main;
    const more = [];
    for (const { name, line, prose, hint } of [...known, ...others.map((name) => ({ name, hint: "unknown field" }))]) {
      const box = lined({ label: name, hint, single: line, prose, value: fields[name] ?? "" });
      if (!(name in fields) && !main.includes(name)) more.push(opener(name, box));
      box.area.lang = here.locale;
      box.area.dir = "auto";
      box.area.addEventListener("input", () => write(fields, name, box.area.value));
      boxes.set(name, box);
    }
    byId("fields").replaceChildren(...[...boxes.values()].map((box) => box.field));
    for (const box of boxes.values()) box.shown();
    byId("more").replaceChildren(...more);
    byId("remove").textContent = `Remove ${languageName(here.locale)} from ${layouts[here.channel].name}`;
  }

  /** What few templates need is not in the way, and one click away. */
  function opener(name, box) {
    box.field.hidden = true;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = `+ ${name}`;
    button.addEventListener("click", () => {
      button.remove();
      box.field.hidden = false;
      box.show(1);
    });
    return button;
  }

  // ── what changes ───────────────────────────────────────────────────────────────────────────────────────

  function write(fields, name, value) {
    if (value === "") delete fields[name];
    else fields[name] = value;
    changed();
  }

  function changed() {
    dirty = true;
    release.changed();
    clearTimeout(timer);
    timer = setTimeout(preview.look, PAUSE_MS);
  }

  function addChannel(channel) {
    if (!channel) return;
    written.channels[channel] = { [here.locale || written.default_locale]: {} };
    show({ channel });
    changed();
  }

  function addLocale(input) {
    const tag = properTag(input.value);
    input.setCustomValidity(tag ? "" : "A language tag, like de or pt-BR.");
    if (!input.reportValidity()) return;
    const locales = written.channels[here.channel];
    locales[tag] ??= { ...locales[here.locale] };
    show({ locale: tag });
    changed();
  }

  function remove() {
    const locales = written.channels[here.channel];
    delete locales[here.locale];
    if (!Object.keys(locales).length) delete written.channels[here.channel];
    show();
    changed();
  }

  function settings() {
    const complaint = byId("settings-error");
    const example = lined({ ...byId("settings").querySelector("[data-lined=example]").dataset, value: pretty(written.example_data), spelling: false });
    const schema = lined({ ...byId("settings").querySelector("[data-lined=schema]").dataset, value: pretty(written.data_schema), spelling: false });
    if (!example.area.value) example.area.placeholder = pretty(JSON.parse(main.dataset.example));
    byId("settings").querySelector("[data-lined=example]").append(example.field);
    byId("settings").querySelector("[data-lined=schema]").append(schema.field);
    const parse = (box, name, empty) => {
      const wrong = box.area.value.trim() ? fault(box.area.value) : "";
      const value = wrong || !box.area.value.trim() ? empty : JSON.parse(box.area.value);
      const said = wrong || (value !== empty && (typeof value !== "object" || value === null || Array.isArray(value)) ? "An object is expected: { … }." : "");
      complaint.textContent = said && `${box.area.labels[0].firstElementChild.textContent}: ${said}`;
      complaint.hidden = !said;
      if (said) return;
      written[name] = value;
      changed();
    };
    example.area.addEventListener("input", () => parse(example, "example_data", {}));
    schema.area.addEventListener("input", () => parse(schema, "data_schema", null));
    for (const [id, name] of [["set-name", "name"], ["set-locale", "default_locale"]]) {
      byId(id).value = written[name];
      byId(id).addEventListener("input", () => {
        written[name] = byId(id).value.trim();
        changed();
      });
    }
    byId("settings").addEventListener("toggle", () => [example, schema].forEach((box) => box.shown()));
    boxesOfSettings.set("example_data", example).set("data_schema", schema);
  }

  // ── what is wrong ──────────────────────────────────────────────────────────────────────────────────────

  const boxesOfSettings = new Map();

  function jump({ channel, locale, field, line }) {
    if (!channel) {
      byId("settings").open = true;
      const box = boxesOfSettings.get(field);
      if (box) box.show(Number(line) || 1);
      else byId(field === "default_locale" ? "set-locale" : "set-name").focus();
      return;
    }
    show({ channel, locale: locale || here.locale });
    const box = boxes.get(field) ?? boxes.values().next().value;
    box?.show(Number(line) || 1);
  }

  /** Lines of the fields that are shown, and dots at channels and languages that have errors. */
  function markFindings() {
    const findings = [...document.querySelectorAll("#findings [data-jump]")].map((button) => button.dataset);
    for (const [name, box] of boxes) {
      const mine = findings.filter((f) => f.channel === here.channel && f.locale === here.locale && f.field === name);
      box.mark(new Map(mine.reverse().map((f) => [Number(f.line) || 1, f.severity])));
    }
    const errors = findings.filter((f) => f.severity === "error");
    dot("channel", (value) => errors.some((f) => f.channel === value));
    dot("locale", (value) => errors.some((f) => f.channel === here.channel && f.locale === value));
  }

  function dot(group, has) {
    for (const input of document.querySelectorAll(`#${group}s input[type=radio]`)) {
      const found = has(input.value);
      input.parentElement.querySelector(".dot").hidden = !found;
      if (found) input.setAttribute("aria-description", "has errors");
      else input.removeAttribute("aria-description");
    }
  }

  byId("remove").addEventListener("click", remove);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-jump]");
    if (button) setTimeout(() => jump(button.dataset));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "s" && (event.metaKey || event.ctrlKey)) {
      event.preventDefault();
      byId("save").click();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  settings();
  show();
  preview.look();
}

function pretty(value) {
  return value && Object.keys(value).length ? JSON.stringify(value, null, 2) : "";
}

function properTag(text) {
  try {
    return text.trim() ? (Intl.getCanonicalLocales(text.trim().replaceAll("_", "-"))[0] ?? "") : "";
  } catch {
    return "";
  }
}

export function languageName(tag) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
