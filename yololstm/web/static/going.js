/** The events that have not ended: what is told of them, and anew what the journal has. */
import { ask } from "./parts.js";

const MOST = 200;
const EVERY_MS = 30_000;

export class Going {
  /** changed(): called whenever there are others. */
  constructor(changed) {
    this.changed = changed;
    this.events = new Map();
    this.heard = new Map();
    this.asked = 0;
    // Other processes may watch cameras of the site: of what they do nothing is told.
    setInterval(() => this.load().catch(() => {}), EVERY_MS);
  }

  of(camera) {
    return [...this.events.values()].filter((event) => event.camera === camera);
  }

  hear(event) {
    this.heard.set(event.id, event);
    this.put(event);
    this.changed();
  }

  /** As they are now; what is told meanwhile is newer. */
  async load() {
    const mine = ++this.asked;
    this.heard.clear();
    const found = await ask(`/api/events?state=open&limit=${MOST}`, { quietly: true });
    if (mine !== this.asked) return;
    this.events = new Map(found.events.map((event) => [event.id, event]));
    for (const event of this.heard.values()) this.put(event);
    this.changed();
  }

  put(event) {
    if (event.state === "end") this.events.delete(event.id);
    else this.events.set(event.id, event);
  }
}
