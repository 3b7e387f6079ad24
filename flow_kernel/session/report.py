"""What a task's report says: planned against done, cells, approvals, failures, files (pure).

Built by `session.reports` from the store and the log; drawn by `report_html`, `report_markdown` and
`task_card`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flow_kernel.records.output_objects import FoundOutput
from flow_kernel.records.plain import one_line
from flow_kernel.session.artifacts import KEY, Artifact, artifacts_of, document_of
from flow_kernel.session.flow import TaskView
from flow_kernel.session.report_runs import ReportRun, as_documents
from flow_kernel.session.task_text import as_document


class Displayed(NamedTuple):
    """Something that a cell displayed besides text.

    Attributes:
        mime: Its type.
        bytes: Its size as it was sent.
        name: The SHA-256 of its file; empty when it was not kept.
    """

    mime: str
    bytes: int
    name: str = ""


def nothing_kept(name: str) -> FoundOutput:
    """What is found of an output where there are no files."""
    return FoundOutput(None, "its file is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCell:
    """One cell as a report shows it; texts are as they were recorded, without secrets."""

    seq: int
    session: str
    at: str
    elapsed_ms: float
    status: str
    step: str
    depth: int
    code: str
    stdout: str
    result: str
    error: str
    added: list[str]
    changed: list[str]
    removed: list[str]
    outputs: list[Displayed] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """One task with what its log tells.

    Attributes:
        view: The task in the store.
        cells: Its cells, oldest first.
        notes: Lines that were logged: when, in which step, what.
        answers: Questions that were asked, as they were left.
        deaths: When and why a kernel died in the middle of it.
        tries: How often each step was begun, by its number.
        runs: Its runs of workflows, oldest first.
        find_output: Gives the content of a kept output by its name.
    """

    view: TaskView
    cells: list[ReportCell] = field(default_factory=list)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    answers: list[Mapping[str, object]] = field(default_factory=list)
    deaths: list[tuple[str, str]] = field(default_factory=list)
    tries: dict[int, int] = field(default_factory=dict)
    runs: list[ReportRun] = field(default_factory=list)
    find_output: Callable[[str], FoundOutput] = nothing_kept

    @property
    def shown(self) -> list[ReportCell]:
        """Its cells without the bodies of cell magics, which are cells of their own as well."""
        found: list[ReportCell] = []
        around = ""
        for cell in self.cells:
            if not cell.depth:
                around = cell.code
            if not cell.depth or cell.code.strip() not in around:
                found.append(cell)
        return found

    @property
    def artifacts(self) -> list[Artifact]:
        """Files that the task made, as they were when it ended."""
        return artifacts_of(self.view.context)

    @property
    def context(self) -> dict[str, object]:
        """Its context without the files."""
        return {key: value for key, value in self.view.context.items() if key != KEY}

    @property
    def failures(self) -> int:
        """Cells that failed, those that other cells ran left out."""
        return len(self.failed)

    @property
    def failed(self) -> list[ReportCell]:
        """Cells that failed, those that other cells ran left out."""
        return [cell for cell in self.cells if cell.status != "ok" and not cell.depth]


def report_of(
    view: TaskView,
    records: Iterable[Mapping[str, object]],
    *,
    runs: Iterable[ReportRun] = (),
    find_output: Callable[[str], FoundOutput] = nothing_kept,
) -> TaskReport:
    """The report of a task.

    Args:
        view: The task.
        records: Those of its log, in order.
        runs: Its runs of workflows.
        find_output: Gives the content of a kept output by its name.
    """
    report = TaskReport(view=view, runs=[*runs], find_output=find_output)
    answers: dict[str, Mapping[str, object]] = {}
    cells: list[tuple[Mapping[str, object], ReportCell]] = []
    for record in records:
        kind = record.get("kind")
        if kind == "cell":
            cells.append((record, _cell(record)))
        elif kind == "step":
            _read_step(report, record)
        elif kind == "approval":
            answers[_text(record, "approval_id")] = record
        elif kind == "death":
            report.deaths.append((_text(record, "timestamp"), _text(record, "reason")))
    report.answers.extend(answers.values())
    report.cells.extend(_outer_first(cells))
    return report


def headline(code: str, width: int) -> str:
    """The first line of a cell; below a cell magic, the first line of its body as well."""
    first = one_line(code, width)
    if not first.startswith("%%"):
        return first
    body = one_line(code.strip().partition("\n")[2], width)
    return one_line(f"{first} … {body}", width) if body else first


def as_json(report: TaskReport) -> dict[str, object]:
    """The report for programs."""
    return {
        **as_document(report.view, cells=len(report.cells), failures=report.failures),
        "log": [{"at": at, "step": step, "text": text} for at, step, text in report.notes],
        "approvals": [dict(answer) for answer in report.answers],
        "runs": as_documents(report.runs),
        "artifacts": [document_of(artifact) for artifact in report.artifacts],
        "deaths": [{"at": at, "reason": reason} for at, reason in report.deaths],
        "cell_list": [
            {
                "seq": cell.seq,
                "session": cell.session,
                "at": cell.at,
                "elapsed_ms": cell.elapsed_ms,
                "status": cell.status,
                "step": cell.step or None,
                "code": cell.code,
                "error": cell.error or None,
                "added_vars": cell.added,
                "changed_vars": cell.changed,
                "removed_vars": cell.removed,
            }
            for cell in report.cells
        ],
    }


def _outer_first(cells: list[tuple[Mapping[str, object], ReportCell]]) -> Iterable[ReportCell]:
    """In the order of time, but a cell before those that it ran, which ended before it."""
    inner: dict[object, list[tuple[Mapping[str, object], ReportCell]]] = {}
    for record, cell in sorted(cells, key=lambda pair: pair[1].at):
        if cell.depth:
            inner.setdefault(record.get("parent_span_id"), []).append((record, cell))
            continue
        yield cell
        left = inner.pop(record.get("span_id"), [])
        while left:
            nested, of_nested = left.pop(0)
            yield of_nested
            left = inner.pop(nested.get("span_id"), []) + left
    # Of cells that never ended, or whose record is lost.
    for pairs in inner.values():
        yield from (cell for _, cell in pairs)


def _read_step(report: TaskReport, record: Mapping[str, object]) -> None:
    """A line that was logged, or a step that changed its state."""
    number = record.get("number")
    if isinstance(record.get("log"), str):
        step = record.get("step")
        report.notes.append((_text(record, "at"), str(step or ""), _text(record, "log")))
    elif isinstance(number, int) and record.get("state") == "doing":
        report.tries[number] = report.tries.get(number, 0) + 1


def _cell(record: Mapping[str, object]) -> ReportCell:
    error = record.get("error")
    seq, elapsed_ms = record.get("seq"), record.get("elapsed_ms")
    return ReportCell(
        seq=seq if isinstance(seq, int) else 0,
        session=_text(record, "session"),
        at=_text(record, "timestamp"),
        elapsed_ms=float(elapsed_ms) if isinstance(elapsed_ms, int | float) else 0.0,
        status=_text(record, "status"),
        step=_text(record, "step"),
        depth=1 if record.get("parent_span_id") else 0,
        code=_text(record, "code"),
        stdout=_text(record, "stdout"),
        result=_text(record, "result"),
        error=f"{error.get('ename')}: {error.get('evalue')}".rstrip(": ")
        if isinstance(error, dict)
        else "",
        added=_names(record, "added_vars"),
        changed=sorted({*_names(record, "changed_vars"), *_names(record, "mutated_vars")}),
        removed=_names(record, "removed_vars"),
        outputs=_outputs(record),
    )


def _outputs(record: Mapping[str, object]) -> list[Displayed]:
    value = record.get("outputs")
    found = []
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, dict):
            continue
        mime, size, name = item.get("mime"), item.get("bytes"), item.get("object")
        if isinstance(mime, str) and isinstance(size, int) and mime not in ("", "text/plain"):
            found.append(Displayed(mime, size, name if isinstance(name, str) else ""))
    return found


def _text(record: Mapping[str, object], field_name: str) -> str:
    value = record.get(field_name)
    return value if isinstance(value, str) else ""


def _names(record: Mapping[str, object], field_name: str) -> list[str]:
    value = record.get(field_name)
    return [str(name) for name in value] if isinstance(value, list) else []
