// Tasks: a list with search, tags and states, and one task with its timeline and context.
import { html, useState } from "./lib.mjs";
import { place } from "./data.mjs";
import { State, Mark, Time, Trouble, Empty, Filters, Search, More, useAnswer, usePages } from "./parts.mjs";
import { Records } from "./log.mjs";
import { Question } from "./approvals.mjs";

export function TasksView({ plans }) {
  const [params, setParams] = useState({ plan: "", status: "", tag: "", q: "" });
  const set = (key) => (value) => setParams((old) => ({ ...old, [key]: value }));
  const { items, data, error, next, more, isBusy } = usePages("tasks", params, keyOf);
  const statuses = [["", "Any state"], ...(data?.statuses || []).map((each) => [each, each])];
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1">Tasks</h1>
      <${Search} label="Search names and descriptions" value=${params.q} onChange=${set("q")} />
      <${Filters} label="State" value=${params.status} options=${statuses} onChange=${set("status")} />
      ${plans.length > 1 ? html`<${Filters} label="Plan" value=${params.plan} options=${[["", "All plans"], ...plans.map((p) => [p.plan_id, `${p.plan_id} (${p.open_tasks} open)`])]} onChange=${set("plan")} />` : null}
      ${params.tag ? html`<button class="tag on" onClick=${() => set("tag")("")} aria-label=${`Show tasks with any tag, not only ${params.tag}`}>${params.tag} ✕</button>` : null}</header>
    <${Trouble} error=${error} />
    <ol class="cards">${items.map((task) => html`<${Task} key=${keyOf(task)} task=${task} onTag=${set("tag")} />`)}</ol>
    ${data && !items.length && !next && !isBusy ? html`<${Empty}>No tasks${params.q || params.status || params.tag ? " like that" : " yet. Begin one: %task start NAME"}.<//>` : null}
    ${next ? html`<${More} onMore=${more} isBusy=${isBusy}>More tasks<//>` : null}
  </section>`;
}

function keyOf(task) {
  return `${task.plan_id}/${task.task_id}`;
}

function Task({ task, onTag }) {
  return html`<li class="card"><a class="cover" href=${`#/tasks/${place(task.plan_id, task.task_id)}`}>${task.name || task.task_id}</a>
    <p class="facts"><${State} state=${task.status} /><span>${task.plan_id === "local" ? "" : `${task.plan_id}/`}${task.task_id}</span><span>${task.type}</span><${Time} at=${task.created_at} />
      ${task.tags.map((tag) => html`<button class="tag" key=${tag} onClick=${() => onTag(tag)} aria-label=${`Only tasks with the tag ${tag}`}>${tag}</button>`)}</p>
    ${task.description ? html`<p class="about">${task.description}</p>` : null}
    ${task.reason ? html`<p class="about warn">${task.reason}</p>` : null}</li>`;
}

export function TaskView({ planId, taskId }) {
  const { data, error, load } = useAnswer(`tasks/${place(planId, taskId)}`, {}, ["state"]);
  return html`<section aria-labelledby="view-title"><header class="bar"><h1 id="view-title" tabindex="-1"><a href="#/tasks">Tasks</a> / ${data?.name || taskId}</h1></header>
    <${Trouble} error=${error} />
    ${data ? html`<p class="facts">${data.status ? html`<${State} state=${data.status} />` : null}<span>${data.plan_id}/${data.task_id}</span>${data.status ? html`<span>${data.type}</span><span>by ${data.author || "unknown"}</span>` : null}<${Time} at=${data.created_at} />
        ${data.tags.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>`)}</p>
      ${data.description ? html`<p class="about">${data.description}</p>` : null}
      ${data.reason ? html`<p class="about warn">${data.reason}</p>` : null}
      ${data.approvals.filter((a) => a.status === "open").map((a) => html`<${Question} key=${a.approval_id} row=${a} onDecided=${load} />`)}
      ${data.status ? html`<div class="two"><${Steps} steps=${data.steps} /><${Context} path=${`tasks/${place(planId, taskId)}/history`} items=${data.context} /></div>` : null}` : null}
    <h2>Timeline</h2>
    <${Records} params=${{ plan: planId, task: taskId, show: "all" }} hasTask=${false} />
  </section>`;
}

function Steps({ steps }) {
  if (!steps.length) return html`<section><h2>Steps</h2><${Empty}>None planned.<//></section>`;
  return html`<section><h2>Steps</h2><ol class="steps">${steps.map((step) => html`<li key=${step.number} class=${step.parent ? "inner" : ""}><${Mark} state=${step.state} /><span>${step.name}</span>
    <span class="dim">${step.state}${step.reason ? `: ${step.reason}` : ""}</span><${Time} at=${step.ended_at || step.started_at} /></li>`)}</ol></section>`;
}

function Context({ path, items }) {
  const [open, setOpen] = useState(null);
  return html`<section><h2>Context</h2>${items.length ? html`<ul class="context">${items.map(({ key, value }) => html`<li key=${key}>
      <button class="plain key" aria-expanded=${open === key ? "true" : "false"} onClick=${() => setOpen(open === key ? null : key)}>${key}</button>
      <code>${brief(value)}</code>${open === key ? html`<${History} path=${path} name=${key} />` : null}</li>`)}</ul>`
    : html`<${Empty}>Nothing noted.<//>`}</section>`;
}

function History({ path, name }) {
  const { data, error } = useAnswer(path, { key: name });
  return html`<${Trouble} error=${error} /><ol class="history" aria-label=${`What ${name} held`}>${(data?.items || []).slice().reverse().map((each) => html`<li key=${each.at}>
    <${Time} at=${each.at} /><span class="dim">${each.author}</span><code>${each.is_set ? brief(each.value) : "removed"}</code></li>`)}</ol>`;
}

function brief(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}
