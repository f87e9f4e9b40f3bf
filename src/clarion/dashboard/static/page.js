// The development page: every part below minds its own piece of the document.
import { startCompose } from "./compose.js";
import { startFeed } from "./feed.js";
import { startInboxes } from "./inbox.js";
import { startPush } from "./push.js";
import { startSheet } from "./sheet.js";
import { startTabs } from "./tabs.js";
import { startTimes } from "./times.js";

startTabs();
startTimes();
startSheet();
const feed = startFeed();
startInboxes();
startCompose({ sent: feed.hurry });
startPush();
