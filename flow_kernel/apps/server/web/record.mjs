// One record, whole: code, what came out, and what it changed.
import { html, useEffect, useRef } from "./lib.mjs";
import { frame, place } from "./data.mjs";
import { State, Time, duration, bytes, Trouble, Fact, useAnswer } from "./parts.mjs";

const ESCAPES = /[\u001b\u009b][[()#;?]*(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-ORZcf-nqry=><~]/g;
const HEADER = new Set(["v", "kind", "session", "seq", "plan_id", "task_id", "timestamp", "prev", "crc", "span_id", "parent_span_id", "trace_id", "msg_id", "store", "change", "at", "recorder_us"]);

export function RecordPanel({ row, onClose }) {
  const path = `records/${place(row.plan_id, row.task_id, row.session, row.seq)}`;
  const { data, error } = useAnswer(path, {}, []);
  const title = useRef(null);
  useEffect(() => { title.current?.focus({ preventScroll: true }); }, []);
  const record = data?.record;
  // Where it is above the list and not beside it.
  useEffect(() => { title.current?.scrollIntoView({ block: "nearest" }); }, [!!record]);
  const isCell = record && (record.kind === "cell" || record.kind === "cell_started");
  return html`<aside class="panel" aria-labelledby="record-title" onKeyDown=${(e) => e.key === "Escape" && onClose()}>
    <header><h2 id="record-title" tabindex="-1" ref=${title}>${row.kind === "cell" || row.kind === "cell_started" ? `Cell ${row.count ?? ""}` : `Record: ${row.kind}`}</h2>
      <button class="plain" onClick=${onClose} aria-label="Close the record">✕</button></header>
    <${Trouble} error=${error} />
    ${record ? html`<p class="facts"><${State} state=${data.row.mark} /><${Time} at=${record.timestamp} /><span>${duration(record.elapsed_ms)}</span>
      <a href=${`#/tasks/${place(record.plan_id, record.task_id)}`}>${record.plan_id}/${record.task_id}</a>
      ${record.worker ? html`<span>worker ${record.worker}</span>` : null}<span class="dim">record ${record.seq}</span></p>` : null}
    ${isCell ? html`<${Cell} record=${record} />` : record ? html`<${Plain} record=${record} />` : null}
  </aside>`;
}

function Cell({ record }) {
  const outputs = (record.outputs || []).filter((each) => each.object);
  const lost = (record.outputs || []).filter((each) => !each.object);
  return html`<${Block} name="Code" text=${record.code} />
    <${Block} name="stdout" text=${record.stdout} /><${Block} name="stderr" text=${record.stderr} tone="warn" />
    <${Block} name="Result" text=${record.result} />
    ${record.error ? html`<${Block} name=${record.error.ename} text=${[].concat(record.error.traceback || []).join("\n") || record.error.evalue || " "} tone="bad" />` : null}
    ${outputs.map((each) => html`<${Output} key=${each.object} output=${each} />`)}
    ${lost.length ? html`<p class="dim">Shown and not kept: ${lost.map((each) => `${each.mime} (${bytes(each.bytes)})`).join(", ")}</p>` : null}
    <${Diff} record=${record} /><${Facts} record=${record} />`;
}

function Block({ name, text, tone }) {
  if (!text) return null;
  return html`<section class=${`block ${tone || ""}`}><h3>${name}</h3><pre tabindex="0" role="region" aria-label=${name}>${String(text).replace(ESCAPES, "")}</pre></section>`;
}

function Output({ output }) {
  const source = frame(`outputs/${output.object}`, { mime: output.mime });
  const title = `${output.mime}, ${bytes(output.bytes)}`;
  return html`<section class="block"><h3>${title}</h3>
    ${output.mime.startsWith("image/") && output.mime !== "image/svg+xml"
      ? html`<img src=${source} alt=${`Output of the cell: ${title}`} loading="lazy" />`
      : html`<iframe src=${source} title=${`Output of the cell: ${title}`} sandbox="" loading="lazy"></iframe>`}</section>`;
}

function Diff({ record }) {
  const kinds = [["added_vars", "+", "added"], ["changed_vars", "~", "changed"], ["mutated_vars", "≈", "changed in place"], ["removed_vars", "−", "removed"]];
  const rows = kinds.flatMap(([key, sign, word]) => (record[key] || []).map((name) => ({ sign, word, name, told: record.vars?.[name] })));
  if (!rows.length) return null;
  return html`<section class="block"><h3>Variables</h3><table class="vars"><thead><tr><th scope="col">what</th><th scope="col">name</th><th scope="col">now</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.sign + row.name}><td>${row.sign} ${row.word}</td><th scope="row">${row.name}</th><td>${summary(row.told)}</td></tr>`)}</tbody></table></section>`;
}

function summary(told) {
  if (!told) return "";
  const parts = [told.type];
  if (told.shape) parts.push(`(${[].concat(told.shape).join(", ")})`);
  if (told.dtype) parts.push(String(told.dtype));
  if (told.len != null && !told.shape) parts.push(`of ${told.len}`);
  if (told.summary) parts.push(String(told.summary));
  return parts.filter(Boolean).join(" ");
}

function Facts({ record }) {
  const imports = Object.entries(record.imports || {}).map(([name, version]) => (version ? `${name} ${version}` : name));
  return html`<dl class="facts-list">
    ${imports.length ? html`<${Fact} name="imported">${imports.join(", ")}<//>` : null}
    ${record.step ? html`<${Fact} name="step">${record.step}<//>` : null}
    ${record.cpu_ms != null ? html`<${Fact} name="CPU">${duration(record.cpu_ms)}<//>` : null}
    ${record.rss_bytes != null ? html`<${Fact} name="memory after">${bytes(record.rss_bytes)}<//>` : null}
    ${record.actor ? html`<${Fact} name="run by">${record.actor}<//>` : null}
    ${record.redacted ? html`<${Fact} name="secrets taken out">${record.redacted}<//>` : null}
    ${Object.keys(record.truncated || {}).length ? html`<${Fact} name="cut">${Object.entries(record.truncated).map(([key, size]) => `${key} of ${bytes(size)}`).join(", ")}<//>` : null}
    <${Fact} name="session">${record.session}<//></dl>`;
}

function Plain({ record }) {
  const facts = Object.entries(record).filter(([key, value]) => !HEADER.has(key) && value !== null && value !== "");
  return html`<dl class="facts-list">${facts.map(([key, value]) => html`<${Fact} key=${key} name=${key.replaceAll("_", " ")}>${typeof value === "object" ? JSON.stringify(value, null, 1) : String(value)}<//>`)}
    <${Fact} name="session">${record.session}<//></dl>`;
}
