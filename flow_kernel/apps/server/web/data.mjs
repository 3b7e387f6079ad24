// What the page asks the server, and what the server tells it by itself.
const API = new URL("api/", document.baseURI.split(/[?#]/)[0]);
const ANSWER_MS = 30000;

export class Refused extends Error {
  constructor(status, facts) {
    super(facts?.message || `the server answered ${status}`);
    this.status = status;
    this.hint = facts?.hint || "";
  }

  // True where the same question may well be answered a moment later.
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function place(...parts) {
  return parts.map(encodeURIComponent).join("/");
}

export async function ask(path, params = {}, signal) {
  const url = new URL(path, API);
  for (const [key, value] of Object.entries(params)) {
    if (value !== "" && value != null) url.searchParams.set(key, value);
  }
  const late = new AbortController();
  const stop = () => late.abort(signal?.reason);
  const timer = setTimeout(() => late.abort("late"), ANSWER_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    return await answered(await reached(url, { signal: late.signal, credentials: "same-origin" }));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

export async function send(path, body) {
  const headers = { "Content-Type": "application/json", "X-XSRFToken": cookie("_xsrf") };
  const options = { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" };
  return answered(await reached(new URL(path, API), options));
}

export function frame(path, params = {}) {
  const url = new URL(path, new URL("../", API));
  for (const [key, value] of Object.entries(params)) url.searchParams.set(key, value);
  return url.href;
}

async function reached(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "the server does not answer", hint: "it may have ended; nothing is lost" });
  }
}

async function answered(response) {
  let found = null;
  try {
    found = await response.json();
  } catch {
    throw response.ok ? new Refused(0, { message: "the answer broke off" }) : new Refused(response.status, null);
  }
  if (!response.ok) throw new Refused(response.status, found.error || { message: found.message });
  return found;
}

function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

// -- what is new ---------------------------------------------------------------------------------

const SILENT_MS = 15000; // the server says something every four seconds
const MOST_WAIT_MS = 4000;
const listeners = new Set();
const status = { isOpen: false, running: [] };
let wait = 500;
let watching = null;

export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function isLive() {
  return status.isOpen;
}

// The cells that run now: all of them, whenever one has begun or ended. A view that comes late, or a
// message that was lost, changes nothing about what is seen in the end.
export function runningCells() {
  return status.running;
}

function tell(news) {
  for (const listener of [...listeners]) listener(news);
}

export function watch() {
  const url = new URL("live", API);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  let silence = null;
  const over = () => {
    clearTimeout(silence);
    if (watching?.socket !== socket) return; // told twice
    socket.onmessage = socket.onclose = null;
    socket.close();
    status.isOpen = false;
    status.running = [];
    tell({ rows: [], status: true });
    watching = { again: setTimeout(watch, wait) };
    wait = Math.min(wait * 2, MOST_WAIT_MS);
  };
  const heard = () => { clearTimeout(silence); silence = setTimeout(over, SILENT_MS); };
  watching = { socket };
  heard();
  socket.onclose = over;
  socket.onmessage = (event) => {
    heard();
    const news = JSON.parse(event.data);
    if (!status.isOpen) {
      // What was written while nobody listened is on no list yet.
      status.isOpen = true;
      wait = 500;
      tell({ rows: [], reload: true, state: true, workers: true, status: true });
    }
    if (news.running) status.running = news.running;
    if (news.rows) tell(news);
  };
}

// Whoever comes back to the page, or to the network, need not wait.
function now() {
  if (!watching?.again || document.hidden) return;
  clearTimeout(watching.again);
  watch();
}
addEventListener("online", now);
document.addEventListener("visibilitychange", now);
