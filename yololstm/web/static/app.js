/** The frame of the page: which view is shown, the language, the connection. */
import { events } from "./events.js";
import { live } from "./live.js";
import { ask, h, say } from "./parts.js";
import { system } from "./system.js";
import { connect, listen } from "./updates.js";
import { label, speak, spoken, t } from "./words.js";
import { zones } from "./zones.js";

const VIEWS = { live, events, zones, system };
const main = document.getElementById("main");
/** What all views know: labels by name with their colours, cameras by name. */
const site = { labels: new Map(), cameras: new Map() };
const going = new Set();
let shown = null;

function translate() {
  document.documentElement.lang = spoken();
  for (const place of document.querySelectorAll("[data-t]")) place.textContent = t(place.dataset.t);
  for (const place of document.querySelectorAll("[data-t-label]")) place.setAttribute("aria-label", t(place.dataset.tLabel));
  const language = document.getElementById("language");
  language.textContent = t("language");
  language.lang = spoken() === "ko" ? "en" : "ko";
}

/** A view is a function (place, site) that returns { stop(), hear(kind, about), unsaved() }. */
async function show(force = false) {
  const name = location.hash.replace("#/", "");
  if (!(name in VIEWS)) {
    if (location.hash !== "#main") location.replace("#/live");
    return;
  }
  if (shown?.name === name && !force) return;
  if (shown?.view.unsaved?.() && !window.confirm(t("leave_unsaved"))) {
    history.replaceState(null, "", `#/${shown.name}`);
    return;
  }
  shown?.view.stop?.();
  const place = h("div", { class: `view ${name}` });
  main.replaceChildren(place);
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown = { name, view: {} };
  const mine = shown;
  const view = await VIEWS[name](place, site);
  if (shown === mine) shown.view = view;
  else view.stop?.();
}

function count() {
  const badge = document.getElementById("going");
  badge.hidden = going.size === 0;
  badge.textContent = going.size;
  badge.setAttribute("aria-label", `${going.size} ${t("going_on")}`);
  document.title = going.size ? `(${going.size}) yololstm` : "yololstm";
}

listen((kind, about) => {
  if (kind === "open" || kind === "lost") {
    const line = document.getElementById("line");
    line.dataset.state = kind;
    line.textContent = t(kind === "open" ? "online" : "offline");
  }
  if (kind === "camera") site.cameras.set(about.camera, about);
  if (kind === "change") {
    if (about.state === "end") going.delete(about.id);
    else going.add(about.id);
    count();
    if (about.change === "start") say(t("began", { label: label(about.label), camera: about.camera }));
  }
  shown?.view.hear?.(kind, about);
});

document.getElementById("language").addEventListener("click", () => {
  if (shown?.view.unsaved?.() && !window.confirm(t("leave_unsaved"))) return;
  speak(spoken() === "ko" ? "en" : "ko");
  if (shown) shown.view.unsaved = undefined;
  document.getElementById("replay").close();
  translate();
  count();
  connect();
  show(true);
});
document.getElementById("leave").addEventListener("click", async () => {
  await ask("/api/logout", "POST");
  location.replace("/login");
});
window.addEventListener("hashchange", () => show());
window.addEventListener("beforeunload", (event) => {
  if (shown?.view.unsaved?.()) event.preventDefault();
});

async function start() {
  translate();
  const [about, cameras, recent] = await Promise.all([ask("/api/system"), ask("/api/cameras"), ask("/api/events?limit=200")]);
  for (const { label, colour } of about.labels) site.labels.set(label, colour);
  for (const camera of cameras.cameras) site.cameras.set(camera.camera, camera);
  for (const event of recent.events) if (event.state !== "end") going.add(event.id);
  count();
  connect();
  if (!location.hash) history.replaceState(null, "", "#/live");
  show();
}

start();
