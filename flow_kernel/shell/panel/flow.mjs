// The views of our widgets: buttons below a question, and the panel of a task.
// Every text comes from people or programs: it is put in by textContent, never as HTML.

const STYLE = `
.flow-w { --fg: var(--jp-content-font-color1, var(--vscode-foreground, #1f2328));
  --fg2: var(--jp-content-font-color2, var(--vscode-descriptionForeground, #57606a));
  --line: var(--jp-border-color1, var(--vscode-panel-border, #c9ced6));
  --field: var(--jp-layout-color1, var(--vscode-input-background, #ffffff));
  --mono: var(--jp-code-font-family, var(--vscode-editor-font-family, monospace));
  --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; --focus: #0969da;
  color: var(--fg); font: 13px/1.5 var(--jp-ui-font-family, var(--vscode-font-family, sans-serif));
  max-width: 60em; }
body[data-jp-theme-light="false"] .flow-w, body.vscode-dark .flow-w,
body.vscode-high-contrast:not(.vscode-high-contrast-light) .flow-w {
  --good: #56d364; --bad: #ff8e82; --warn: #e3b341; --focus: #79b8ff;
  --fg2: var(--vscode-descriptionForeground, #b0b8c1); }
body[data-jp-theme-light="true"] .flow-w { --fg2: #57606a; }
.flow-w * { box-sizing: border-box; }
.flow-w .box { border: 1px solid var(--line); border-radius: 6px; padding: 8px 12px; }
.flow-w .q { display: grid; gap: 6px; }
.flow-w .title { font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
.flow-w .dim, .flow-w time { color: var(--fg2); }
.flow-w pre, .flow-w code { font: 12px/1.45 var(--mono); margin: 0; background: none; padding: 0;
  color: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.flow-w .acts { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.flow-w button { font: inherit; cursor: pointer; border-radius: 4px; padding: 2px 12px;
  border: 1px solid var(--line); background: transparent; color: var(--fg); min-height: 26px; }
.flow-w button:hover { border-color: currentColor; }
.flow-w button.yes { background: #1a7f37; border-color: #1a7f37; color: #ffffff; }
.flow-w button.no { background: #b42318; border-color: #b42318; color: #ffffff; }
.flow-w button[disabled] { cursor: default; opacity: .6; }
.flow-w :focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
.flow-w input { font: inherit; flex: 1 1 14em; min-width: 8em; padding: 2px 8px; min-height: 26px;
  border: 1px solid var(--line); border-radius: 4px; background: var(--field); color: var(--fg); }
.flow-w input::placeholder { color: var(--fg2); opacity: 1; }
.flow-w .said { color: var(--bad); }
.flow-w .told { white-space: pre-wrap; margin-top: 4px; }
.flow-w .said:empty, .flow-w .told:empty { display: none; }
.flow-w .head { display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: baseline; }
.flow-w ol, .flow-w ul { list-style: none; margin: 6px 0 0; padding: 0; }
.flow-w ol { max-height: 22em; overflow: auto; border-top: 1px solid var(--line); }
.flow-w li { display: grid; grid-template-columns: 1.4em 5.2em minmax(0, 1fr) auto; gap: 0 8px;
  padding: 3px 2px; border-bottom: 1px solid var(--line); align-items: baseline; margin: 0; }
.flow-w ul li { grid-template-columns: 1.4em minmax(0, 1fr) auto; border-bottom: 0; }
.flow-w li > .more { grid-column: 2 / -1; }
.flow-w ol li > .more { grid-column: 3 / -1; }
.flow-w .more:empty { display: none; }
.flow-w .kind { font-weight: 600; }
.flow-w .good { color: var(--good); } .flow-w .bad { color: var(--bad); }
.flow-w .warn { color: var(--warn); }
.flow-w .sure { border: 1px solid var(--warn); border-radius: 4px; padding: 6px 10px; margin: 4px 0;
  display: grid; gap: 6px; }
.flow-w .out { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
`;
const PRESSED = "\u2060";
const TONES = new Set(["good", "bad", "warn", "dim"]);
const KINDS = { approve: "yes", reject: "no" };

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
}

function button(text, label, name, press) {
  const node = make("button", name, text);
  node.type = "button";
  node.setAttribute("aria-label", label);
  node.addEventListener("click", press);
  return node;
}

// JupyterLab runs no cell while a box is open: it is closed together with the press.
function closeBox(el) {
  for (const box of el.closest(".jp-CodeCell")?.querySelectorAll(".jp-Stdin-input") ?? []) {
    box.value = PRESSED;
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  }
}

function answers(question, send, onPress) {
  const acts = make("div", "acts");
  const comment = make("input");
  comment.type = "text";
  comment.maxLength = 2000;
  comment.placeholder = "Comment (optional)";
  comment.setAttribute("aria-label", `Comment on ${question.id}`);
  comment.dataset.lmSuppressShortcuts = "true"; // "dd" is a text here, and deletes no cell
  for (const [text, decision] of [["Approve", "approve"], ["Reject", "reject"], ["Skip", "skip"]]) {
    acts.append(button(text, `${text} ${question.id}`, KINDS[decision] ?? "", () => {
      for (const each of acts.querySelectorAll("button, input")) each.disabled = true;
      send({ op: "answer", id: question.id, decision, comment: comment.value });
      onPress();
    }));
  }
  acts.append(comment);
  return acts;
}

function again(acts) {
  for (const each of acts.querySelectorAll("button, input")) each.disabled = false;
}

function drawQuestion({ model, el, root }) {
  const { question, outcome } = model.get("flow");
  const box = make("div", "box q");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Question ${question.id}`);
  const title = make("div", "title");
  title.append(make("span", "warn", `${question.id} `), document.createTextNode(question.message));
  box.append(title);
  for (const lines of [question.code, question.payload]) {
    if (lines.length) box.append(make("pre", "", lines.join("\n")));
  }
  if (question.until) box.append(make("div", "dim", `until ${question.until}, then: ${question.then}`));
  const said = make("div", "said");
  said.setAttribute("role", "alert");
  const acts = answers(question, (said) => model.send(said), () => {
    said.textContent = "";
    closeBox(el);
  });
  box.append(acts, make("div", "dim", `${question.level} · or: ${question.elsewhere}`), said);
  root.append(box);
  const end = ({ text, tone }) => {
    box.replaceChildren(make("div", TONES.has(tone) ? tone : "dim", text));
    box.setAttribute("role", "status");
  };
  if (outcome) end(outcome);
  return (heard) => {
    if (heard?.op === "ended") end(heard);
    if (heard?.op === "refused" && heard.id === question.id) {
      said.textContent = heard.text;
      again(acts);
    }
  };
}


// -- the panel --------------------------------------------------------------------------------

function detailed(row, kind) {
  const body = make("span");
  if (kind) body.append(make("span", "kind", `${kind} `));
  body.append(document.createTextNode(row.title));
  if (row.detail) body.append(make("span", "dim", `  ${row.detail}`));
  return body;
}

function mark(row, text) {
  const node = make("span", TONES.has(row.tone) ? row.tone : "dim", text);
  node.setAttribute("aria-hidden", "true");
  return node;
}

// What a press would do, before it does it.
function confirmation(lines, yes, onYes, onNo) {
  const box = make("div", "sure");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Confirm: ${lines[0] ?? yes}`);
  box.append(make("pre", "", lines.join("\n")));
  const acts = make("div", "acts");
  const sure = button(yes, yes, "no", () => { sure.disabled = true; onYes(); });
  const keep = button("Cancel", "Cancel", "", onNo);
  acts.append(sure, keep);
  box.append(acts);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); onNo(); }
  });
  return { box, keep };
}

class Panel {
  constructor(model, root) {
    this.model = model;
    this.view = Math.random().toString(36).slice(2);
    this.items = new Map();
    this.title = make("strong");
    this.state = make("span", "dim");
    this.state.setAttribute("role", "status");
    this.clock = make("span", "warn");
    const head = make("div", "head");
    head.append(this.title, this.state, this.clock);
    this.workers = make("ul");
    this.workers.setAttribute("aria-label", "Workers");
    this.list = make("ol");
    this.list.setAttribute("aria-label", "Timeline");
    this.list.tabIndex = 0;
    this.told = make("div", "told dim");
    this.told.setAttribute("role", "status");
    this.told.setAttribute("aria-live", "polite");
    const box = make("div", "box");
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Flow panel");
    box.append(head, this.workers, this.list, this.told);
    root.append(box);
    this.all(model.get("flow"));
    this.ticks = setInterval(() => this.tick(), 250);
    this.send({ op: "hello" });
  }

  send(said) { this.model.send({ ...said, view: this.view }); }

  all(now) {
    for (const { node } of this.items.values()) node.remove();
    this.items.clear();
    this.changes(now);
  }

  changes({ head, workers, rows = [], dropped = [] }) {
    const isAtEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 30;
    if (head) this.setHead(head);
    if (workers) this.setWorkers(workers);
    for (const row of rows) this.put(row, this.list);
    for (const key of dropped) this.drop(key);
    if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  setHead(head) {
    this.head = head;
    this.title.textContent = head.title;
    this.state.textContent = [head.status, head.step && `step ${head.step}`,
      head.recording ? "" : "recording is paused"].filter(Boolean).join(" · ");
    this.tick();
  }

  tick() {
    const { running, since_ms: since } = this.head ?? {};
    const text = typeof running === "number"
      ? `▸ [${running}] runs, ${Math.max(0, (Date.now() - since) / 1000).toFixed(0)} s` : "";
    if (this.clock.textContent !== text) this.clock.textContent = text;
  }

  setWorkers(workers) {
    const keys = new Set(workers.map((each) => each.key));
    for (const [key, { node }] of this.items) {
      if (node.parentNode === this.workers && !keys.has(key)) this.drop(key);
    }
    for (const each of workers) this.put(each, this.workers);
  }

  drop(key) {
    this.items.get(key)?.node.remove();
    this.items.delete(key);
  }

  // A line keeps its node: what is typed into it, or asked in it, outlives news of it.
  put(row, list) {
    let item = this.items.get(row.key);
    if (!item) {
      item = { node: make("li"), line: make("span"), more: make("div", "more"), act: "" };
      item.act = make("span");
      item.mark = make("span");
      item.time = make("time");
      const parts = list === this.workers ? [item.mark, item.line, item.act]
        : [item.mark, item.time, item.line, item.act];
      item.node.append(...parts, item.more);
      this.items.set(row.key, item);
      list.append(item.node);
    }
    const fresh = mark(row, row.mark ?? "●");
    item.mark.replaceWith(fresh);
    item.mark = fresh;
    item.time.textContent = row.at ?? "";
    const line = detailed(row, row.kind ?? "worker");
    item.line.replaceWith(line);
    item.line = line;
    const wants = row.act ?? (list === this.workers ? "stop" : "");
    if (item.wants === wants && wants !== "") return;
    item.wants = wants;
    item.act.replaceChildren();
    item.more.replaceChildren(...(row.more ?? []).map((text) => make("div", "dim", text)));
    if (wants === "rollback") this.offer(item, row, "rollback", "Rollback", "Roll back");
    if (wants === "stop") this.offer(item, row, "stop", "Stop", "Stop worker");
    if (wants === "answer") this.question(item, row);
  }

  offer(item, row, op, short, long) {
    item.ask = button(short, `${long}: ${row.title}`, "", () => {
      item.ask.disabled = true;
      this.told.textContent = ""; // what was said of the press before
      item.pending = { op, id: row.id, long };
      this.send({ op, id: row.id, sure: false });
    });
    item.act.append(item.ask);
  }

  question(item, row) {
    const { question } = row;
    for (const lines of [question.code, question.payload]) {
      if (lines.length) item.more.append(make("pre", "", lines.join("\n")));
    }
    if (question.until) {
      item.more.append(make("div", "dim", `until ${question.until}, then: ${question.then}`));
    }
    item.answers = answers(question, (said) => this.send(said), () => {});
    item.more.append(item.answers);
  }

  hear(said) {
    if (said?.op === "all") this.all(said);
    else if (said?.op === "changes") this.changes(said);
    else if (said?.op === "refused" && typeof said.text === "string") this.refused(said);
    else if (said?.view === this.view) this.answered(said);
  }

  refused({ id, text }) {
    this.told.textContent = text;
    const item = this.items.get(`approval:${id}`);
    if (item?.answers) again(item.answers);
  }

  answered({ op, of, id, lines = [] }) {
    const item = [...this.items.values()].find((each) => each.pending?.op === of &&
      each.pending?.id === id);
    item?.sure?.remove();
    if (!item || op !== "sure") {
      this.told.textContent = lines.join("\n");
      if (item) this.release(item);
      return;
    }
    const { long } = item.pending;
    const { box, keep } = confirmation(lines, long,
      () => this.send({ op: of, id, sure: true }),
      () => { box.remove(); this.release(item); });
    item.sure = box;
    item.more.append(box);
    keep.focus();
  }

  release(item) {
    item.pending = undefined;
    if (item.ask) {
      item.ask.disabled = false;
      item.ask.focus();
    }
  }

  close() { clearInterval(this.ticks); }
}

export default {
  render({ model, el }) {
    const root = make("div", "flow-w");
    const style = make("style");
    const id = /^[0-9a-f]+$/.exec(String(model.get("_anywidget_id")).split(".").pop())?.[0] ?? "none";
    style.textContent = `${STYLE}\n.flow-still.flow-${id} { display: none; }`;
    el.append(style, root);
    const panel = model.get("flow").what === "panel" ? new Panel(model, root) : null;
    const hear = panel ? (said) => panel.hear(said) : drawQuestion({ model, el, root });
    model.on("msg:custom", hear);
    return () => {
      model.off("msg:custom", hear);
      panel?.close();
    };
  },
};
