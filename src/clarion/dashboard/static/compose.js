// The form: fields and JSON are two views of one document; the terminal command follows every keystroke.
import { fault } from "./json.js";
import { ask } from "./server.js";
import { showSheet } from "./sheet.js";
import { choose } from "./tabs.js";

const form = document.getElementById("compose");
const answer = document.getElementById("answer");
const curl = document.getElementById("curl");
const copy = document.getElementById("copy");

const source = () => document.getElementById("source");
const fields = () => [...form.querySelectorAll("[data-field]")];
const chosenWorkflow = () => form.querySelector('[name="workflow"]:checked')?.value;
const chosenPeople = () => [...form.querySelectorAll('[name="to"]:checked')].map((box) => box.value);

export function startCompose({ sent }) {
  form.addEventListener("change", (event) => {
    if (event.target.name === "workflow") changeWorkflow();
    else showCurl();
  });
  form.addEventListener("input", (event) => {
    if (event.target.dataset.field) fromFields(event.target);
    else if (event.target === source()) fromSource();
    showCurl();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(event.submitter?.getAttribute("formaction") ?? form.getAttribute("action"), sent);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit();
  });
  copy.addEventListener("click", copyCurl);
  showCurl();
}

async function changeWorkflow() {
  const key = chosenWorkflow();
  const response = await ask(`/ui/workflows/${encodeURIComponent(key)}/fields`).catch(() => null);
  if (!response?.ok || chosenWorkflow() !== key) return;
  document.getElementById("data").innerHTML = await response.text();
  document.getElementById("route").textContent = decodeURIComponent(response.headers.get("clarion-route") ?? "");
  answer.replaceChildren();
  showCurl();
}

async function submit(path, sent) {
  if (form.getAttribute("aria-busy") === "true") return;
  answer.replaceChildren();
  if (!fromSource()) return;
  form.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    const response = await ask(path, { method: "POST", body });
    const html = await response.text();
    if (response.headers.get("clarion-into") === "sheet") showSheet(html);
    else answer.innerHTML = html;
    if (response.ok && path === "/ui/send") sent();
  } catch (refused) {
    answer.textContent = refused.message === "unreachable" ? "Not sent." : "";
  }
  form.removeAttribute("aria-busy");
}

/** The value a field stands for; undefined when it is not (yet) one. */
function valueOf(field) {
  const { kind } = field.dataset;
  if (kind === "boolean") return field.checked;
  if (kind === "string") return field.value;
  if (kind === "number") return field.value.trim() === "" || isNaN(field.value) ? undefined : Number(field.value);
  try {
    return JSON.parse(field.value);
  } catch {
    return undefined;
  }
}

function fromFields(changed) {
  const value = valueOf(changed);
  mark(changed, value === undefined);
  if (value === undefined) {
    complain(`“${changed.dataset.field}” must be ${changed.dataset.kind === "number" ? "a number" : "valid JSON"}.`);
    return;
  }
  complain("");
  const data = parsed() ?? {};
  data[changed.dataset.field] = value;
  source().value = JSON.stringify(data, null, 2);
  mark(source(), false);
}

function fromSource() {
  for (const field of fields()) {
    if (field.getAttribute("aria-invalid") === "true") {
      field.focus();
      return false;
    }
  }
  const data = parsed();
  if (!data) {
    choose(document.getElementById("tab-json"));
    if (document.activeElement !== source()) source().focus();
    return false;
  }
  for (const field of fields()) {
    const value = data[field.dataset.field];
    if (field.dataset.kind === "boolean") field.checked = value === true;
    else if (field !== document.activeElement) field.value = typeof value === "object" ? JSON.stringify(value) : (value ?? "");
  }
  return true;
}

/** The JSON document as an object; otherwise says where it is wrong. */
function parsed() {
  const text = source().value;
  try {
    const data = JSON.parse(text.trim() || "{}");
    if (data === null || typeof data !== "object" || Array.isArray(data)) throw new Error("The data must be an object: { … }");
    complain("");
    mark(source(), false);
    return data;
  } catch (error) {
    complain(error instanceof SyntaxError ? fault(text) || error.message : error.message);
    mark(source(), true);
    return null;
  }
}

function complain(text) {
  const place = document.getElementById("data-error");
  place.textContent = text;
  place.hidden = !text;
  if (text) answer.replaceChildren();
}

function mark(field, wrong) {
  if (wrong) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function command() {
  const { url, key } = document.body.dataset;
  let data = {};
  try {
    data = JSON.parse(source().value || "{}");
  } catch {
    // The error stands beside the editor already.
  }
  const body = JSON.stringify({ recipients: chosenPeople(), data }, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${url}/v1/workflows/${chosenWorkflow() ?? ""}/trigger \\`,
    `  -H 'Authorization: Bearer ${key}' \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${body}'`,
  ].join("\n");
}

function showCurl() {
  curl.textContent = command();
}

async function copyCurl() {
  const label = copy.querySelector("span");
  try {
    await navigator.clipboard.writeText(command());
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(curl);
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (label.textContent = "Copy"), 2000);
}
