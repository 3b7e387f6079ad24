// Questions that wait for a person, and what was answered.
import { html, useState } from "./lib.mjs";
import { send, place } from "./data.mjs";
import { State, Time, Trouble, Empty, Fact, Filters, More, usePages } from "./parts.mjs";

const STATUSES = [["", "All"], ...["open", "approved", "rejected", "skipped", "expired", "cancelled"].map((each) => [each, each])];

export function ApprovalsView() {
  const [status, setStatus] = useState("");
  const { items, data, error, load, next, more, isBusy } = usePages("approvals", { status }, keyOf);
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1">Approvals</h1>
      <${Filters} label="Show" value=${status} options=${STATUSES} onChange=${setStatus} /></header>
    <${Trouble} error=${error} />
    <div class="cards">${items.map((row) => row.status === "open" ? html`<${Question} key=${row.approval_id} row=${row} onDecided=${load} />` : html`<${Answered} key=${row.approval_id} row=${row} />`)}</div>
    ${data && !items.length && !next && !isBusy ? html`<${Empty}>Nobody asks anything.<//>` : null}
    ${next ? html`<${More} onMore=${more} isBusy=${isBusy}>More answers<//>` : null}
  </section>`;
}

function keyOf(row) {
  return row.approval_id;
}

export function Question({ row, onDecided }) {
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState("");
  const [error, setError] = useState(null);
  const decide = async (decision) => {
    setBusy(decision);
    setError(null);
    try {
      await send(`approvals/${place(row.approval_id)}`, { decision, comment });
    } catch (found) {
      setError(found);
    }
    setBusy("");
    onDecided();
  };
  const title = `q-${row.approval_id}`;
  return html`<article class="card question" aria-labelledby=${title}><h2 id=${title}><span class="dim">${row.approval_id}</span> ${row.message}</h2>
    <p class="facts"><${State} state="open" /><span>asked by ${row.requested_by}</span><${Time} at=${row.requested_at} /><a href=${`#/tasks/${place(row.plan_id, row.task_id)}`}>${row.plan_id}/${row.task_id}</a>
      ${row.step ? html`<span>step ${row.step}</span>` : null}${row.expires_at ? html`<span>until <${Time} at=${row.expires_at} />, then ${row.on_timeout}</span>` : null}</p>
    ${row.code ? html`<pre tabindex="0" role="region" aria-label="The code that is asked about">${row.code}</pre>` : null}
    ${row.payload ? html`<pre tabindex="0" role="region" aria-label="What the answer is bound to">${row.payload}</pre>` : null}
    <p class="dim">${row.level_text || row.level}</p>
    <${Trouble} error=${error} />
    <form class="decide" onSubmit=${(e) => e.preventDefault()}>
      <input aria-label=${`Comment on ${row.approval_id}`} placeholder="Comment, kept with the answer" value=${comment} maxlength="2000" onInput=${(e) => setComment(e.target.value)} />
      <button type="button" class="good" disabled=${!!busy} onClick=${() => decide("approve")}>${busy === "approve" ? "Approving…" : "Approve"}</button>
      <button type="button" class="bad" disabled=${!!busy} onClick=${() => decide("reject")}>${busy === "reject" ? "Rejecting…" : "Reject"}</button></form></article>`;
}

function Answered({ row }) {
  return html`<details class="card"><summary><${State} state=${row.status} /><span class="dim">${row.approval_id}</span> <span>${row.message}</span></summary>
    <dl class="facts-list"><${Fact} name="answered">${row.decided_by || "nobody"}${row.channel && !row.decided_by?.includes(`(${row.channel}`) ? ` (${row.channel})` : ""} <${Time} at=${row.decided_at} /><//>
      ${row.comment ? html`<${Fact} name="comment">${row.comment}<//>` : null}
      <${Fact} name="asked">${row.requested_by} <${Time} at=${row.requested_at} /> in ${row.plan_id}/${row.task_id}<//>
      <${Fact} name="used">${row.is_used ? "yes, no other cell can act on it" : "not yet"}<//>
      <${Fact} name="level">${row.level_text || row.level}<//>
      <${Fact} name="bound to">SHA-256 ${row.approval_hash}<//></dl>
    ${row.code ? html`<pre tabindex="0" role="region" aria-label="The code that was asked about">${row.code}</pre>` : null}</details>`;
}
