// The page: navigation, and the view that the address names.
import { html, render, useState, useEffect } from "./lib.mjs";
import { watch, listen, isLive } from "./data.mjs";
import { useAnswer, Trouble } from "./parts.mjs";
import { LogView } from "./log.mjs";
import { TasksView, TaskView } from "./tasks.mjs";
import { ApprovalsView } from "./approvals.mjs";
import { CheckpointsView } from "./checkpoints.mjs";
import { RunsView, RunView } from "./runs.mjs";
import { WorkersView } from "./workers.mjs";

const VIEWS = [["log", "Log"], ["tasks", "Tasks"], ["approvals", "Approvals"], ["checkpoints", "Checkpoints"], ["runs", "Runs"], ["workers", "Workers"]];

function parts() {
  const found = location.hash.replace(/^#\/?/, "").split("/").map((each) => {
    try { return decodeURIComponent(each); } catch { return ""; }
  });
  return found[0] ? found : ["log"];
}

function App() {
  const [where, setWhere] = useState(parts());
  const [live, setLive] = useState(isLive());
  const { data, error } = useAnswer("overview", {}, ["state", "workers"]);
  useEffect(() => {
    const moved = () => {
      setWhere(parts());
      window.scrollTo(0, 0);
      // What a screen reader says after a step to another view.
      requestAnimationFrame(() => document.getElementById("view-title")?.focus({ preventScroll: true }));
    };
    addEventListener("hashchange", moved);
    const stop = listen((news) => news.status && setLive(isLive()));
    return () => { removeEventListener("hashchange", moved); stop(); };
  }, []);
  const count = data?.approvals || 0;
  useEffect(() => {
    const view = VIEWS.find(([key]) => key === where[0])?.[1] || "Flow";
    document.title = `${count ? `(${count}) ` : ""}${view}${data ? ` – ${data.project}` : ""}`;
  }, [where.join("/"), count, data?.project]);
  return html`<a class="skip" href="#view-title" onClick=${(e) => { e.preventDefault(); document.getElementById("view-title")?.focus(); }}>To the content</a>
    <nav aria-label="Views"><div class="brand" title=${data?.home}><img src="static/icon.svg" alt="" width="22" height="22" /><span>${data?.project || "Flow"}</span></div>
      <ul>${VIEWS.map(([key, name]) => html`<li key=${key}><a href=${`#/${key}`} aria-current=${where[0] === key ? "page" : null}>${name}
        ${key === "approvals" && count ? html`<span class="badge" aria-label=${`${count} open`}>${count}</span>` : null}</a></li>`)}</ul>
      <p class="foot"><span class=${live ? "live" : "live off"} role="status">${live ? "live" : "not connected"}</span><span>${data?.user || ""}</span></p></nav>
    <main><${Trouble} error=${error} /><${View} where=${where} plans=${data?.plans || []} sessions=${data?.sessions || []} /></main>`;
}

function View({ where, plans, sessions }) {
  const [view, one, two] = where;
  if (view === "tasks") return two ? html`<${TaskView} key=${`${one}/${two}`} planId=${one} taskId=${two} />` : html`<${TasksView} plans=${plans} />`;
  if (view === "approvals") return html`<${ApprovalsView} />`;
  if (view === "checkpoints") return html`<${CheckpointsView} sessions=${sessions} />`;
  if (view === "runs") return one ? html`<${RunView} key=${one} runId=${one} />` : html`<${RunsView} />`;
  if (view === "workers") return html`<${WorkersView} />`;
  return html`<${LogView} plans=${plans} />`;
}

// A token in the address is in a cookie by now, and need not be seen over a shoulder.
const address = new URL(location.href);
const theme = address.searchParams.get("theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
if (address.searchParams.has("token")) {
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
watch();
