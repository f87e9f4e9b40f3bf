// One live socket per person, as that person's own device would hold it: docs/reference/realtime.md.
import { filter, watched } from "./feed.js";
import { ask } from "./server.js";
import { showMessage } from "./sheet.js";
import { showTime } from "./times.js";

const SHOWN = 60;
const LONGEST_WAIT_MS = 10_000;
const TOKEN_EXPIRED = 4501;
const FIRST_FINAL = 4500;
const LAST_FINAL = 4999;

const list = document.getElementById("inbox");
const unread = document.getElementById("unread");
const readAll = document.getElementById("read-all");
const live = document.getElementById("live");
const inboxes = [];

class Inbox {
  constructor(person) {
    this.person = person;
    this.items = new Map();
    this.counts = { unread: 0 };
    this.state = "connecting";
    this.failures = 0;
    this.connect();
    window.addEventListener("back", () => this.timer && this.connect());
  }

  async connect() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.become("connecting");
    let token;
    try {
      const response = await ask(`/ui/tokens/${encodeURIComponent(this.person.id)}`, { method: "POST" });
      if (!response.ok) return this.become("closed");
      ({ token } = await response.json());
    } catch (refused) {
      return refused.status === 403 ? this.become("closed") : this.again();
    }
    const stopped = this.epoch ? { epoch: this.epoch, offset: this.offset } : {};
    const address = new URL("/v1/inbox/ws", location.href.replace(/^http/, "ws"));
    address.search = new URLSearchParams({ token, ...stopped });
    this.socket = new WebSocket(address);
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => {
      const final = event.code >= FIRST_FINAL && event.code <= LAST_FINAL && event.code !== TOKEN_EXPIRED;
      if (final) this.become("closed");
      else this.again();
    };
  }

  again() {
    this.become("closed");
    // When the server said, else full jitter: after a restart the clients of a whole product must not come back in step.
    const wait = this.afterMs ?? 100 + Math.random() * Math.min(LONGEST_WAIT_MS, 250 * 2 ** this.failures++);
    this.afterMs = undefined;
    this.timer = setTimeout(() => this.connect(), wait);
  }

  receive(frame) {
    if (frame.type === "ping") this.socket.send('{"type":"pong"}');
    if (frame.type === "close") this.afterMs = frame.after_ms;
    if (frame.type !== "connected" && frame.type !== "items") return;
    if (frame.type === "connected") {
      this.failures = 0;
      this.epoch = frame.epoch;
      if (!frame.recovered) this.items.clear();
      this.become("open");
    }
    this.offset = frame.offset;
    this.counts = frame.counts;
    for (const item of frame.items) {
      if (item.archived_at) this.items.delete(item.id);
      else this.items.set(item.id, { ...item, person: this.person });
    }
    show(frame.type === "items");
  }

  mark(action, which) {
    if (this.state === "open") this.socket.send(JSON.stringify({ type: "mark", action, ...which }));
  }

  become(state) {
    this.state = state;
    const states = inboxes.map((inbox) => inbox.state);
    const worst = states.includes("closed") ? "closed" : states.includes("connecting") ? "connecting" : "open";
    live.dataset.state = worst;
    live.querySelector("span").textContent = { open: "Live", connecting: "Connecting", closed: "Reconnecting" }[worst];
  }
}

/** All inboxes in one list, newest first; elements that are there already are kept. */
function show(fresh) {
  const items = inboxes
    .flatMap((inbox) => [...inbox.items.values()])
    .sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
    .slice(0, SHOWN);
  const wanted = new Set(items.map((item) => `i-${item.id}`));
  for (const child of [...list.children]) if (!wanted.has(child.id)) child.remove();
  let before = null;
  for (const item of items) {
    const element = document.getElementById(`i-${item.id}`) ?? create(item, fresh);
    update(element, item);
    const place = before ? before.nextElementSibling : list.firstElementChild;
    if (element !== place) list.insertBefore(element, place);
    before = element;
  }
  list.removeAttribute("aria-busy");
  countUnread();
  filter();
}

function create(item, fresh) {
  const element = document.getElementById("inbox-item").content.firstElementChild.cloneNode(true);
  const face = element.querySelector(".face");
  element.id = `i-${item.id}`;
  element.dataset.user = item.person.id;
  element.classList.toggle("fresh", fresh);
  face.classList.add(`hue-${item.person.hue}`);
  face.textContent = item.person.initial;
  element.querySelector(".who").textContent = item.person.first;
  showTime(element.querySelector("time"), item.created_at);
  element.querySelector(".open").addEventListener("click", () => showMessage(item.id).catch(() => {}));
  for (const button of element.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => {
      const inbox = inboxes.find((one) => one.person.id === element.dataset.user);
      const undo = button.dataset.act === "read" && button.getAttribute("aria-pressed") === "true";
      inbox.mark(undo ? "unread" : button.dataset.act, { ids: [item.id] });
    });
  }
  return element;
}

function update(element, item) {
  element.classList.toggle("new", !item.seen_at && !item.read_at);
  element.classList.toggle("done", Boolean(item.read_at));
  element.querySelector(".title").textContent = item.title;
  element.querySelector(".body").textContent = item.body;
  for (const [act, at] of [["seen", item.seen_at], ["read", item.read_at]]) {
    element.querySelector(`[data-act="${act}"]`).setAttribute("aria-pressed", Boolean(at));
  }
}

function shownInboxes() {
  return inboxes.filter((inbox) => !watched() || inbox.person.id === watched());
}

function countUnread() {
  const count = shownInboxes().reduce((sum, inbox) => sum + inbox.counts.unread, 0);
  unread.textContent = `${count} unread`;
  unread.hidden = readAll.hidden = count === 0;
}

export function startInboxes() {
  for (const radio of document.querySelectorAll('[name="watch"]')) {
    radio.addEventListener("change", countUnread);
    if (radio.value) inboxes.push(new Inbox({ id: radio.value, ...radio.dataset }));
  }
  readAll.addEventListener("click", () => shownInboxes().forEach((inbox) => inbox.mark("read", { filter: {} })));
  if (!inboxes.length) show(false);
}
