// The log: pages of records, the newest first, with search; new ones arrive by themselves.
import { html, useState, useEffect, useCallback, useRef } from "./lib.mjs";
import { ask, listen, runningCells } from "./data.mjs";
import { Mark, Time, bytes, clock, duration, Names, Trouble, Empty, More, Filters, Search, useAgain } from "./parts.mjs";
import { RecordPanel } from "./record.mjs";

const MOST = 2000;
const PAGE = 100;
const SHOWN = [["all", "Everything"], ["cells", "Cells"], ["failed", "Failures"], ["tasks", "Tasks and answers"], ["workers", "Workers"]];
const KINDS = {
  cells: ["cell", "death"], failed: ["cell", "death"], workers: ["worker"],
  tasks: ["task", "plan", "step", "context", "tag", "approval", "run"],
};

export function LogView({ plans }) {
  const [show, setShow] = useState("all");
  const [plan, setPlan] = useState("");
  const [q, setQ] = useState("");
  const names = [["", "All plans"], ...plans.map((each) => [each.plan_id, each.plan_id])];
  return html`<section aria-labelledby="view-title">
    <header class="bar"><h1 id="view-title" tabindex="-1">Log</h1>
      <${Search} label="Search code, output, errors, names" value=${q} onChange=${setQ} />
      <${Filters} label="Show" value=${show} options=${SHOWN} onChange=${setShow} />
      ${plans.length > 1 ? html`<${Filters} label="Plan" value=${plan} options=${names} onChange=${setPlan} />` : null}
    </header>
    <${Records} params=${{ show, plan, q }} hasTask=${true} />
  </section>`;
}

export function Records({ params, hasTask }) {
  const key = JSON.stringify(params);
  const [list, setList] = useState({ items: [], next: null, isBusy: true });
  const [running, setRunning] = useState(runningCells());
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState(null);
  const current = useRef({});
  current.current.list = list;

  // One question at a time: a page that was asked for earlier must not replace a later one. What the
  // server tells meanwhile may be missing in its answer, which it began to read before. Where a part of
  // the log has too little that is meant, the next part is looked through at once, until it is enough.
  const load = useCallback(async (cursor = "") => {
    const before = current.current.asked;
    if (before && before.key === key && !before.cursor && !cursor) { before.again = true; return; }
    before?.stop.abort();
    const mine = (current.current.asked = { key, cursor, heard: [], again: true, stop: new AbortController() });
    setList((old) => ({ ...old, isBusy: true, isSearching: !!cursor && old.isStopped, isStopped: false }));
    let count = 0;
    while (mine.again) {
      const from = mine.cursor;
      if (!from) count = 0;
      mine.again = false;
      mine.heard = [];
      try {
        const page = await ask("records", { ...params, limit: PAGE, cursor: from }, mine.stop.signal);
        if (current.current.asked !== mine) return;
        setError(null);
        count += page.items.length;
        const goesOn = page.is_cut && count < PAGE && !!page.next && !mine.again;
        if (goesOn) Object.assign(mine, { again: true, cursor: page.next });
        setList((old) => ({ ...merged(old, page, from, mine.heard, params.q), isBusy: goesOn, isSearching: goesOn }));
      } catch (found) {
        if (current.current.asked !== mine) return;
        setError(Object.assign(found, { cursor: from }));
        setList((old) => ({ ...old, isBusy: false, isSearching: false, isStopped: old.isSearching }));
      }
    }
    current.current.asked = null;
  }, [key]);
  const newest = useCallback(() => load(""), [load]);
  const older = useCallback(() => {
    const { list: now, asked } = current.current;
    if (now.next && !asked) load(now.next);
  }, [load]);
  const stop = () => {
    current.current.asked?.stop.abort();
    current.current.asked = null;
    setList((old) => ({ ...old, isBusy: false, isSearching: false, isStopped: true }));
  };
  useAgain(error, useCallback(() => load(error?.cursor), [load, error]));

  useEffect(() => {
    setList((old) => ({ ...old, next: null })); // of another list
    newest();
    return () => { current.current.asked?.stop.abort(); current.current.asked = null; };
  }, [newest]);
  useEffect(() => {
    setRunning(runningCells());
    return listen((news) => {
      setRunning(runningCells());
      if (news.reload) { newest(); return; }
      const rows = (news.rows || []).filter((row) => row.kind !== "cell_started" && isMeant(row, params));
      if (!rows.length) return;
      current.current.asked?.heard.push(...rows);
      setList((old) => (params.q || old.isShifted ? { ...old, hasNew: true } : { ...old, items: withNew(old.items, rows) }));
    });
  }, [key, newest]);

  const back = () => { newest(); window.scrollTo(0, 0); };
  const ended = new Set(list.items.map((row) => row.span_id));
  const begun = params.q ? [] : running.filter((row) => isMeant(row, params) && !ended.has(row.span_id)).reverse();
  const rows = [...begun, ...list.items];
  const isSearch = !!params.q || params.show !== "all";
  return html`<div class=${chosen ? "split" : ""}><div class="list">
    <${Trouble} error=${error} />
    ${list.hasNew || list.isShifted ? html`<p class="new"><button onClick=${back}>${list.hasNew ? "There are newer records: show them" : "Back to the newest"}</button></p>` : null}
    <ol class=${hasTask ? "rows" : "rows alone"} aria-label="Records, the newest first" aria-busy=${list.isBusy}>
      ${rows.map((row) => html`<${Row} key=${keyOf(row)} row=${row} hasTask=${hasTask}
        isChosen=${chosen && keyOf(chosen) === keyOf(row)} onChoose=${setChosen} />`)}
    </ol>
    ${!rows.length && !list.isBusy && !error ? html`<${Empty}>${!isSearch ? "No records yet. Run a cell on the kernel flow." : list.next ? "Nothing found so far." : "Nothing found in the whole log."}<//>` : null}
    ${list.isSearching || list.isStopped ? html`<${Progress} list=${list} onStop=${stop} onMore=${older} />`
      : list.next ? html`<${More} onMore=${older} isBusy=${list.isBusy}>Older records<//>` : null}
  </div>
  ${chosen ? html`<${RecordPanel} row=${chosen} key=${keyOf(chosen)} onClose=${() => setChosen(null)} />` : null}</div>`;
}

// How far back a search is that has not found enough yet. It goes on by itself, and is stopped here.
function Progress({ list, onStop, onMore }) {
  const share = list.totalBytes ? Math.floor((100 * (list.totalBytes - list.leftBytes)) / list.totalBytes) : 0;
  return html`<div class="progress"><progress max="100" value=${share} aria-label="Of the log that was searched"></progress>
    <span role=${list.isStopped ? "status" : null}>${list.isStopped ? "Stopped" : "Searching"}: ${share} % of ${bytes(list.totalBytes)}, back to ${clock(list.until)}</span>
    ${list.isStopped ? html`<button onClick=${onMore}>Search further back</button>` : html`<button onClick=${onStop}>Stop</button>`}</div>`;
}

function Row({ row, hasTask, isChosen, onChoose }) {
  const label = row.count != null ? `[${row.count}]` : row.kind === "cell" ? "[ ]" : row.kind;
  return html`<li class=${`row ${row.mark}`}><button aria-pressed=${isChosen ? "true" : "false"} onClick=${() => onChoose(row)}>
    <${Mark} state=${row.mark} /><span class="hide">${row.mark} </span>
    <${Time} at=${row.at} /><span class="count">${label}</span>
    <span class="main"><span class=${row.kind === "cell" || row.kind === "cell_started" ? "code" : "text"}>${row.text || "–"}</span>
      ${row.note ? html`<span class="note">${row.note}</span>` : null}
      <span class="diff"><${Names} sign="+" label="added" names=${row.added} /><${Names} sign="~" label="changed" names=${row.changed} />
        <${Names} sign="−" label="removed" names=${row.removed} /><${Names} sign="↓" label="imported" names=${row.imports} /></span></span>
    ${hasTask ? html`<span class="task">${row.plan_id === "local" ? "" : `${row.plan_id}/`}${row.task_id}</span>` : null}
    <span class="took">${duration(row.elapsed_ms)}</span></button></li>`;
}

export function keyOf(row) {
  return `${row.session}.${row.seq}`;
}

function merged(old, page, cursor, heard, isSearch) {
  const facts = { next: page.next, until: page.until, leftBytes: page.left_bytes, totalBytes: page.total_bytes, hasNew: false };
  if (!cursor) return isSearch ? { ...facts, items: page.items, hasNew: heard.length > 0 } : { ...facts, items: withNew(page.items, heard) };
  const known = new Set(old.items.map(keyOf));
  const items = [...old.items, ...page.items.filter((row) => !known.has(keyOf(row)))];
  const isShifted = old.isShifted || items.length > MOST;
  return { ...facts, items: items.slice(-MOST), isShifted, hasNew: old.hasNew };
}

function isMeant(row, params) {
  if (params.plan && row.plan_id !== params.plan) return false;
  if (params.task && row.task_id !== params.task) return false;
  if (row.kind === "cell_started") return params.show === "all" || params.show === "cells";
  if (params.show === "failed" && row.kind === "cell" && row.mark === "ok") return false;
  return !KINDS[params.show] || KINDS[params.show].includes(row.kind);
}

function withNew(items, rows) {
  const known = new Set(items.map(keyOf));
  const fresh = rows.filter((row) => !known.has(keyOf(row)));
  return [...fresh.reverse(), ...items].slice(0, MOST);
}
