// The dialog: a message's timeline and explanation, or a dry run. <dialog> keeps the focus and minds Escape.
import { ask } from "./server.js";
import { showTimes } from "./times.js";

const sheet = document.getElementById("sheet");
const body = document.getElementById("sheet-body");
let shown = "";

export function showSheet(html) {
  body.innerHTML = html;
  showTimes(body);
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
}

export async function showMessage(id, act = "") {
  shown = id;
  const options = act ? { method: "POST" } : {};
  const response = await ask(`/ui/messages/${id}${act}`, options);
  const html = await response.text();
  if (shown === id) showSheet(html);
}

export function startSheet() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-message]");
    if (opener) showMessage(opener.dataset.message, opener.dataset.act).catch(() => {});
    if (event.target.closest("[data-close]") || event.target === sheet) sheet.close();
  });
  sheet.addEventListener("close", () => {
    shown = "";
    body.replaceChildren();
  });
}
