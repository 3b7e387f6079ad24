// Workers and sessions: what they do, and what they used in the last minutes.
import { html, useState, useEffect } from "./lib.mjs";
import { ask, send, place } from "./data.mjs";
import { State, Time, duration, bytes, counted, Trouble, Empty, Dialog, useAnswer } from "./parts.mjs";
import { Records } from "./log.mjs";

const EVERY_MS = 2000;

export function WorkersView() {
  const { data, error, load } = useAnswer("workers", {}, ["workers", "rows"]);
  const [stop, setStop] = useState(null);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || load(), EVERY_MS);
    return () => clearInterval(timer);
  }, [load]);
  const items = data?.items || [];
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1">Workers</h1>
      ${data ? html`<${State} state=${data.health.ok ? "ok" : "blocked"} /><span class="dim">${counted(items.length, "worker")}, ${data.health.queue} waiting, ${bytes(data.health.memory_bytes)}</span>` : null}</header>
    <${Trouble} error=${error} />
    <div class="cards grid">${items.map((each) => html`<${Worker} key=${`${each.session}/${each.worker_id}`} worker=${each} onStop=${setStop} />`)}</div>
    ${data && !items.length ? html`<${Empty}>No workers. An isolated cell starts one.<//>` : null}
    <h2>Sessions</h2><${Sessions} sessions=${data?.sessions || []} hasData=${!!data} />
    <h2>What happened to workers</h2><${Records} params=${{ show: "workers" }} hasTask=${true} />
    ${stop ? html`<${Stop} worker=${stop} onClose=${() => { setStop(null); load(); }} />` : null}</section>`;
}

function Worker({ worker, onStop }) {
  const cpu = worker.history.map((each) => each[1]);
  const rss = worker.history.map((each) => each[2]);
  return html`<article class="card worker"><h2>${worker.name || worker.worker_id} <span class="dim">${worker.name ? worker.worker_id : ""}</span></h2>
    <p class="facts"><${State} state=${worker.state} /><span>${worker.kind}</span>${worker.pid ? html`<span>pid ${worker.pid}</span>` : null}<span>up ${duration(worker.uptime_s * 1000)}</span>${worker.restarts ? html`<span>${worker.restarts} restarts</span>` : null}</p>
    <div class="lines"><${Line} name="CPU" values=${cpu} now=${worker.cpu_pct == null ? "–" : `${Math.round(worker.cpu_pct)} %`} floor=${100} />
      <${Line} name="Memory" values=${rss} now=${bytes(worker.rss_bytes) || "–"} floor=${50e6} /></div>
    <p class="facts">${worker.task_id ? html`<span>${worker.task_id}</span>` : null}<span class="dim">session ${worker.session.slice(0, 8)}</span>
      ${worker.can_interrupt && (worker.state === "busy" || worker.state === "blocked") ? html`<button onClick=${() => onStop(worker)}>Interrupt…</button>` : null}</p></article>`;
}

function Line({ name, values, now, floor }) {
  const known = values.filter((each) => each != null);
  const top = Math.max(floor, ...known);
  const points = values.map((each, i) => `${(i * 160) / Math.max(values.length - 1, 1)},${36 - ((each || 0) * 32) / top}`).join(" ");
  return html`<div class="line"><span>${name}</span><b>${now}</b><svg viewBox="0 0 160 40" preserveAspectRatio="none" role="img" aria-label=${`${name} of the last ${Math.round((values.length * 2) / 60)} minutes, now ${now}`}><line x1="0" x2="160" y1="36" y2="36" class="base" />${values.length > 1 ? html`<polyline points=${points} />` : null}</svg></div>`;
}

function Sessions({ sessions, hasData }) {
  const [stacks, setStacks] = useState(null);
  const [error, setError] = useState(null);
  const look = async () => {
    setError(null);
    try { setStacks((await ask("stacks")).items); } catch (found) { setError(found); }
  };
  if (hasData && !sessions.length) return html`<${Empty}>No session lives.<//>`;
  const isHeld = sessions.some((each) => each.busy);
  return html`<ul class="cards">${sessions.map((each) => {
    const stack = stacks?.find((one) => one.session === each.session);
    return html`<li class="card" key=${each.session}><p class="facts"><${State} state=${each.trouble ? "lost" : each.busy ? "busy" : "idle"} /><b>${each.notebook || "no notebook"}</b><span>pid ${each.pid}</span>
      <span>${each.plan_id}/${each.task_id}</span><span>since <${Time} at=${each.started_at} /></span><span class="dim">${each.session.slice(0, 8)}</span></p>
      ${each.trouble ? html`<p class="about warn">${each.trouble}</p>` : null}
      ${each.cell ? html`<p class="about"><code>[${each.cell.execution_count ?? " "}] ${each.cell.code}</code> <span class="dim">for ${duration(each.cell.elapsed_ms)}</span></p>` : null}
      ${stack?.stack?.length ? html`<pre tabindex="0" role="region" aria-label="Where it is, innermost first">${stack.stack.map((f) => (typeof f === "string" ? f : `${f.file}:${f.line} in ${f.function}`)).join("\n")}</pre>` : null}</li>`;
  })}</ul><${Trouble} error=${error} />${isHeld ? html`<div class="acts"><button onClick=${look}>Where are they?</button></div>` : null}`;
}

function Stop({ worker, onClose }) {
  const [error, setError] = useState(null);
  const go = async () => {
    try { await send(`workers/${place(worker.session, worker.worker_id)}/interrupt`, {}); onClose(); } catch (found) { setError(found); }
  };
  return html`<${Dialog} title=${`Interrupt ${worker.name || worker.worker_id}?`} onClose=${onClose}><p>What it does ends with KeyboardInterrupt, as with Ctrl-C. The worker and its variables live on.</p>
    <${Trouble} error=${error} /><div class="acts end"><button type="button" onClick=${onClose}>Cancel</button><button type="button" class="bad" onClick=${go}>Interrupt</button></div><//>`;
}
