/** The frame of the page: which view is shown, the language, the connection. */
import { events } from "./events.js";
import { Going } from "./going.js";
import { live } from "./live.js";
import { ask, h, say } from "./parts.js";
import { system } from "./system.js";
import { connect, listen } from "./updates.js";
import { clock, label, speak, spoken, t } from "./words.js";
import { zones } from "./zones.js";

const VIEWS = { live, events, zones, system };
const main = document.getElementById("main");
/** What all views know: labels by name with their colours, cameras by name, events that go on, and
 * since when nothing is heard any more, null where it is. */
const site = { labels: new Map(), cameras: new Map(), going: new Going(changed), records: true, lost: null };
let shown = null;

function changed() {
  count();
  shown?.view.hear?.("going", {});
}

function translate() {
  document.documentElement.lang = spoken();
  for (const place of document.querySelectorAll("[data-t]")) place.textContent = t(place.dataset.t);
  for (const place of document.querySelectorAll("[data-t-label]")) place.setAttribute("aria-label", t(place.dataset.tLabel));
  const language = document.getElementById("language");
  language.textContent = t("language");
  language.lang = spoken() === "ko" ? "en" : "ko";
  tellLine();
}

function tellLine() {
  const line = document.getElementById("line");
  const isLost = site.lost !== null;
  if (line.dataset.state) line.textContent = t(isLost ? "offline" : "online");
  document.getElementById("away").textContent = isLost ? t("cut_off", { time: clock(site.lost) }) : "";
}

/** A view's name, and what of it: #/events/<id>. */
function place() {
  const [name, what = ""] = location.hash.replace("#/", "").split("/");
  return { name, what: decodeURIComponent(what) };
}

/** A view is a function (place, site) that returns { stop(), hear(kind, about), go(what),
 * unsaved() }. */
async function show(force = false) {
  const { name, what } = place();
  if (!Object.hasOwn(VIEWS, name)) {
    location.replace("#/live");
    return;
  }
  if (shown?.name === name && !force) {
    shown.view.go?.(what);
    return;
  }
  if (shown?.view.unsaved?.() && !window.confirm(t("leave_unsaved"))) {
    history.replaceState(null, "", `#/${shown.name}`);
    return;
  }
  shown?.view.stop?.();
  const element = h("div", { class: `view ${name}` });
  main.replaceChildren(element);
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown = { name, view: {} };
  const mine = shown;
  const view = await VIEWS[name](element, site);
  if (shown !== mine) {
    view.stop?.();
    return;
  }
  shown.view = view;
  view.go?.(place().what);
}

function count() {
  const n = site.going.events.size;
  const away = [...site.cameras.values()].filter((one) => ["lost", "failed"].includes(one.state)).length;
  badge("going", n, "going_on");
  badge("absent", away, "cameras_away");
  document.title = n ? `(${n}) yololstm` : "yololstm";
}

function badge(id, n, words) {
  const place = document.getElementById(id);
  place.hidden = n === 0;
  place.textContent = n;
  place.setAttribute("aria-label", `${n} ${t(words)}`);
}

function begun(event) {
  const words = t("began", { label: label(event.label), camera: event.camera });
  const to = `#/events/${event.id}`;
  say(words, to);
  if (localStorage.getItem("notify") !== "yes" || window.Notification?.permission !== "granted") return;
  const note = new Notification("yololstm", { body: words, tag: event.id, icon: "/static/icon.svg" });
  note.onclick = () => {
    window.focus();
    location.hash = to;
  };
}

listen((kind, about) => {
  if (kind === "open" || kind === "lost") {
    site.lost = kind === "open" ? null : Date.now();
    document.getElementById("line").dataset.state = kind;
    tellLine();
  }
  if (kind === "open") site.going.load().catch(() => {});
  if (kind === "camera") {
    site.cameras.set(about.camera, about);
    count();
  }
  if (kind === "change") {
    site.going.hear(about);
    if (about.change === "start") begun(about);
  }
  shown?.view.hear?.(kind, about);
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("language").addEventListener("click", () => {
  if (shown?.view.unsaved?.() && !window.confirm(t("leave_unsaved"))) return;
  speak(spoken() === "ko" ? "en" : "ko");
  if (shown) shown.view.unsaved = undefined;
  translate();
  count();
  show(true);
});
document.getElementById("leave").addEventListener("click", async () => {
  await ask("/api/logout", { method: "POST" });
  location.replace("/login");
});
window.addEventListener("hashchange", () => show());
window.addEventListener("beforeunload", (event) => {
  if (shown?.view.unsaved?.()) event.preventDefault();
});

async function start() {
  translate();
  const [about, cameras] = await Promise.all([ask("/api/system"), ask("/api/cameras")]);
  site.records = about.records;
  for (const { label, colour } of about.labels) site.labels.set(label, colour);
  for (const camera of cameras.cameras) site.cameras.set(camera.camera, camera);
  count();
  connect();
  if (!location.hash) history.replaceState(null, "", "#/live");
  show();
}

start();
