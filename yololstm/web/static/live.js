/** A card a camera: its picture, how it is, and what is said of each person. */
import { ask, chip, h } from "./parts.js";
import { pictures } from "./updates.js";
import { clock, label, percent, t } from "./words.js";

const SPAN_S = 60;
const ROWS = 6;
/** Without a picture of a camera that is live. */
const STILL_MS = 15_000;
/** Pixels across, up to which small pictures look as good. */
const SMALL = 640;
const NORMAL = "normal";

export async function live(place, site) {
  const cards = new Map();
  if (!site.cameras.size) place.append(h("p", { class: "empty" }, t("no_cameras")));
  for (const [name, status] of site.cameras) {
    const card = new Card(name, site);
    card.tell(status);
    card.alarmed();
    cards.set(name, card);
    place.append(card.element);
  }
  let watching = null;
  let watched = 0;
  let later = 0;
  const visible = new Set();
  const watch = () => {
    watching?.abort();
    watching = null;
    watched = performance.now();
    if (document.hidden || !visible.size || site.lost !== null) return;
    watching = new AbortController();
    const pixels = Math.max(...[...visible].map((name) => cards.get(name).screen.clientWidth)) * (window.devicePixelRatio || 1);
    const query = new URLSearchParams([...visible].map((name) => ["camera", name]));
    if (pixels <= SMALL) query.set("small", "true");
    pictures(query, (camera, blob) => cards.get(camera)?.picture(blob), watching.signal);
  };
  /** Of cards that are scrolled out of sight no pictures come. */
  const observer = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) visible.add(target.dataset.camera);
      else visible.delete(target.dataset.camera);
    }
    clearTimeout(later);
    later = setTimeout(watch, 200);
  });
  for (const card of cards.values()) observer.observe(card.element);
  /** A stream of pictures that has come to a halt is asked for anew. */
  const check = () => {
    const now = performance.now();
    const isStill = [...visible].map((name) => cards.get(name)).some((card) => card.isLive() && now - Math.max(card.shown, watched) > STILL_MS);
    if (watching !== null && isStill) watch();
  };
  const recall = async () => {
    const named = [...cards].map(async ([name, card]) => card.hear(await ask(`/api/cameras/${name}/verdicts?seconds=${SPAN_S}`, { quietly: true }), true));
    await Promise.allSettled(named);
  };
  document.addEventListener("visibilitychange", watch);
  recall();
  const timer = setInterval(() => {
    if (document.hidden) return;
    check();
    cards.forEach((card) => card.draw());
  }, 250);
  return {
    stop() {
      clearInterval(timer);
      clearTimeout(later);
      observer.disconnect();
      document.removeEventListener("visibilitychange", watch);
      watching?.abort();
    },
    hear(kind, about) {
      const card = cards.get(about.camera);
      if (kind === "open") {
        watch();
        recall();
      }
      if (kind === "lost") watch();
      if (kind === "open" || kind === "lost") for (const one of cards.values()) one.tell(one.status);
      if (kind === "camera") card?.tell(about);
      if (kind === "verdicts") card?.hear(about);
      if (kind === "going") for (const one of cards.values()) one.alarmed();
    },
  };
}

class Card {
  constructor(name, site) {
    this.name = name;
    this.site = site;
    this.labels = site.labels;
    this.shown = -Infinity;
    this.verdicts = new Map();
    this.seen = new Set();
    this.rows = new Map();
    this.now = null;
    this.screen = h("canvas", { role: "img", "aria-label": t("picture_of", { camera: name }), width: 960, height: 540 });
    this.over = h("p", { class: "over" });
    this.alarm = h("div", { class: "alarm" });
    this.state = h("span", { class: "state" });
    this.figures = h("p", { class: "figures" });
    this.people = h("ul", { class: "people" });
    this.nobody = h("p", { class: "quiet nobody" }, t("nobody"));
    this.element = h(
      "article",
      { class: "camera", "data-camera": name },
      h("header", {}, h("h2", {}, name), this.state),
      h("div", { class: "screen" }, this.screen, this.over, this.alarm),
      this.figures,
      h("div", { class: "minute" }, h("p", { class: "axis quiet", "aria-hidden": "true" }, h("span", {}, t("last_minute")), h("span", {}, t("now"))), this.people, this.nobody),
    );
  }

  async picture(blob) {
    this.shown = performance.now();
    const image = await createImageBitmap(blob);
    if (this.screen.width !== image.width || this.screen.height !== image.height) {
      this.screen.width = image.width;
      this.screen.height = image.height;
    }
    this.screen.getContext("2d").drawImage(image, 0, 0);
    this.screen.dataset.shown = Number(this.screen.dataset.shown ?? 0) + 1;
    image.close();
  }

  tell(status) {
    this.status = status;
    const since = t("since", { time: clock(status.since) });
    this.state.dataset.state = status.state;
    this.state.textContent = t(`state_${status.state}`);
    this.state.title = since;
    const isLive = this.isLive();
    if (!isLive) this.seen = new Set();
    this.over.hidden = isLive;
    this.over.textContent = isLive ? "" : [t(`state_${status.state}`), status.why, since].filter(Boolean).join(" · ");
    const { lost } = this.site;
    if (lost !== null) {
      this.state.dataset.state = "lost";
      this.state.textContent = t("offline");
      this.over.textContent = t("cut_off", { time: clock(lost) });
    }
    this.figures.replaceChildren(
      h("span", {}, t("frames", { fps: status.fps.toFixed(1) })),
      h("span", { class: status.dropped ? "noted" : "" }, t("dropped", { n: status.dropped })),
      h("span", {}, t("delay", { s: status.delay_s.toFixed(1) })),
      h("span", {}, since),
    );
  }

  /** As far as is known here. */
  isLive() {
    return this.status.state === "live" && this.site.lost === null;
  }

  hear(said, anew = false) {
    if (said.frame_s === null) return;
    if (anew || said.frame_s + 1 < (this.now?.frame_s ?? 0)) this.verdicts.clear();
    this.now = { frame_s: said.frame_s, at: performance.now() };
    this.seen = new Set(said.tracks);
    for (const verdict of said.verdicts) {
      if (!this.verdicts.has(verdict.track)) this.verdicts.set(verdict.track, []);
      const list = this.verdicts.get(verdict.track);
      if (!list.length || list.at(-1).start_s < verdict.start_s) list.push(verdict);
    }
    for (const [track, list] of this.verdicts) {
      const kept = list.filter((verdict) => verdict.end_s > said.frame_s - SPAN_S);
      if (kept.length) this.verdicts.set(track, kept);
      else this.verdicts.delete(track);
    }
  }

  alarmed() {
    const going = this.site.going.of(this.name);
    this.element.classList.toggle("alarmed", going.length > 0);
    const focused = document.activeElement?.closest(".alarm a")?.hash;
    this.alarm.replaceChildren(
      ...going.map((one) => {
        const words = `${label(one.label)} · ${t("person", { track: one.track })} · ${percent(one.probability)}`;
        return h("a", { href: `#/events/${one.id}` }, chip(words, this.labels.get(one.label)));
      }),
    );
    if (focused) [...this.alarm.children].find((link) => link.hash === focused)?.focus();
  }

  draw() {
    const tracks = [...new Set([...this.verdicts.keys(), ...this.seen])].sort((a, b) => b - a).slice(0, ROWS);
    this.nobody.hidden = tracks.length > 0;
    for (const [track, row] of this.rows) {
      if (tracks.includes(track)) continue;
      row.element.remove();
      this.rows.delete(track);
    }
    for (const track of tracks) {
      if (!this.rows.has(track)) this.rows.set(track, this.row(track));
      const row = this.rows.get(track);
      if (this.people.children[tracks.indexOf(track)] !== row.element) this.people.insertBefore(row.element, this.people.children[tracks.indexOf(track)] ?? null);
      this.fill(row, track);
    }
  }

  row(track) {
    const words = h("span", { class: "words" });
    const canvas = h("canvas", { "aria-hidden": "true" });
    return { words, canvas, element: h("li", {}, h("span", { class: "who" }, t("person", { track })), words, canvas) };
  }

  fill(row, track) {
    const list = this.verdicts.get(track) ?? [];
    const last = list.length ? likeliest(list.at(-1)) : null;
    const words = last === null ? t("unsure") : `${label(last[0])} ${percent(last[1])}`;
    if (row.words.textContent !== words) row.words.textContent = words;
    row.words.style.setProperty("--colour", last === null ? "#b0b6be" : this.labels.get(last[0]));
    row.element.classList.toggle("gone", !this.seen.has(track));
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [row.canvas.clientWidth, row.canvas.clientHeight].map((side) => Math.round(side * ratio));
    if (row.canvas.width !== width) row.canvas.width = width;
    if (row.canvas.height !== height) row.canvas.height = height;
    const context = row.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (this.now === null) return;
    const passed = this.isLive() ? (performance.now() - this.now.at) / 1000 : 0;
    const end_s = this.now.frame_s + passed;
    const x = (time_s) => ((time_s - end_s + SPAN_S) / SPAN_S) * width;
    let until_s = -Infinity;
    for (const verdict of list) {
      const [name, share] = likeliest(verdict);
      const begin = x(Math.max(verdict.start_s, until_s));
      const tall = Math.max(2 * ratio, (name === NORMAL ? 0.18 : share) * height);
      context.fillStyle = this.labels.get(name) ?? "#b0b6be";
      context.fillRect(begin, height - tall, Math.max(1, x(verdict.end_s) - begin), tall);
      until_s = verdict.end_s;
    }
  }
}

const likeliest = (verdict) => Object.entries(verdict.probability).reduce((best, one) => (one[1] > best[1] ? one : best));
