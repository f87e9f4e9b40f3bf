// The pages of authors: every part below minds its own piece of the document.
import { startDocument } from "./document.js";
import { startEditor } from "./editor.js";
import { startPartial } from "./partial.js";
import { startSheet } from "./sheet.js";
import { startTabs } from "./tabs.js";
import { startTimes } from "./times.js";

startTabs();
startTimes();
startSheet();

for (const create of document.querySelectorAll("form[data-create]")) create.addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `${create.dataset.create}${encodeURIComponent(new FormData(create).get("key"))}`;
});

if (document.getElementById("fields")) startEditor();
if (document.getElementById("source")) startPartial();
if (document.getElementById("yaml")) startDocument();
