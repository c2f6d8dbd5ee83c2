/** Zones of a camera, drawn on what it shows. Corners are shares of its width and height. */
import { ask, choice, h, say } from "./parts.js";
import { label, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 18;
const MOST = 64;

export async function zones(place, site) {
  const names = [...site.cameras.keys()];
  place.append(h("h1", { class: "unseen" }, t("zones")));
  if (!names.length) {
    place.append(h("p", { class: "empty" }, t("no_cameras")));
    return {};
  }
  const abnormal = [...site.labels.keys()].filter((name) => name !== "normal");
  const board = h("div", { class: "board" });
  let editor = null;
  let camera = names[0];
  async function open(name) {
    if (editor?.unsaved() && !window.confirm(t("leave_unsaved"))) {
      head.querySelector("select").value = camera;
      return;
    }
    camera = name;
    editor = new Editor(name, site.cameras.get(name), abnormal);
    board.replaceChildren(editor.element);
    await editor.load();
  }
  const head = h("div", { class: "filters" }, choice(t("camera"), names.map((name) => [name, name]), camera, open), h("p", { class: "quiet" }, t("zones_about")));
  place.append(head, board);
  await open(camera);
  return {
    unsaved: () => editor.unsaved(),
    hear(kind, about) {
      if (kind === "zones" && about.camera === camera && !editor.unsaved()) editor.take(about.zones);
    },
  };
}

class Editor {
  constructor(camera, status, labels) {
    this.camera = camera;
    this.labels = labels;
    this.width = status.width || 1280;
    this.height = status.height || 720;
    this.zones = [];
    this.kept = "[]";
    this.chosen = -1;
    this.draft = null;
    /** The corner that was touched last, [zone, corner]. */
    this.picked = null;
    this.picture = h("img", { alt: "", src: `/api/cameras/${camera}/picture.jpg?plain=true&last=true&at=${Date.now()}` });
    this.picture.addEventListener("load", () => {
      this.width = this.picture.naturalWidth;
      this.height = this.picture.naturalHeight;
      this.none.hidden = true;
      this.draw();
    });
    this.picture.addEventListener("error", () => {
      this.picture.hidden = true;
      this.none.hidden = false;
    });
    this.none = h("p", { class: "over", hidden: true }, t("no_picture"));
    this.sheet = document.createElementNS(SVG, "svg");
    this.sheet.addEventListener("pointerdown", (event) => this.down(event));
    this.sheet.addEventListener("pointermove", (event) => this.move(event));
    this.sheet.addEventListener("pointerup", () => this.up());
    this.sheet.addEventListener("pointercancel", () => this.up());
    this.sheet.addEventListener("keydown", (event) => this.key(event));
    this.list = h("ul", { class: "zonelist" });
    this.corners = h("div", { class: "row" });
    this.hint = h("p", { class: "quiet hint" });
    this.tools = h("div", { class: "row" });
    this.ends = h("div", { class: "row ends" });
    this.element = h("div", { class: "editor" }, h("div", { class: "still" }, this.picture, this.none, this.sheet), h("div", { class: "side" }, this.tools, this.corners, this.hint, this.list, this.ends));
  }

  async load() {
    const said = await ask(`/api/cameras/${this.camera}/zones`);
    this.take(said.zones);
  }

  take(zones) {
    this.zones = structuredClone(zones);
    this.kept = JSON.stringify(this.zones);
    this.chosen = -1;
    this.draft = null;
    this.show();
  }

  unsaved() {
    return this.draft !== null || JSON.stringify(this.zones) !== this.kept;
  }

  async save() {
    const said = await ask(`/api/cameras/${this.camera}/zones`, { method: "PUT", body: this.zones });
    this.take(said.zones);
    say(t("saved"));
  }

  add(polygon) {
    let number = this.zones.length + 1;
    while (this.zones.some((zone) => zone.name === t("zone_n", { n: number }))) number++;
    this.zones.push({ name: t("zone_n", { n: number }), mode: "ignore", polygon, labels: [] });
    this.chosen = this.zones.length - 1;
    this.draft = null;
    this.show();
  }

  /** A rectangle that lies on no other's corner. */
  free() {
    const isTaken = (at) => this.zones.some((zone) => zone.polygon.some(([x, y]) => Math.hypot(x - at, y - at) < 0.02));
    let at = 0.1;
    while (isTaken(at) && at < 0.55) at += 0.05;
    const [low, high] = [at, at + 0.4].map((value) => Math.round(value * 1e4) / 1e4);
    return [[low, low], [high, low], [high, high], [low, high]];
  }

  /** A corner more, between that one and the next; or that one less. */
  corner(i, n, isMore) {
    const { polygon } = this.zones[i];
    const [[x0, y0], [x1, y1]] = [polygon[n], polygon[(n + 1) % polygon.length]];
    const half = (a, b) => Math.round(((a + b) / 2) * 1e4) / 1e4;
    if (isMore && polygon.length < MOST) polygon.splice(n + 1, 0, [half(x0, x1), half(y0, y1)]);
    if (!isMore && polygon.length > 3) polygon.splice(n, 1);
    this.picked = null;
    this.show();
  }

  finish() {
    if (this.draft.length >= 3) this.add(this.draft);
  }

  /** Everything but the picture. */
  show() {
    const button = (words, click, properties = {}) => h("button", { type: "button", onclick: click, ...properties }, words);
    const undo = () => {
      this.draft.pop();
      this.show();
    };
    const set = (draft) => {
      this.draft = draft;
      this.chosen = -1;
      this.show();
    };
    this.tools.replaceChildren(
      ...(this.draft === null
        ? [
            button(t("draw"), () => set([]), { class: "draw" }),
            button(t("rectangle"), () => this.add(this.free())),
          ]
        : [button(t("finish"), () => this.finish(), { class: "primary", disabled: this.draft.length < 3 }), button(t("undo"), undo, { disabled: !this.draft.length }), button(t("cancel"), () => set(null))]),
    );
    const isTouched = window.matchMedia("(pointer: coarse)").matches;
    this.hint.textContent = t(this.draft !== null ? "drawing" : isTouched ? "fingers" : "keys");
    this.list.replaceChildren(...(this.zones.length ? this.zones.map((zone, i) => this.item(zone, i)) : [h("li", { class: "empty" }, t("no_zones"))]));
    this.mark();
    this.draw();
  }

  item(zone, i) {
    const name = h("input", { value: zone.name, maxlength: 60, required: true, oninput: () => ((zone.name = name.value), this.mark()) });
    const boxes = this.labels.map((one) => {
      const box = h("input", { type: "checkbox", checked: zone.labels.includes(one), onchange: () => this.label(zone, one, box.checked) });
      return h("label", { class: "tick" }, box, label(one));
    });
    const mode = choice(t("mode"), [["count", t("count")], ["ignore", t("ignore")]], zone.mode, (value) => {
      zone.mode = value;
      means.textContent = value === "count" ? t("count_means") : "";
      means.closest(".zone").dataset.mode = value;
      this.mark();
      this.draw();
    });
    // A tap alone must silence no camera unnoticed.
    const means = h("p", { class: "hint noted" }, zone.mode === "count" ? t("count_means") : "");
    return h(
      "li",
      { class: i === this.chosen ? "zone chosen" : "zone", "data-mode": zone.mode, onfocusin: () => this.choose(i) },
      h("label", { class: "field" }, h("span", {}, t("name")), name),
      mode,
      means,
      h("fieldset", { class: "ticks" }, h("legend", {}, t("for_labels")), boxes, zone.labels.length ? null : h("span", { class: "quiet" }, t("all_labels"))),
      h("button", { type: "button", class: "plain", onclick: () => this.remove(i) }, t("remove")),
    );
  }

  label(zone, one, isOn) {
    zone.labels = this.labels.filter((name) => (name === one ? isOn : zone.labels.includes(name)));
    this.show();
  }

  remove(i) {
    this.zones.splice(i, 1);
    this.chosen = -1;
    this.show();
  }

  choose(i) {
    if (this.chosen === i) return;
    this.chosen = i;
    [...this.list.children].forEach((item, n) => item.classList.toggle("chosen", n === i));
    this.draw();
  }

  mark() {
    const isNew = this.unsaved();
    const isWhole = this.zones.every((zone) => zone.name.trim());
    this.ends.replaceChildren(
      h("button", { type: "button", class: "primary save", disabled: !isNew || !isWhole || this.draft !== null, onclick: () => this.save() }, t("save")),
      h("button", { type: "button", disabled: !isNew, onclick: () => this.take(JSON.parse(this.kept)) }, t("discard")),
      h("span", { class: "quiet", role: "status" }, isNew ? t("unsaved") : ""),
    );
  }

  // --- the sheet ---

  draw() {
    const [i, n] = this.picked ?? [];
    const isPicked = this.draft === null && this.zones[i]?.polygon[n] !== undefined;
    this.corners.hidden = !isPicked;
    if (isPicked && this.corners.dataset.of !== `${i} ${n} ${this.zones[i].polygon.length}`) {
      this.corners.dataset.of = `${i} ${n} ${this.zones[i].polygon.length}`;
      this.corners.replaceChildren(
        h("button", { type: "button", onclick: () => this.corner(i, n, true) }, t("corner_more")),
        h("button", { type: "button", disabled: this.zones[i].polygon.length <= 3, onclick: () => this.corner(i, n, false) }, t("corner_less")),
      );
    }
    const [width, height] = [this.width, this.height];
    this.sheet.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.sheet.classList.toggle("drawing", this.draft !== null);
    const unit = width / (this.sheet.clientWidth || width);
    const points = (polygon) => polygon.map(([x, y]) => `${x * width},${y * height}`).join(" ");
    const shape = (tag, attributes, words) => {
      const element = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      if (words) element.textContent = words;
      return element;
    };
    const focused = document.activeElement?.dataset?.corner;
    const shapes = [];
    this.zones.forEach((zone, i) => {
      const chosen = i === this.chosen ? " chosen" : "";
      shapes.push(shape("polygon", { points: points(zone.polygon), class: `area ${zone.mode}${chosen}`, "data-zone": i }));
      const x = zone.polygon.reduce((sum, corner) => sum + corner[0], 0) / zone.polygon.length;
      const y = zone.polygon.reduce((sum, corner) => sum + corner[1], 0) / zone.polygon.length;
      shapes.push(shape("text", { x: x * width, y: y * height, "font-size": 15 * unit, "text-anchor": "middle" }, zone.name));
    });
    this.zones.forEach((zone, i) => {
      zone.polygon.forEach(([x, y], n) => {
        const isChosen = i === this.chosen;
        shapes.push(
          shape("circle", {
            ...{ cx: x * width, cy: y * height, r: (isChosen ? 8 : 5) * unit, class: `corner ${zone.mode}`, "data-corner": `${i} ${n}` },
            ...{ tabindex: 0, role: "button", "aria-label": t("corner", { n: n + 1, zone: zone.name }) },
          }),
        );
      });
    });
    if (this.draft) {
      shapes.push(shape("polyline", { points: points(this.draft), class: "draft" }));
      this.draft.forEach(([x, y], n) => shapes.push(shape("circle", { cx: x * width, cy: y * height, r: (n ? 5 : 9) * unit, class: "corner draft" })));
    }
    this.sheet.replaceChildren(...shapes);
    if (focused) this.sheet.querySelector(`[data-corner="${focused}"]`)?.focus();
  }

  place(event) {
    const box = this.sheet.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    const round = (value) => Math.round(value * 1e4) / 1e4;
    return [round(share((event.clientX - box.left) / box.width)), round(share((event.clientY - box.top) / box.height))];
  }

  down(event) {
    if (event.button !== 0) return;
    const at = this.place(event);
    if (this.draft) {
      event.preventDefault();
      const box = this.sheet.getBoundingClientRect();
      const near = ([x, y]) => Math.hypot((x - at[0]) * box.width, (y - at[1]) * box.height) < NEAR;
      if (this.draft.length >= 3 && near(this.draft[0])) this.finish();
      else if (this.draft.length < MOST && !(this.draft.length && near(this.draft.at(-1)))) this.draft.push(at);
      this.draft === null || this.show();
      return;
    }
    const { corner, zone } = event.target.dataset;
    if (corner === undefined && zone === undefined) {
      this.choose(-1);
      return;
    }
    event.preventDefault();
    const [i, n] = (corner ?? `${zone} -1`).split(" ").map(Number);
    if (n >= 0) this.picked = [i, n];
    this.choose(i);
    this.dragged = { i, n, from: at, polygon: structuredClone(this.zones[i].polygon) };
    this.sheet.setPointerCapture(event.pointerId);
    if (n >= 0) this.sheet.querySelector(`[data-corner="${i} ${n}"]`).focus();
  }

  move(event) {
    if (!this.dragged) return;
    const { i, n, from, polygon } = this.dragged;
    const at = this.place(event);
    if (n >= 0) this.zones[i].polygon[n] = at;
    else this.zones[i].polygon = shifted(polygon, at[0] - from[0], at[1] - from[1]);
    this.draw();
  }

  up() {
    if (!this.dragged) return;
    this.dragged = null;
    this.draw();
    this.mark();
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const corner = event.target.dataset.corner;
    if (corner === undefined) return;
    const [i, n] = corner.split(" ").map(Number);
    const { polygon } = this.zones[i];
    if (event.key in steps) {
      const far = event.shiftKey ? 0.05 : 0.01;
      const [dx, dy] = steps[event.key];
      polygon[n] = shifted([polygon[n]], dx * far, dy * far)[0];
    } else if (["Delete", "Backspace"].includes(event.key) && polygon.length > 3) {
      polygon.splice(n, 1);
    } else {
      return;
    }
    event.preventDefault();
    this.choose(i);
    this.draw();
    this.mark();
  }
}

/** Moved as far as the picture reaches. */
function shifted(polygon, dx, dy) {
  const within = (values, d) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), d));
  const [x, y] = [within(polygon.map((corner) => corner[0]), dx), within(polygon.map((corner) => corner[1]), dy)];
  return polygon.map((corner) => [corner[0] + x, corner[1] + y].map((value) => Math.min(1, Math.max(0, Math.round(value * 1e4) / 1e4))));
}
