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
