// Small parts that several views share. Every text of a user is a text node, never markup.
import { html, useEffect, useRef, useState, useCallback } from "./lib.mjs";
import { ask, listen } from "./data.mjs";

const AGAIN_MS = 2000;
export const MARKS = {
  ok: "✓", error: "✗", interrupted: "■", aborted: "–", death: "†", running: "▶", lost: "?",
  hidden: "·", note: "·", done: "✓", doing: "▶", todo: "○", planned: "○", failed: "✗",
  waiting: "?", cancelled: "–", open: "?", approved: "✓", rejected: "✗", skipped: "–", expired: "✗",
  success: "✓", pending: "○", idle: "○", busy: "▶", blocked: "!", starting: "○", dead: "†",
};
const TONES = {
  ok: "good", done: "good", approved: "good", success: "good", error: "bad", failed: "bad",
  death: "bad", rejected: "bad", expired: "bad", dead: "bad", blocked: "bad", interrupted: "warn",
  waiting: "warn", open: "warn", cancelled: "warn", lost: "warn", running: "run", doing: "run", busy: "run",
};

export function Mark({ state, title }) {
  return html`<span class=${`mark ${TONES[state] || "calm"}`} title=${title || state} aria-hidden="true">${MARKS[state] || "·"}</span>`;
}

export function State({ state }) {
  return html`<span class=${`state ${TONES[state] || "calm"}`}><span aria-hidden="true">${MARKS[state] || "·"} </span>${state}</span>`;
}

export function clock(at) {
  const date = new Date(at);
  if (!at || Number.isNaN(date.getTime())) return "";
  const today = new Date();
  const time = date.toLocaleTimeString([], { hour12: false });
  if (date.toDateString() === today.toDateString()) return time;
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time.slice(0, 5)}`;
}

export function Time({ at }) {
  return at ? html`<time datetime=${at} title=${at}>${clock(at)}</time>` : null;
}

export function duration(ms) {
  if (ms == null) return "";
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60000);
  return minutes < 60 ? `${minutes} min ${Math.round((ms % 60000) / 1000)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function counted(count, one) {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

export function bytes(count) {
  if (count == null) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export function Trouble({ error }) {
  if (!error) return null;
  return html`<div class="trouble" role="alert"><b>${error.message}</b>${error.hint ? html`<span>${error.hint}</span>` : null}</div>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

export function More({ onMore, isBusy, children }) {
  const place = useRef(null);
  useEffect(() => {
    const seen = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && onMore(), { rootMargin: "400px" });
    seen.observe(place.current);
    return () => seen.disconnect();
  }, [onMore]);
  return html`<div class="more" ref=${place}><button onClick=${onMore} disabled=${isBusy}>${isBusy ? "Loading…" : children}</button></div>`;
}

// Asks again what could not be answered for a reason that passes.
export function useAgain(error, load) {
  useEffect(() => {
    if (!error?.isPassing) return undefined;
    const timer = setTimeout(load, AGAIN_MS);
    return () => clearTimeout(timer);
  }, [error, load]);
}

// The answer to a question, asked again when the server says that something of `topics` is new:
// once the answer is there that is waited for, or a slow one would never be seen.
export function useAnswer(path, params, topics = ["state"]) {
  const [found, setFound] = useState({ data: null, error: null, isBusy: true });
  const key = JSON.stringify([path, params]);
  const running = useRef(null);
  const load = useCallback(async () => {
    if (running.current) { running.current.again = true; return; }
    const one = (running.current = { stop: new AbortController(), again: true });
    while (one.again) {
      one.again = false;
      let told;
      try {
        const data = await ask(path, params, one.stop.signal);
        told = () => ({ data, error: null, isBusy: false });
      } catch (error) {
        told = (old) => ({ ...old, error, isBusy: false });
      }
      if (running.current !== one) return; // another question has taken its place
      setFound(told);
    }
    running.current = null;
  }, [key]);
  useEffect(() => {
    setFound((old) => ({ ...old, isBusy: true }));
    load();
    const stop = listen((news) => {
      if (news.reload || topics.some((topic) => news[topic] === true || news[topic]?.length)) load();
    });
    return () => { stop(); running.current?.stop.abort(); running.current = null; };
  }, [load]);
  useAgain(found.error, load);
  return { ...found, load };
}

const ONE_PAGE = 100;
const MOST_ANEW = 500;

// A long list, page by page as it is scrolled. When something is new, what is shown is asked for anew:
// of a very long list its beginning, and the rest stays behind it.
export function usePages(path, params, keyOf, topics = ["state"]) {
  const key = JSON.stringify([path, params]);
  const [list, setList] = useState({ key, items: [], data: null, next: null, error: null, isBusy: true });
  const current = useRef({});
  current.current.list = list;
  const load = useCallback(async (cursor = "") => {
    const before = current.current.asked;
    if (before) { before.again ||= !cursor; return; }
    const mine = (current.current.asked = { again: true, stop: new AbortController() });
    setList((old) => ({ ...old, isBusy: true }));
    while (mine.again) {
      mine.again = false;
      const from = cursor;
      const { items, key: shown } = current.current.list;
      const count = shown === key ? items.length : 0;
      try {
        const limit = from ? ONE_PAGE : Math.min(Math.max(count, ONE_PAGE), MOST_ANEW);
        const page = await ask(path, { ...params, limit, cursor: from }, mine.stop.signal);
        if (current.current.asked !== mine) return;
        setList((old) => (from ? appended(old, page, keyOf) : renewed(old, page, key, keyOf)));
      } catch (found) {
        if (current.current.asked !== mine) return;
        setList((old) => ({ ...old, error: Object.assign(found, { cursor: from }) }));
      }
      cursor = "";
    }
    current.current.asked = null;
    setList((old) => ({ ...old, isBusy: false }));
  }, [key]);
  const more = useCallback(() => { if (list.next) load(list.next); }, [load, list.next]);
  useAgain(list.error, useCallback(() => load(list.error?.cursor), [load, list.error]));
  useEffect(() => {
    setList((old) => (old.key === key ? old : { ...old, next: null })); // of another list
    load();
    const stop = listen((news) => {
      if (news.reload || topics.some((topic) => news[topic] === true || news[topic]?.length)) load();
    });
    return () => { stop(); current.current.asked?.stop.abort(); current.current.asked = null; };
  }, [load]);
  return { ...list, load, more };
}

function renewed(old, page, key, keyOf) {
  const facts = { key, data: page, error: null };
  const known = new Set(page.items.map(keyOf));
  const last = page.items.length ? keyOf(page.items.at(-1)) : null;
  const at = old.key !== key || !page.next ? old.items.length : last === null ? 0 : old.items.findIndex((each) => keyOf(each) === last) + 1;
  // Where the last row was not among those before, what follows it is not known any more.
  const rest = last !== null && at === 0 ? [] : old.items.slice(at).filter((each) => !known.has(keyOf(each)));
  return { ...old, ...facts, items: [...page.items, ...rest], next: rest.length ? old.next : page.next };
}

function appended(old, page, keyOf) {
  const known = new Set(old.items.map(keyOf));
  const width = Math.max(old.data?.width || 0, page.width || 0);
  return { ...old, data: { ...old.data, width }, error: null, next: page.next, items: [...old.items, ...page.items.filter((each) => !known.has(keyOf(each)))] };
}

export function Names({ sign, names, label }) {
  if (!names?.names?.length) return null;
  return html`<span class="names" title=${label}><span class="sign" aria-label=${label}>${sign}</span>${names.names.join(", ")}${names.more ? ` and ${names.more} more` : ""}</span>`;
}

export function Fact({ name, children }) {
  return html`<div class="fact"><dt>${name}</dt><dd>${children}</dd></div>`;
}

// A dialog of the browser: it keeps the keyboard inside, and Escape closes it.
export function Dialog({ title, onClose, children }) {
  const place = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    place.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${place} aria-labelledby="dialog-title" onClose=${onClose} onCancel=${onClose}>
    <h2 id="dialog-title">${title}</h2>${children}</dialog>`;
}

export function Filters({ label, value, options, onChange }) {
  return html`<label class="pick"><span>${label}</span><select value=${value} onChange=${(e) => onChange(e.target.value)}>
    ${options.map(([key, text]) => html`<option value=${key} key=${key} selected=${key === value}>${text}</option>`)}</select></label>`;
}

// A search that is asked once the keyboard has rested for a moment.
export function Search({ value, onChange, label }) {
  const [text, setText] = useState(value);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => onChange(text), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<input type="search" aria-label=${label} placeholder=${label} value=${text} spellcheck=${false}
    onInput=${(e) => setText(e.target.value)} onKeyDown=${(e) => e.key === "Enter" && onChange(e.target.value)} />`;
}
