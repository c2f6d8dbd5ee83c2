/** Events: the list, and the replay of one with what people say of it. */
import { ask, chip, choice, h } from "./parts.js";
import { duration, label, percent, t, when } from "./words.js";

const PAGE = 30;
/** Of the list: older ones are loaded again when they are asked for. */
const MOST = 300;
/** So long after its end a clip may still be written. */
const WRITTEN_MS = 600_000;

export async function events(place, site) {
  const filters = { camera: "", label: "", verdict: "", day: "" };
  const items = new Map();
  const list = h("ol", { class: "list" });
  const empty = h("p", { class: "empty", hidden: true }, t("no_events"));
  const older = h("button", { type: "button", class: "older", hidden: true, onclick: () => load("older") }, t("older"));
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() });
  place.append(h("h1", { class: "unseen" }, t("events")), form, list, empty, older);
  const heard = new Map();
  let asked = 0;
  let last = null;

  const filter = (name) => (value) => {
    filters[name] = value;
    load("anew");
  };
  const some = (names) => [["", t("all")], ...names];
  const abnormal = [...site.labels.keys()].filter((name) => name !== "normal");
  function fillForm() {
    const day = h("input", { type: "date", value: filters.day, onchange: () => filter("day")(day.value) });
    form.replaceChildren(
      choice(t("camera"), some([...site.cameras.keys()].map((name) => [name, name])), filters.camera, filter("camera")),
      choice(t("label"), some(abnormal.map((name) => [name, label(name)])), filters.label, filter("label")),
      choice(t("verdict"), some([["none", t("not_judged")], ["right", t("right")], ["wrong", t("wrong")]]), filters.verdict, filter("verdict")),
      h("label", { class: "field" }, h("span", {}, t("day")), day),
      h("button", { type: "button", class: "plain", onclick: clear }, t("clear")),
    );
  }
  function clear() {
    for (const name of Object.keys(filters)) filters[name] = "";
    fillForm();
    load("anew");
  }

  /** how: anew, older, or again: what was missed, and the list stays where it is. */
  async function load(how) {
    const mine = ++asked;
    heard.clear();
    const query = new URLSearchParams({ limit: PAGE });
    for (const name of ["camera", "label", "verdict"]) if (filters[name]) query.set(name, filters[name]);
    const [since, before] = dayOf(filters.day);
    if (since) query.set("since", since.toISOString());
    if (before) query.set("before", before.toISOString());
    if (how === "older" && last) {
      query.set("before", last.started);
      query.set("before_id", last.id);
    }
    const found = await ask(`/api/events?${query}`, { quietly: how === "again" });
    if (mine !== asked) return;
    const hasGap = found.more && !found.events.some((event) => items.has(event.id));
    const isNew = how === "anew" || (how === "again" && (items.size === 0 || hasGap));
    if (isNew) {
      items.clear();
      list.replaceChildren();
    }
    // What was told since the question is newer than the answer.
    for (const event of found.events) put(heard.get(event.id) ?? event, false);
    for (const event of heard.values()) if (fits(event)) put(event, false);
    if (isNew || how === "older") {
      last = found.events.at(-1) ?? (isNew ? null : last);
      older.hidden = !found.more;
    }
    empty.hidden = items.size > 0;
  }

  /** Those at the end, of a list that only grows. */
  function shorten() {
    while (items.size > MOST && window.scrollY < 200) {
      items.delete(list.lastElementChild.dataset.event);
      list.lastElementChild.remove();
      last = items.get(list.lastElementChild.dataset.event).event;
      older.hidden = false;
    }
  }

  function fits(event) {
    const [since, before] = dayOf(filters.day);
    const started = new Date(event.started);
    const isOf = (name) => !filters[name] || (event[name] || "none") === filters[name];
    return ["camera", "label", "verdict"].every(isOf) && (!since || (started >= since && started < before));
  }

  function put(event, isNew) {
    const item = items.get(event.id) ?? { element: h("li", { "data-event": event.id }) };
    item.event = event;
    fill(item.element, event, site, () => goTo(event.id));
    if (!items.has(event.id)) {
      items.set(event.id, item);
      const following = [...list.children].find((other) => items.get(other.dataset.event).event.started < event.started);
      list.insertBefore(item.element, following ?? null);
      if (isNew) {
        item.element.classList.add("new");
        shorten();
      }
    }
    empty.hidden = true;
  }

  /** Its address leads back to it, and Back closes it. */
  function goTo(id) {
    history.pushState({ isOpened: true }, "", `#/events/${id}`);
    go(id);
  }

  async function go(id) {
    if (!id) {
      replay.close();
      return;
    }
    if (replay.event?.id === id) return;
    const event = items.get(id)?.event ?? (await ask(`/api/events/${encodeURIComponent(id)}`).catch(() => null));
    if (location.hash !== `#/events/${encodeURIComponent(id)}`) return;
    if (event === null) {
      replay.leave();
      history.replaceState(null, "", "#/events");
    } else replay.open(event);
  }

  const replay = new Replay(site);
  fillForm();
  await load("anew").catch(() => {});
  const timer = setInterval(() => {
    for (const { element, event } of items.values()) {
      if (event.state !== "end") element.querySelector(".lasts").textContent = lasts(event);
    }
  }, 1000);
  return {
    go,
    stop() {
      clearInterval(timer);
      replay.leave();
    },
    hear(kind, about) {
      if (kind === "open") load("again").catch(() => {});
      if (!["change", "recorded", "feedback"].includes(kind)) return;
      heard.set(about.id, about);
      if (items.has(about.id) || (kind === "change" && fits(about))) put(about, kind === "change");
      replay.hear(about);
    },
  };
}

/** The local day's start, and that of the next. day: as a date input has it, "" for none. */
function dayOf(day) {
  if (!day) return [null, null];
  const [year, month, date] = day.split("-").map(Number);
  return [new Date(year, month - 1, date), new Date(year, month - 1, date + 1)];
}

function lasts(event) {
  const end = event.state === "end" ? new Date(event.ended) : Date.now();
  return duration((end - new Date(event.started)) / 1000);
}

function judged(event) {
  if (!event.verdict) return null;
  const words = event.corrected ? t("judged_as", { label: label(event.corrected) }) : t(event.verdict);
  return h("span", { class: `mark ${event.verdict}` }, words);
}

function fill(element, event, site, open) {
  const colour = site.labels.get(event.label);
  const picture = event.picture ? h("img", { src: `/api/events/${event.id}/picture`, alt: "", loading: "lazy" }) : h("span", { class: "blank" });
  const before = element.querySelector("img");
  const meter = h("span", { class: "meter", "aria-hidden": "true" });
  meter.style.setProperty("--share", event.probability);
  meter.style.setProperty("--colour", colour);
  const button = h(
    "button",
    { type: "button", class: "event", onclick: open },
    h("span", { class: "thumb" }, before && event.picture ? before : picture),
    h("span", { class: "what" }, chip(label(event.label), colour), event.state === "end" ? null : h("span", { class: "going" }, t("going_on")), judged(event)),
    h("span", { class: "where" }, `${event.camera} · ${t("person", { track: event.track })}`),
    h("time", { datetime: event.started }, when(event.started)),
    h("span", { class: "lasts quiet" }, lasts(event)),
    h("span", { class: "sure" }, meter, percent(event.probability)),
  );
  const focused = element.contains(document.activeElement);
  element.replaceChildren(button);
  if (focused) button.focus();
}

/** The dialog. */
class Replay {
  constructor(site) {
    this.site = site;
    this.dialog = document.getElementById("replay");
    this.event = null;
    this.dialog.onclose = () => {
      // Another one may be open by now.
      if (this.dialog.open || this.event === null) return;
      const { id } = this.event;
      this.event = null;
      this.dialog.replaceChildren();
      if (location.hash !== `#/events/${id}`) return;
      if (history.state?.isOpened) history.back();
      else history.replaceState(null, "", "#/events");
    };
    // A click on what is behind it.
    this.dialog.onclick = (event) => {
      if (event.target === this.dialog) this.close();
    };
  }

  open(event) {
    this.event = event;
    this.player = h("div", { class: "player" });
    this.facts = h("dl");
    this.actions = h("div", { class: "feedback" });
    this.links = h("div", { class: "row" });
    this.acted = "";
    this.dialog.replaceChildren(
      h(
        "div",
        { class: "sheet" },
        h("header", {}, h("h2", { id: "replay-title" }, `${label(event.label)} · ${event.camera}`), h("button", { type: "button", class: "plain", "aria-label": t("close"), onclick: () => this.close() }, "✕")),
        this.player,
        h("div", { class: "about" }, this.facts, this.actions, this.links),
      ),
    );
    this.play();
    this.tell();
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** For another view: the address stays. */
  leave() {
    this.event = null;
    this.close();
    this.dialog.replaceChildren();
  }

  hear(event) {
    if (this.event?.id !== event.id) return;
    const hadClip = this.event.clip;
    const wasOn = this.event.state !== "end";
    this.event = event;
    if (hadClip !== event.clip || (!event.clip && wasOn && event.state === "end")) this.play();
    this.tell();
  }

  play() {
    const { id, clip, picture } = this.event;
    if (!clip) {
      this.player.replaceChildren(h("p", { class: "empty" }, t(this.without())));
      return;
    }
    const words = t("clip_of", { label: label(this.event.label), camera: this.event.camera });
    const video = h("video", { src: `/api/events/${id}/clip`, controls: true, playsinline: true, preload: "metadata", "aria-label": words, poster: picture && `/api/events/${id}/picture` });
    video.muted = true;
    video.onerror = () => video.isConnected && this.player.replaceChildren(h("p", { class: "empty" }, t("clip_gone")));
    this.player.replaceChildren(video);
    video.play().catch(() => {});
  }

  /** Why there is no clip. */
  without() {
    const { state, ended } = this.event;
    if (!this.site.records) return "clip_never";
    if (state !== "end") return "clip_to_come";
    return Date.now() - new Date(ended) < WRITTEN_MS ? "clip_written" : "no_clip";
  }

  tell() {
    const event = this.event;
    const fact = (name, words) => [h("dt", {}, name), h("dd", {}, words)];
    const link = (kind, words) => (event[kind] ? h("a", { class: "button", href: `/api/events/${event.id}/${kind}?download=true`, download: "" }, words) : null);
    this.facts.replaceChildren(
      ...fact(t("label"), label(event.label)),
      ...fact(t("started"), when(event.started)),
      ...fact(t("duration"), lasts(event)),
      ...fact(t("probability"), percent(event.probability)),
      ...fact(t("state"), t(event.state === "end" ? "ended" : "going_on")),
    );
    // What can be pressed stays what it is, and keeps the focus, unless it has changed.
    const acted = [event.verdict, event.corrected, event.clip, event.shared, event.landmarks].join("|");
    if (acted === this.acted) return;
    this.acted = acted;
    this.actions.replaceChildren(...this.feedback());
    const clips = [link("shared", t("download_shared")), link("clip", t("download_clip"))].filter(Boolean);
    const more = link("landmarks", t("download_landmarks"));
    this.links.replaceChildren(...clips, ...(more ? [h("details", {}, h("summary", {}, t("for_developers")), more)] : []));
  }

  feedback() {
    const { verdict, corrected } = this.event;
    const button = (words, isChosen, click) => h("button", { type: "button", "aria-pressed": String(isChosen), onclick: click }, words);
    const others = [...this.site.labels.keys()].filter((name) => name !== this.event.label);
    const which =
      verdict === "wrong"
        ? h(
            "fieldset",
            { class: "which" },
            h("legend", {}, t("what_was_it")),
            others.map((name) => button(label(name), corrected === name, () => this.judge("wrong", name))),
            button(t("unknown"), corrected === "", () => this.judge("wrong")),
          )
        : null;
    const right = button(t("right"), verdict === "right", () => this.judge("right"));
    const wrong = button(t("wrong"), verdict === "wrong", () => this.judge("wrong"));
    const back = verdict ? h("button", { type: "button", class: "plain", onclick: () => this.takeBack() }, t("take_back")) : null;
    return [h("fieldset", {}, h("legend", {}, t("was_it", { label: label(this.event.label) })), right, wrong, back ?? ""), which].filter(Boolean);
  }

  async judge(verdict, corrected = "") {
    const judged = await ask(`/api/events/${this.event.id}/feedback`, { method: "PUT", body: { verdict, corrected } });
    this.hear(judged);
    const place = verdict === "wrong" ? ".which [aria-pressed=true]" : "[aria-pressed=true]";
    this.actions.querySelector(place)?.focus();
  }

  async takeBack() {
    this.hear(await ask(`/api/events/${this.event.id}/feedback`, { method: "DELETE" }));
    this.actions.querySelector("button")?.focus();
  }
}
