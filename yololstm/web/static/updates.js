/** What the server tells as it happens, and pictures of cameras, each over one connection. */
import { ask } from "./parts.js";

/** The server says something every few seconds: who hears nothing for so long is cut off. */
const SILENCE_MS = 12_000;
const AGAIN_MS = 5000;
const listeners = new Set();
let source = null;
let heard = 0;
let isLost = false;

/** hear(kind, about); kind "open" whenever the connection is there anew, "lost" once it is not. */
export function listen(hear) {
  listeners.add(hear);
  return () => listeners.delete(hear);
}

const tell = (kind, about) => listeners.forEach((hear) => hear(kind, about));

function lose() {
  if (!isLost) tell("lost", {});
  isLost = true;
}

export function connect() {
  source?.close();
  const mine = new EventSource("/api/updates");
  source = mine;
  heard = Date.now();
  mine.onopen = () => {
    heard = Date.now();
    isLost = false;
    tell("open", {});
  };
  mine.onerror = () => {
    lose();
    // A browser gives up on an answer that is no stream, such as 401 or 429.
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => again(mine), AGAIN_MS);
  };
  for (const kind of ["alive", "camera", "change", "verdicts", "recorded", "feedback", "zones"]) {
    mine.addEventListener(kind, (event) => {
      heard = Date.now();
      if (kind !== "alive") tell(kind, JSON.parse(event.data));
    });
  }
}

/** Whoever is not logged in any more is led to the login by the question. */
async function again(mine) {
  await ask("/api/cameras", { quietly: true }).catch(() => {});
  if (source === mine) connect();
}

setInterval(() => {
  if (source === null || Date.now() - heard < SILENCE_MS) return;
  lose();
  connect();
}, 1000);

/** query: of which cameras, and whether small. Calls show(camera, blob) with each picture, until the signal aborts; goes on after losses. */
export async function pictures(query, show, signal) {
  while (!signal.aborted) {
    try {
      const answer = await fetch(`/api/cameras/video?${query}`, { signal });
      if (answer.status === 401) location.replace("/login" + location.hash);
      if (answer.ok) await read(answer.body.getReader(), show);
    } catch (error) {
      if (signal.aborted) return;
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

async function read(reader, show) {
  let held = new Uint8Array(0);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    for (let part = next(held); part !== null; part = next(held)) {
      show(part.camera, new Blob([part.jpeg], { type: "image/jpeg" }));
      held = held.slice(part.end);
    }
  }
}

/** The first whole part of what has come; null where there is none. */
function next(held) {
  const head = headEnd(held);
  if (head < 0) return null;
  const headers = new TextDecoder().decode(held.subarray(0, head));
  const length = Number(/Content-Length: (\d+)/i.exec(headers)[1]);
  const end = head + 4 + length;
  if (held.length < end) return null;
  return { camera: /X-Camera: (\S+)/i.exec(headers)[1], jpeg: held.slice(head + 4, end), end };
}

function headEnd(held) {
  for (let i = 0; i + 3 < held.length; i++) {
    if (held[i] === 13 && held[i + 1] === 10 && held[i + 2] === 13 && held[i + 3] === 10) return i;
  }
  return -1;
}
