// Times and languages as this browser's person reads them; the server sends ISO 8601 and plain tags.
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function showTime(element, iso) {
  const at = new Date(iso);
  element.dateTime = iso;
  element.title = full.format(at);
  element.textContent = Math.abs(Date.now() - at) < 12 * 3600e3 ? clock.format(at) : day.format(at);
}

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) showTime(time, time.dateTime);
}

function showZones() {
  for (const place of document.querySelectorAll("[data-zone]")) {
    const city = (place.dataset.city ??= place.textContent);
    const there = new Intl.DateTimeFormat(undefined, { timeZone: place.dataset.zone, hour: "numeric", minute: "2-digit" });
    place.textContent = `${city} ${there.format(new Date())}`;
  }
}

export function startTimes() {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  for (const element of document.querySelectorAll("[data-locale]")) {
    element.textContent = names.of(element.dataset.locale) ?? element.dataset.locale;
  }
  showTimes(document);
  showZones();
  setInterval(showZones, 15_000);
}
