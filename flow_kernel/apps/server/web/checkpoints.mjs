// Checkpoints as a tree; what one holds, how two differ, and the way back with a dry run first.
import { html, useEffect, useRef, useState } from "./lib.mjs";
import { ask, send, place } from "./data.mjs";
import { Time, bytes, clock, counted, Trouble, Empty, Dialog, More, Search, useAnswer, usePages } from "./parts.mjs";

const LANE = 18;
const HEIGHT = 46;
const COLOURS = 6;

export function CheckpointsView({ sessions }) {
  const [q, setQ] = useState("");
  const { items: nodes, data, error, next, more, isBusy } = usePages("checkpoints", { q }, keyOf, ["state", "rows"]);
  const [chosen, setChosen] = useState(null);
  const [other, setOther] = useState(null);
  const [back, setBack] = useState(null);
  const pick = (one) => { setChosen(one.checkpoint_id === chosen ? null : one.checkpoint_id); setOther(null); };
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1">Checkpoints</h1>
      <${Search} label="Search names" value=${q} onChange=${setQ} />
      ${data?.total ? html`<span class="dim">${data.total.toLocaleString()} in all, the newest first${data.here ? `; you are at “${data.here.name}”` : ""}</span>` : null}</header>
    <${Trouble} error=${error} />
    ${(data?.damaged || []).map((each) => html`<p class="trouble" key=${each.checkpoint_id}><b>${each.checkpoint_id}</b> its manifest ${each.reason}</p>`)}
    ${data && !nodes.length && !isBusy ? html`<${Empty}>${q ? "No checkpoint of that name." : "No checkpoints yet. Take one: %checkpoint NAME"}<//>` : null}
    <div class=${chosen ? "split" : ""}><div class="tree">
      ${nodes.map((row) => html`<${TreeRow} key=${row.checkpoint_id} row=${row} width=${q ? 0 : data.width} isChosen=${row.checkpoint_id === chosen} onPick=${pick} />`)}
      ${next ? html`<${More} onMore=${more} isBusy=${isBusy}>Older checkpoints<//>` : null}
    </div>
    ${chosen ? html`<${One} key=${chosen} id=${chosen} other=${other} onOther=${setOther} sessions=${sessions} onBack=${setBack} onClose=${() => setChosen(null)} />` : null}</div>
    ${back ? html`<${Back} ask=${back} onClose=${() => setBack(null)} />` : null}
  </section>`;
}

function keyOf(node) {
  return node.checkpoint_id;
}

function TreeRow({ row, width, isChosen, onPick }) {
  const x = (lane) => lane * LANE + LANE / 2;
  const middle = HEIGHT / 2;
  const size = Math.max(width, 1) * LANE;
  if (!width) row = { ...row, lane: 0, above: [], below: [], joins: [] }; // found by a search: no tree
  const lines = [
    ...row.above.map((lane) => (row.joins.includes(lane) ? [lane, `M${x(lane)} 0C${x(lane)} ${middle} ${x(row.lane)} 0 ${x(row.lane)} ${middle}`] : [lane, `M${x(lane)} 0V${lane === row.lane ? middle : HEIGHT}`])),
    ...row.below.filter((lane) => lane === row.lane).map((lane) => [lane, `M${x(lane)} ${middle}V${HEIGHT}`]),
    ...row.below.filter((lane) => lane !== row.lane && !row.above.includes(lane)).map((lane) => [lane, `M${x(row.lane)} ${middle}C${x(row.lane)} ${HEIGHT} ${x(lane)} ${middle} ${x(lane)} ${HEIGHT}`]),
  ];
  const change = row.change;
  const words = change ? [...change.added.map((n) => `+${n}`), ...change.changed.map((n) => `~${n}`), ...change.removed.map((n) => `−${n}`), ...(change.has_files ? ["files"] : [])] : [];
  return html`<button class=${`node ${row.is_here ? "here" : ""}`} aria-pressed=${isChosen ? "true" : "false"} onClick=${() => onPick(row)}>
    <svg width=${size} height=${HEIGHT} aria-hidden="true">${lines.map(([lane, d], i) => html`<path key=${i} class=${`lane c${lane % COLOURS}`} d=${d} />`)}
      <circle class=${`dot c${row.lane % COLOURS} ${row.is_here ? "full" : ""}`} cx=${x(row.lane)} cy=${middle} r="5" /></svg>
    <span class="main"><span class="name">${row.name}</span>${row.is_here ? html`<span class="state run">you are here</span>` : null}
      ${row.remarks.map((each) => html`<span class="state warn" key=${each}>${each}</span>`)}${row.is_cut ? html`<span class="dim">its parent was deleted</span>` : null}
      <span class="diff">${words.slice(0, 12).join("  ")}${change && change.count > 12 ? ` … ${change.count} in all` : ""}</span></span>
    <span class="took">${counted(row.variable_count, "variable")}</span><span class="took">${bytes(row.bytes_new)}</span><${Time} at=${row.created_at} /></button>`;
}

function One({ id, other, onOther, sessions, onBack, onClose }) {
  const { data, error } = useAnswer(`checkpoints/${place(id)}`, {}, []);
  const kernels = sessions.filter((each) => each.has_kernel);
  const title = useRef(null);
  useEffect(() => { title.current?.scrollIntoView({ block: "nearest" }); }, [!!data]); // as of a record
  return html`<aside class="panel" aria-labelledby="one-title" onKeyDown=${(e) => e.key === "Escape" && onClose()}><header><h2 id="one-title" ref=${title}>${data?.name || id}</h2>
      <button class="plain" onClick=${onClose} aria-label="Close the checkpoint">✕</button></header>
    <${Trouble} error=${error} />
    ${data ? html`<p class="facts"><code>${data.checkpoint_id}</code><${Time} at=${data.created_at} /><span>${data.reason}</span><a href=${`#/tasks/${place(data.plan_id, data.task_id)}`}>${data.plan_id}/${data.task_id}</a></p>
      ${data.is_trusted ? null : html`<p class="trouble">Not signed with your key: restoring it would run code of whoever made it. It is refused here.</p>`}
      <div class="acts"><button onClick=${() => onBack({ id, name: data.name, what: "files" })}>Roll files back…</button>
        ${kernels.map((each) => html`<button key=${each.session} onClick=${() => onBack({ id, name: data.name, what: "state", session: each.session })}>Roll variables back${kernels.length > 1 ? ` in ${label(each)}` : ""}…</button>`)}
        ${kernels.length ? null : html`<span class="dim">No session lives that could take its variables.</span>`}</div>
      <${Others} id=${id} other=${other} onOther=${onOther} />
      ${other ? html`<${Difference} a=${id} b=${other.checkpoint_id} />` : html`<table class="vars"><caption>Variables</caption><tbody>${data.variables.map((each) => html`<tr key=${each.name}><th scope="row">${each.name}</th><td>${each.summary}</td></tr>`)}
        ${data.not_saved.map((each) => html`<tr key=${`-${each.name}`} class="warn"><th scope="row">${each.name}</th><td>not kept (${each.type}): ${each.reason}</td></tr>`)}</tbody></table>
        ${data.variables_more ? html`<p class="dim">and ${data.variables_more} more</p>` : null}
        <p><b>Files</b> ${data.files}</p>${data.left_out.map((each) => html`<p class="dim" key=${each}>${each}</p>`)}`}` : null}
  </aside>`;
}

// Any checkpoint of the home to compare with: the newest, older ones page by page, or by words.
function Others({ id, other, onOther }) {
  const [q, setQ] = useState("");
  const { items, data, error, next, more, isBusy } = usePages("checkpoints", { q }, keyOf);
  const found = items.filter((each) => each.checkpoint_id !== id);
  // What was chosen stays chosen while something else is looked for.
  const shown = other && !found.some((each) => each.checkpoint_id === other.checkpoint_id) ? [other, ...found] : found;
  const choose = (e) => onOther(shown.find((each) => each.checkpoint_id === e.target.value) || null);
  const total = (data?.total || 1) - 1;
  return html`<div class="others"><label class="pick"><span>Compare with</span><select value=${other?.checkpoint_id || ""} onChange=${choose}><option value="">–</option>
      ${shown.map((each) => html`<option key=${each.checkpoint_id} value=${each.checkpoint_id} selected=${each.checkpoint_id === other?.checkpoint_id}>${each.name} · ${clock(each.created_at)}</option>`)}</select></label>
    ${total > 10 ? html`<${Search} label="Find another by name" value=${q} onChange=${setQ} />` : null}
    <span class="dim" role="status">${isBusy ? "Loading…" : q && !found.length ? "No other checkpoint of that name." : q || next ? `${found.length.toLocaleString()}${next ? "" : " found"} of ${total.toLocaleString()}` : ""}</span>
    ${next ? html`<button class="plain" onClick=${more} disabled=${isBusy}>Offer older ones</button>` : null}
    <${Trouble} error=${error} /></div>`;
}

function label(session) {
  return session.notebook ? session.notebook.split("/").pop() : `session ${session.session.slice(0, 8)}`;
}

function Difference({ a, b }) {
  const { data, error } = useAnswer("checkpoints/diff", { a, b }, []);
  if (!data) return html`<${Trouble} error=${error} />`;
  const files = [...data.files.added.map((n) => ["+", n]), ...data.files.changed.map((n) => ["~", n]), ...data.files.removed.map((n) => ["−", n])];
  return html`<h3>${data.before} → ${data.after}</h3>
    ${!data.changes.length && !files.length ? html`<${Empty}>Nothing differs.<//>` : null}
    ${data.changes.length ? html`<table class="vars"><caption>Variables</caption><tbody>${data.changes.map((each) => html`<tr key=${each.name}><th scope="row">${each.sign} ${each.name}</th><td>${each.words}</td></tr>`)}</tbody></table>` : null}
    ${files.length ? html`<table class="vars"><caption>Files</caption><tbody>${files.map(([sign, name]) => html`<tr key=${name}><th scope="row">${sign} ${name}</th></tr>`)}</tbody></table>` : null}`;
}

// Nothing is done before what would be done was shown and confirmed.
function Back({ ask: { id, name, what, session }, onClose }) {
  const [shown, setShown] = useState(null);
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const go = async (confirm) => {
    setBusy(true);
    setError(null);
    try {
      setShown(await send(`checkpoints/${place(id)}/rollback`, { what, session: session || "", confirm: confirm || "" }));
    } catch (found) {
      setError(found);
    }
    setBusy(false);
  };
  const [isAsked, setAsked] = useState(false);
  if (!isAsked) { setAsked(true); go(""); }
  const noun = what === "files" ? "files of the project" : "variables of the session";
  return html`<${Dialog} title=${`Roll the ${noun} back to ${name}`} onClose=${onClose}>
    <${Trouble} error=${error} />
    ${shown?.is_stale ? html`<p class="trouble" role="alert">Something has changed since: this is what would be done now.</p>` : null}
    ${shown ? html`<pre class="told" tabindex="0" role="region" aria-label="What changes">${shown.lines.join("\n")}</pre>` : isBusy ? html`<p class="wait">Looking what would change…</p>` : null}
    ${shown && !shown.done ? html`<p class="dim">A safety checkpoint is taken first, so that this can be undone.</p>` : null}
    <div class="acts end"><button type="button" onClick=${onClose}>${shown?.done ? "Close" : "Cancel"}</button>
      ${shown && !shown.done ? html`<button type="button" class="bad" disabled=${isBusy} onClick=${() => go(shown.confirm)}>${isBusy ? "Rolling back…" : "Roll back"}</button>` : null}</div><//>`;
}
