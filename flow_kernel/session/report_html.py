"""A report as one HTML file: no script, nothing from elsewhere, everything escaped (pure).

Called by `jupyter flow report`. Readable on a phone and in print, light and dark.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from flow_kernel.records.plain import human_ms, one_line, strip_controls
from flow_kernel.session.report import ReportCell, TaskReport
from flow_kernel.session.task_text import MARKS, context_lines, state_of, step_lines, title_of

_OUTPUT_CHARS: Final = 2_000
_CODE_CHARS: Final = 20_000
_NAMES: Final = 12
_CELL_MARKS: Final = {"ok": "✓", "error": "✗", "interrupted": "■", "aborted": "–"}
_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--dim:#777;--ok:#2a8a5c;--bad:#c4472f;--now:#3b6fd4}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:0 auto;padding:1.2em}
h1{font-size:1.35em;margin:0 0 .1em}h2{font-size:1.05em;margin:1.6em 0 .4em}
.dim{color:var(--dim)}.task+.task{margin-top:3em;border-top:1px solid var(--line);padding-top:2em}
ul{list-style:none;margin:0;padding:0}li{display:flex;gap:.7em;padding:.1em 0}
li i,td i{font-style:normal;width:1em;flex:none}li .note{margin-left:auto;color:var(--dim)}
.done i,.ok i{color:var(--ok)}.failed i,.error i{color:var(--bad)}.doing i{color:var(--now)}
table{border-collapse:collapse;width:100%}td{padding:.25em .6em .25em 0;vertical-align:top}
tr{border-top:1px solid var(--line)}td.n{text-align:right;white-space:nowrap;color:var(--dim)}
td.wide{width:100%;overflow-wrap:anywhere}.bad{color:var(--bad)}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{margin:.4em 0;padding:.6em;border:1px solid var(--line);border-radius:4px;
white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer}summary code{overflow-wrap:anywhere}.names{color:var(--dim)}
@media(max-width:36em){.hide{display:none}body{padding:.8em}}
@media print{body{max-width:none}details>*{display:block}tr{break-inside:avoid}}
"""


def html_of(reports: Sequence[TaskReport], *, title: str) -> str:
    """The whole file.

    Args:
        reports: One a task.
        title: Of the page.
    """
    return "".join(_page(reports, title))


def _page(reports: Sequence[TaskReport], title: str) -> Iterable[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Also where a browser would obey a script or load something, it may not.
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    yield " style-src 'unsafe-inline'\">"
    yield f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body>"
    for report in reports:
        yield from _task(report)
    yield "</body></html>\n"


def _task(report: TaskReport) -> Iterable[str]:
    view = report.view
    yield f'<div class="task"><h1>{_safe(title_of(view.task))}</h1>'
    who = f" · by {_safe(view.task.author)}" if view.task.author else ""
    yield f'<div class="dim">{_safe(state_of(view))} · {_safe(view.task.type)}{who}</div>'
    begun = view.task.started_at or view.task.created_at
    yield f'<div class="dim">{_safe(begun[:10])}, times in UTC</div>'
    if view.task.description:
        yield f"<p>{_safe(view.task.description)}</p>"
    if view.steps:
        yield "<h2>Steps</h2><ul>"
        for step in step_lines(view.steps):
            indent = f' style="padding-left:{1.4 * step.depth:.1f}em"' if step.depth else ""
            yield f'<li class="{step.state}"{indent}><i>{MARKS[step.state]}</i>'
            yield f"<span>{_safe(step.name)}</span>"
            yield f'<span class="note">{_safe(step.note)}</span></li>'
        yield "</ul>"
    if view.context:
        yield f"<h2>Context</h2><pre>{_safe(chr(10).join(context_lines(view.context)))}</pre>"
    yield from _answers(report)
    yield from _notes(report)
    yield from _cells(report)
    yield "</div>"


def _answers(report: TaskReport) -> Iterable[str]:
    if not report.answers:
        return
    yield "<h2>Approvals</h2><table>"
    for answer in report.answers:
        who = " · ".join(
            str(answer[name])
            for name in ("decided_by", "channel", "decided_at")
            if answer.get(name)
        )
        yield f'<tr><td class="n">{_safe(str(answer.get("approval_id", "")))}</td>'
        yield f'<td class="wide">{_safe(str(answer.get("message", "")))}</td>'
        yield f"<td>{_safe(str(answer.get('status', '')))}</td>"
        yield f'<td class="dim">{_safe(who)}</td></tr>'
    yield "</table>"


def _notes(report: TaskReport) -> Iterable[str]:
    if not report.notes and not report.deaths:
        return
    yield "<h2>Log</h2><table>"
    for at, step, text in report.notes:
        yield f'<tr><td class="n">{_clock(at)}</td><td class="dim hide">{_safe(step)}</td>'
        yield f'<td class="wide">{_safe(text)}</td></tr>'
    for at, reason in report.deaths:
        yield f'<tr><td class="n">{_clock(at)}</td><td class="hide"></td>'
        yield f'<td class="wide bad">the kernel died: {_safe(reason)}</td></tr>'
    yield "</table>"


def _cells(report: TaskReport) -> Iterable[str]:
    count = len(report.cells)
    failed = f", {report.failures} failed" if report.failures else ""
    yield f"<h2>{count} cell{'' if count == 1 else 's'}{failed}</h2><table>"
    for cell in report.cells:
        yield f'<tr class="{_safe(cell.status)}"><td class="n hide">{_clock(cell.at)}</td>'
        yield f"<td><i>{_CELL_MARKS.get(cell.status, '?')}</i></td>"
        yield f'<td class="n">{human_ms(cell.elapsed_ms)}</td><td class="wide">'
        yield from _body(cell)
        yield "</td></tr>"
    yield "</table>"


def _body(cell: ReportCell) -> Iterable[str]:
    head = f"<code>{'&nbsp;' * 4 * cell.depth}{_safe(one_line(cell.code, 120))}</code>"
    names = _changes(cell)
    told = f' <span class="names">{_safe(names)}</span>' if names else ""
    if cell.error:
        told += f'<br><span class="bad">{_safe(one_line(cell.error, 300))}</span>'
    yield f"<details><summary>{head}{told}</summary>"
    yield f"<pre>{_safe(_cut(cell.code, _CODE_CHARS))}</pre>"
    for text in (cell.stdout, cell.result):
        if text:
            yield f"<pre>{_safe(_cut(text, _OUTPUT_CHARS))}</pre>"
    yield "</details>"


def _changes(cell: ReportCell) -> str:
    signs = (("+", cell.added), ("~", cell.changed), ("-", cell.removed))
    names = [f"{sign}{name}" for sign, group in signs for name in group]
    return " ".join([*names[:_NAMES], *(["…"] if len(names) > _NAMES else [])])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit} characters more"


def _clock(at: str) -> str:
    return _safe(at[11:19])


def _safe(text: str) -> str:
    return escape(strip_controls(text, keep="\n\t"))
