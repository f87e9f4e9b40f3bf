// Times and languages as this browser's person reads them; the server sends ISO 8601 and plain tags.
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function showTime(element, iso) {
  const at = new Date(iso);
  element.dateTime = iso;
  element.title = full.format(at);
  const soon = Math.abs(Date.now() - at) < 12 * 3600e3;
  const { there, place } = element.dataset;
  element.textContent = there ? `${inZone(there, soon).format(at)} in ${place}` : (soon ? clock : day).format(at);
}

function inZone(timeZone, soon) {
  const weekday = soon ? {} : { weekday: "short" };
  return new Intl.DateTimeFormat(undefined, { timeZone, hour: "numeric", minute: "2-digit", ...weekday });
}

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) showTime(time, time.dateTime);
}

function showZones() {
  for (const place of document.querySelectorAll("[data-zone]")) {
    const city = (place.dataset.city ??= place.textContent);
    place.textContent = `${city} ${inZone(place.dataset.zone, true).format(new Date())}`;
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
