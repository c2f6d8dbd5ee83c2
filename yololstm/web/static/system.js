/** How cameras and receivers do, and the program. */
import { ask, h } from "./parts.js";
import { bytes, duration, t, when } from "./words.js";

export async function system(place, site) {
  place.append(h("h1", { class: "unseen" }, t("system")));
  const cameras = h("tbody");
  const receivers = h("div");
  const program = h("dl");
  const device = h("div");
  const table = (heads, body) => h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((words) => h("th", { scope: "col" }, words)))), body));
  const panel = (words, ...children) => h("section", { class: "panel" }, h("h2", {}, words), ...children);
  place.append(
    panel(t("cameras"), table([t("camera"), t("state"), "fps", t("read"), t("looked"), t("lost_frames"), t("connections"), t("size")], cameras)),
    panel(t("receivers"), receivers),
    panel(t("this_device"), device),
    panel(t("program"), program),
  );

  function tell() {
    cameras.replaceChildren(
      ...[...site.cameras.values()].map((one) => {
        const state = h("span", { class: "state", "data-state": one.state }, t(`state_${one.state}`));
        const since = h("span", { class: "quiet" }, ` ${[one.why, t("since", { time: when(one.since) })].filter(Boolean).join(" · ")}`);
        const figures = [one.fps.toFixed(1), one.read, one.looked, one.dropped, one.connections, one.width ? `${one.width}×${one.height}` : "–"];
        return h("tr", {}, h("th", { scope: "row" }, one.camera), h("td", { class: "how" }, state, since), figures.map((figure) => h("td", { class: "figure" }, String(figure))));
      }),
    );
  }

  async function load() {
    const about = await ask("/api/system", { quietly: true });
    const rows = Object.entries(about.outbox).map(([channel, counts]) => {
      const name = channel === "upload" ? t("uploads") : channel;
      const trouble = counts.is_told ? counts.why : t("told_no_more");
      const oldest = counts.waiting ? duration(counts.oldest_s) : "–";
      const refused = h("td", { class: counts.refused ? "figure noted" : "figure" }, String(counts.refused));
      const why = h("td", { class: "how quiet" }, counts.waiting || counts.refused ? trouble : "");
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "figure" }, String(counts.waiting)), refused, h("td", { class: "figure" }, String(counts.sent)), h("td", { class: "figure" }, oldest), why);
    });
    const none = h("p", { class: "empty" }, t("no_receivers"));
    receivers.replaceChildren(rows.length ? table(["", t("waiting"), t("refused"), t("sent"), t("oldest"), t("trouble")], h("tbody", {}, rows)) : none);
    const fact = (name, words) => [h("dt", {}, name), h("dd", {}, words)];
    program.replaceChildren(
      ...fact(t("version"), about.version),
      ...fact(t("running_since"), when(about.started)),
      ...fact(t("free_disk"), bytes(about.free_bytes)),
      ...fact(t("watching"), String(about.watching)),
      ...fact(t("api"), h("a", { href: "/api/docs" }, "/api/docs")),
    );
  }

  /** Browsers ask whoever uses them, once, and only over TLS or on the machine itself. */
  function tellDevice() {
    if (!window.Notification || !window.isSecureContext) {
      device.replaceChildren(h("p", { class: "quiet" }, t("notify_cannot")));
      return;
    }
    const isOn = localStorage.getItem("notify") === "yes" && Notification.permission === "granted";
    const click = async () => {
      const isWanted = !isOn && (await Notification.requestPermission()) === "granted";
      localStorage.setItem("notify", isWanted ? "yes" : "no");
      tellDevice();
    };
    const words = Notification.permission === "denied" ? t("notify_denied") : t("notify_about");
    device.replaceChildren(h("div", { class: "row" }, h("button", { type: "button", "aria-pressed": String(isOn), onclick: click }, t("notify")), h("span", { class: "quiet" }, words)));
  }

  tell();
  tellDevice();
  await load().catch(() => {});
  const timer = setInterval(() => document.hidden || load().catch(() => {}), 5000);
  return { stop: () => clearInterval(timer), hear: (kind) => kind === "camera" && tell() };
}
