// The service worker: shows what is pushed to this browser, and opens it on a click. docs/how-to/web-push.md
// Browsers that know declarative web push show it themselves, and do not ask.
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let said = {};
  try {
    const { notification, withdraw } = event.data.json();
    if (withdraw) return event.waitUntil(close(withdraw));
    said = notification ?? {};
  } catch {
    // A browser wants to see a notification for every push: better a bare one than none.
  }
  const actions = (said.actions ?? []).slice(0, Notification.maxActions ?? 0);
  event.waitUntil(
    self.registration.showNotification(said.title ?? "Notification", {
      body: said.body ?? "",
      image: said.image || undefined,
      // A message that comes twice replaces itself.
      tag: said.tag,
      data: { url: said.navigate ?? "", actions: actions.map((action) => action.navigate ?? "") },
      actions: actions.map((action, at) => ({ action: String(at), title: action.title })),
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  const { url, actions } = event.notification.data ?? {};
  event.notification.close();
  event.waitUntil(open(web(event.action ? actions?.[event.action] : url)));
});

/** Takes back what was shown with this tag. */
async function close(tag) {
  for (const shown of await self.registration.getNotifications({ tag })) shown.close();
}

/** Where it leads: only what a browser may open in a tab, else this page. */
function web(text) {
  try {
    const url = new URL(text || "/", self.location.origin);
    if (url.protocol === "https:" || url.protocol === "http:") return url.href;
  } catch {
    // Not a URL.
  }
  return self.location.origin + "/";
}

async function open(address) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((window) => window.url === address);
  return there ? there.focus() : self.clients.openWindow(address);
}
