"""A report as one HTML file: no script, nothing from elsewhere, everything escaped (pure).

Called by `jupyter flow report` and `%flow report`. Readable on a phone, in print and with a screen
reader, light and dark.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from flow_kernel.records.plain import human_bytes, human_ms, one_line, strip_controls
from flow_kernel.session.formatter import TaskTexts
from flow_kernel.session.report import ReportCell, TaskReport, headline
from flow_kernel.session.report_outputs import OutputGallery, not_kept
from flow_kernel.session.report_style import STYLE
from flow_kernel.session.task_text import MARKS, context_lines

_OUTPUT_CHARS: Final = 2_000
_CODE_CHARS: Final = 20_000
_NAMES: Final = 12
_CELL_MARKS: Final = {"ok": "✓", "error": "✗", "interrupted": "■", "aborted": "–"}
_RUN_MARKS: Final = {"success": "✓", "failed": "✗", "waiting": "⏸", "running": "▸", "pending": "·"}
_ANSWER_MARKS: Final = {"approved": "✓", "rejected": "✗", "expired": "✗", "open": "?"}


def html_of(reports: Sequence[TaskReport], texts: TaskTexts, *, title: str) -> str:
    """The whole file.

    Args:
        reports: One a task.
        texts: The words for tasks and steps.
        title: Of the page.
    """
    return "".join(_page(reports, texts, title))


def _page(reports: Sequence[TaskReport], texts: TaskTexts, title: str) -> Iterable[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Also where a browser would obey a script or load something, it may not.
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    yield " style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">"
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{_safe(one_line(title, 120))}</title><style>{STYLE}</style></head><body><main>"
    if len(reports) > 1:
        yield f"<h1>{_safe(one_line(title, 120))}</h1>"
        yield '<nav aria-label="Tasks"><ul>'
        for number, report in enumerate(reports, 1):
            status = report.view.task.status
            yield f'<li class="{_safe(status)}">{_mark(MARKS.get(status, "·"), status)}'
            yield f'<a href="#t{number}">{_safe(texts.title(report.view.task))}</a></li>'
        yield "</ul></nav>"
    gallery = OutputGallery()
    level = 1 if len(reports) == 1 else 2
    for number, report in enumerate(reports, 1):
        yield from _task(report, texts, number, level=level)
        yield from _cells(report, number, gallery)
        yield "</article>"
    yield "</main></body></html>\n"


def _task(report: TaskReport, texts: TaskTexts, number: int, *, level: int) -> Iterable[str]:
    view = report.view
    task = view.task
    head = level + 1
    yield f'<article id="t{number}"><h{level} class="name">{_safe(texts.title(task))}</h{level}>'
    yield f'<p class="state {_safe(task.status)}">{_safe(texts.state(view))}</p>'
    begun = task.started_at or task.created_at
    who = f" · by {_safe(one_line(task.author, 60))}" if task.author else ""
    yield f'<p class="dim">{_safe(texts.kind(task))}{who} · {_safe(begun[:10])}, times in UTC</p>'
    if task.description:
        yield f"<p>{_safe(task.description)}</p>"
    if view.steps:
        yield f"<h{head}>Steps</h{head}><ul>"
        for row, step in zip(view.steps, texts.steps(view.steps), strict=True):
            tries = report.tries.get(row.number, 0)
            note = " · ".join(
                part for part in (step.note, f"begun {tries} times" if tries > 1 else "") if part
            )
            indent = f' style="padding-left:{1.4 * step.depth:.1f}em"' if step.depth else ""
            yield f'<li class="{step.state}"{indent}>{_mark(MARKS[step.state], step.state)}'
            yield f"<span>{_safe(step.name)}</span>{_note(note)}</li>"
        yield "</ul>"
    yield from _runs(report, head)
    yield from _answers(report, head)
    yield from _failures(report, number, head)
    yield from _artifacts(report, head)
    if report.context:
        lines = _safe("\n".join(context_lines(report.context)))
        yield f"<h{head}>Context</h{head}><pre>{lines}</pre>"
    yield from _notes(report, head)
    summary = texts.summary(view, cells=len(report.shown), failures=report.failures)
    yield f"<h{head}>{_safe(summary)}</h{head}>"


def _answers(report: TaskReport, head: int) -> Iterable[str]:
    if not report.answers:
        return
    yield f"<h{head}>Approvals</h{head}><ul>"
    for answer in report.answers:
        status = _of(answer, "status")
        told = [status]
        if answer.get("decided_by"):
            how = _of(answer, "channel")
            how = f" ({how})" if how not in ("", _of(answer, "decided_by")) else ""
            told.append(f"by {one_line(_of(answer, 'decided_by'), 60)}{how}")
        if answer.get("decided_at"):
            told.append(_clock(_of(answer, "decided_at")))
        yield f'<li class="{_safe(status)}">{_mark(_ANSWER_MARKS.get(status, "–"), status)}'
        yield f"<span>{_safe(_of(answer, 'approval_id'))} {_safe(_of(answer, 'message'))}"
        if answer.get("comment"):
            yield f'<br><span class="dim">“{_safe(_of(answer, "comment"))}”</span>'
        yield f"</span>{_note(' '.join(told))}</li>"
    yield "</ul>"


def _runs(report: TaskReport, head: int) -> Iterable[str]:
    if not report.runs:
        return
    yield f"<h{head}>Runs</h{head}><ul>"
    for run in report.runs:
        status = run.row.status
        when = f" · {_clock(run.row.started_at)}" if run.row.started_at else ""
        yield f'<li class="{_safe(status)}">{_mark(_RUN_MARKS.get(status, "–"), status)}'
        yield f"<span>{_safe(run.title)}</span>{_note(f'{run.note}{when}')}</li>"
    yield "</ul>"
    for run in report.runs:
        if run.picture:
            yield f'<div class="run">{run.picture}</div>'


def _failures(report: TaskReport, number: int, head: int) -> Iterable[str]:
    failed = [
        (place, cell)
        for place, cell in enumerate(report.shown, 1)
        if cell.status != "ok" and not cell.depth
    ]
    if not failed and not report.deaths:
        return
    yield f"<h{head}>Failures</h{head}><ul>"
    for place, cell in failed:
        where = f"{_clock(cell.at)}{f' · {cell.step}' if cell.step else ''}"
        yield f'<li class="error">{_mark(_CELL_MARKS.get(cell.status, "?"), cell.status)}'
        code, error = headline(cell.code, 120), one_line(cell.error or cell.status, 300)
        yield f'<span><a href="#t{number}c{place}"><code>{_safe(code)}</code></a>'
        yield f'<br><span class="bad">{_safe(error)}</span></span>{_note(where)}</li>'
    for at, reason in report.deaths:
        yield f'<li class="error">{_mark("✗", "died")}<span class="bad">the kernel died:'
        yield f" {_safe(reason)}</span>{_note(_clock(at))}</li>"
    yield "</ul>"


def _artifacts(report: TaskReport, head: int) -> Iterable[str]:
    if not report.artifacts:
        return
    yield f"<h{head}>Files</h{head}><ul>"
    for item in report.artifacts:
        state = "failed" if item.problem else "done"
        # The whole checksum is what makes it worth something.
        digest = f"<br><code>sha256 {_safe(item.sha256)}</code>" if item.sha256 else ""
        note = human_bytes(item.bytes) if item.bytes is not None else item.text()
        yield f'<li class="{state}">{_mark(MARKS[state], item.problem or "present")}'
        yield f"<span>{_safe(item.path)}{digest}</span>{_note(note)}</li>"
    yield "</ul>"


def _notes(report: TaskReport, head: int) -> Iterable[str]:
    if not report.notes:
        return
    yield f"<h{head}>Log</h{head}><ul>"
    for at, step, text in report.notes:
        yield f'<li><time class="dim">{_safe(_clock(at))}</time><span>{_safe(text)}</span>'
        yield f"{_note(one_line(step, 60))}</li>"
    yield "</ul>"


def _cells(report: TaskReport, number: int, gallery: OutputGallery) -> Iterable[str]:
    if not report.shown:
        return
    yield '<table class="cells"><thead class="sr"><tr><th>time</th><th>outcome</th><th>took</th>'
    yield "<th>cell</th></tr></thead><tbody>"
    for place, cell in enumerate(report.shown, 1):
        mark = _mark(_CELL_MARKS.get(cell.status, "?"), cell.status)
        yield f'<tr class="{_safe(cell.status)}" id="t{number}c{place}">'
        yield f'<td class="n hide">{_safe(_clock(cell.at))}</td><td>{mark}</td>'
        yield f'<td class="n">{human_ms(cell.elapsed_ms)}</td><td class="wide">'
        yield from _body(cell)
        yield from gallery.of(cell, report.find_output)
        yield "</td></tr>"
    yield "</tbody></table>"


def _body(cell: ReportCell) -> Iterable[str]:
    line = headline(cell.code, 120)
    head = f"<code>{'&nbsp;' * 4 * cell.depth}{_safe(line)}</code>"
    names = _changes(cell)
    told = f' <span class="dim">{_safe(names)}</span>' if names else ""
    if cell.error:
        told += f'<br><span class="bad">{_safe(one_line(cell.error, 300))}</span>'
    inside = [cell.code] if cell.code.strip() != line else []
    inside += [text.rstrip() for text in (cell.stdout, cell.result) if text.strip()]
    lost = not_kept(cell)
    if not inside and not lost:
        yield f'<div class="line">{head}{told}</div>'
        return
    yield f"<details><summary>{head}{told}</summary>"
    for text in inside:
        yield f"<pre>{_safe(_cut(text, _CODE_CHARS if text is cell.code else _OUTPUT_CHARS))}</pre>"
    yield f"{lost}</details>"


def _changes(cell: ReportCell) -> str:
    signs = (("+", cell.added), ("~", cell.changed), ("-", cell.removed))
    names = [f"{sign}{name}" for sign, group in signs for name in group]
    return " ".join([*names[:_NAMES], *(["…"] if len(names) > _NAMES else [])])


def _mark(mark: str, state: str) -> str:
    """A sign for the eye, and the word for it for a screen reader."""
    return f'<i aria-hidden="true">{mark}</i><span class="sr">{_safe(state)}:</span>'


def _note(text: str) -> str:
    return f'<span class="note">{_safe(text)}</span>' if text else ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit} characters more"


def _clock(at: str) -> str:
    return at[11:19]


def _of(answer: object, name: str) -> str:
    value = answer.get(name) if isinstance(answer, dict) else None
    return "" if value is None else str(value)


def _safe(text: str) -> str:
    return escape(strip_controls(text, keep="\n\t"))
