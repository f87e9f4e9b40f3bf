// The pages of authors: every part below minds its own piece of the document.
import { startEditor } from "./editor.js";
import { startSheet } from "./sheet.js";
import { startTabs } from "./tabs.js";
import { startTimes } from "./times.js";

startTabs();
startTimes();
startSheet();

const create = document.getElementById("create");
create?.addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `/ui/templates/${encodeURIComponent(new FormData(create).get("key"))}`;
});

if (document.getElementById("fields")) startEditor();
