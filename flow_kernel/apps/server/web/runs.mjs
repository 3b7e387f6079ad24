// Runs of workflows: a list, and one with its graph and steps.
import { html } from "./lib.mjs";
import { frame, place } from "./data.mjs";
import { State, Time, duration, Trouble, Empty, More, useAnswer, usePages } from "./parts.mjs";

export function RunsView() {
  const { items, data, error, next, more, isBusy } = usePages("runs", {}, keyOf);
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1">Runs</h1></header>
    <${Trouble} error=${error} />
    <ol class="cards">${items.map((run) => html`<li class="card" key=${run.run_id}><a class="cover" href=${`#/runs/${place(run.run_id)}`}>${run.workflow}</a>
      <p class="facts"><${State} state=${run.status} /><span>${run.run_id}</span><${Time} at=${run.started_at} /><span>${took(run)}</span></p>${run.reason ? html`<p class="about warn">${run.reason}</p>` : null}</li>`)}</ol>
    ${data && !items.length ? html`<${Empty}>Nothing was run yet: jupyter flow run FILE<//>` : null}
    ${next ? html`<${More} onMore=${more} isBusy=${isBusy}>Older runs<//>` : null}</section>`;
}

function keyOf(run) {
  return run.run_id;
}

function took(run) {
  return run.started_at && run.completed_at ? duration(new Date(run.completed_at) - new Date(run.started_at)) : "";
}

export function RunView({ runId }) {
  const { data, error } = useAnswer(`runs/${place(runId)}`, {}, ["state"]);
  // The picture is drawn anew when a step has another state, and not more often.
  const version = data ? data.steps.map((step) => `${step.state}${step.attempt}`).join() + data.status : "";
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1"><a href="#/runs">Runs</a> / ${data?.workflow || runId}</h1></header>
    <${Trouble} error=${error} />
    ${data ? html`<p class="facts"><${State} state=${data.status} /><span>${data.run_id}</span><${Time} at=${data.started_at} /><span>${took(data)}</span><a href=${`#/tasks/${place(data.plan_id, data.task_id)}`}>${data.plan_id}/${data.task_id}</a></p>
      <iframe class="graph" key=${version} style=${{ height: `${data.picture_px}px` }} title=${`The graph of ${data.run_id}: ${data.status}`} sandbox="" src=${frame(`runs/${place(runId)}/picture`, { v: version.length })}></iframe>
      <h2>Steps</h2><ol class="rows">${data.steps.map((step) => html`<li class="step" key=${step.id}><details><summary><${State} state=${step.state} /><b>${step.name}</b>
        <span class="dim">${step.attempt > 1 ? `attempt ${step.attempt} ` : ""}${step.executor || ""}</span><span class="took">${duration(step.elapsed_ms)}</span>
        ${step.error ? html`<span class="note">${step.error.message || step.error.evalue || ""}</span>` : null}</summary>
        ${step.error ? html`<pre tabindex="0" role="region" aria-label="Error">${step.error.traceback || step.error.stderr || JSON.stringify(step.error, null, 1)}</pre>` : null}
        ${step.logs ? html`<pre tabindex="0" role="region" aria-label="What it wrote to stderr">${step.logs}</pre>` : html`<p class="dim">It wrote nothing to stderr.</p>`}</details></li>`)}</ol>
      ${data.output.length ? html`<h2>What came out</h2><pre tabindex="0" role="region" aria-label="What came out">${data.output.join("\n")}</pre>` : null}` : null}</section>`;
}
