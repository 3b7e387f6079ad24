// What the page asks the server, and what the server tells it by itself.
const API = new URL("api/", document.baseURI.split(/[?#]/)[0]);

export class Refused extends Error {
  constructor(status, facts) {
    super(facts?.message || `the server answered ${status}`);
    this.status = status;
    this.hint = facts?.hint || "";
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
  return answered(await reached(url, { signal, credentials: "same-origin" }));
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
    throw new Refused(response.status, null);
  }
  if (!response.ok) throw new Refused(response.status, found.error || { message: found.message });
  return found;
}

function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

// -- what is new ---------------------------------------------------------------------------------

const listeners = new Set();
const status = { isOpen: false };
let wait = 500;

export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function isLive() {
  return status.isOpen;
}

function tell(news) {
  for (const listener of [...listeners]) listener(news);
}

export function watch() {
  const url = new URL("live", API);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  socket.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (!status.isOpen) {
      // What was written while nobody listened is on no list yet.
      status.isOpen = true;
      wait = 500;
      tell({ rows: [], reload: true, state: true, workers: true, status: true });
    }
    if (news.rows) tell(news);
  };
  socket.onclose = () => {
    status.isOpen = false;
    tell({ rows: [], status: true });
    setTimeout(watch, wait);
    wait = Math.min(wait * 2, 10000);
  };
}
