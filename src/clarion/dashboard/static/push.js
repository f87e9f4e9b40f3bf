// This browser as somebody's device: permission, subscription, and telling the server.
import { ask } from "./server.js";

const WORKER = "/ui/push-worker.js";
const OWNER = "clarion-browser-of";

const place = document.getElementById("browser");
const button = place?.querySelector("button");
const chosen = place?.querySelector("select");
const state = place?.querySelector("p");

export function startPush() {
  if (!place) return;
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
    return show("unsupported");
  }
  button.addEventListener("click", () => change().catch(failed));
  look().catch(failed);
}

async function look() {
  const subscription = await current();
  if (subscription) return show("subscribed", localStorage.getItem(OWNER) ?? "");
  show(Notification.permission === "denied" ? "denied" : "ready");
}

/** The subscription made with the key of this installation; one made with another key is useless and given up. */
async function current() {
  const registration = await navigator.serviceWorker.getRegistration(WORKER);
  const subscription = await registration?.pushManager.getSubscription();
  if (!subscription || text(subscription.options?.applicationServerKey) === place.dataset.key) return subscription;
  await subscription.unsubscribe();
  return null;
}

async function change() {
  button.disabled = true;
  const subscription = await current();
  if (subscription) await stop(subscription);
  else await start();
  await look();
}

async function start() {
  if ((await Notification.requestPermission()) !== "granted") return;
  const registration = await navigator.serviceWorker.register(WORKER);
  await activated(registration);
  const subscription = await registration.pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: bytes(place.dataset.key),
  });
  await tell(`/ui/browsers/${encodeURIComponent(chosen.value)}`, subscription);
  localStorage.setItem(OWNER, chosen.value);
}

/** The worker is in charge of `/ui/` only, so `navigator.serviceWorker.ready` would never come on this page. */
function activated(registration) {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      else if (worker.state === "redundant") reject(new Error("the service worker did not start"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

async function stop(subscription) {
  await tell("/ui/browsers", subscription);
  await subscription.unsubscribe();
  localStorage.removeItem(OWNER);
}

async function tell(path, subscription) {
  const body = new URLSearchParams({ subscription: JSON.stringify(subscription) });
  const response = await ask(path, { method: "POST", body });
  if (!response.ok) throw new Error("Clarion refused the subscription.");
}

function show(now, owner = "") {
  const name = [...chosen.options].find((option) => option.value === owner)?.text ?? "Somebody";
  place.dataset.state = now;
  place.hidden = false;
  chosen.hidden = now !== "ready";
  button.hidden = now === "unsupported" || now === "denied";
  button.disabled = false;
  button.textContent = now === "subscribed" ? "Stop" : "Notify this browser";
  state.textContent = {
    unsupported: "This browser does not support push notifications.",
    denied: "Notifications are blocked for this page. Allow them in the browser's site settings, then reload the page.",
    ready: "This browser will show this user's pushes. They travel encrypted through the browser's push service.",
    subscribed: `This browser receives ${name}'s pushes.`,
  }[now];
}

function failed(error) {
  show(Notification.permission === "denied" ? "denied" : "ready");
  if (Notification.permission !== "denied") state.textContent = `The subscription failed: ${error.message}`;
}

function bytes(base64url) {
  const plain = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer ?? []));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
