"""From the records of a log to what happened, one entry each, in the order a person reads (pure).

Called by `log` for its table and by `demo`.

A cell's record is written when it ends, so a nested cell comes before the one that runs it; here it
follows it, indented. A cell that never ended is an entry too: running, cut off by a death, or lost.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from flow_kernel.apps.when import parse_stamp
from flow_kernel.records.plain import heading

Record = Mapping[str, object]
_CHANGED: Final = ("changed_vars", "mutated_vars")
_CODE_CHARS: Final = 20_000
_WORD: Final = re.compile(r"\w+")
_DEATHS: Final = {
    "segfault": "segmentation fault",
    "oom_kernel": "out of memory, killed by the operating system",
    "memory_limit": "over its memory limit",
    "killed": "killed from outside, or os._exit",
    "exit": "it exited",
    "timeout": "out of time",
    "lost": "the machine was restarted",
}


class Mark(Enum):
    """How an entry ended."""

    OK = "ok"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"
    DEATH = "death"
    RUNNING = "running"
    LOST = "lost"
    HIDDEN = "hidden"


_RUN_MARKS: Final = {
    "success": Mark.OK,
    "failed": Mark.ERROR,
    "cancelled": Mark.INTERRUPTED,
    "waiting": Mark.RUNNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the story.

    Attributes:
        mark: How it ended.
        timestamp: When it began where that is on record, else when it was written; UTC.
        session: 32 hex.
        plan_id: Its plan.
        task_id: Its task.
        seq: The number of the record.
        elapsed_ms: None where nobody stopped the clock.
        text: The first line of code, behind a cell magic two of them, or a sentence.
        depth: How many cells it is nested in.
        added: Names bound.
        changed: Names bound anew or changed in place.
        removed: Names deleted.
        imports: Packages imported that the code names; what these brought in is in the record.
        note: The last line of the error, or how the kernel died.
    """

    mark: Mark
    timestamp: str
    session: str
    plan_id: str
    task_id: str
    seq: int
    elapsed_ms: float | None = None
    text: str = ""
    depth: int = 0
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_failure(self) -> bool:
        """True for a cell that failed and for a death."""
        return self.mark in (Mark.ERROR, Mark.INTERRUPTED, Mark.ABORTED, Mark.DEATH)


@dataclass(slots=True)
class _Open:
    """A cell that has begun, and what ended inside it."""

    started: Record
    inside: list[Entry] = field(default_factory=list)


class Timeline:
    """Takes records in the order of the log and gives entries; records of other kinds give none."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def feed(self, record: Record) -> Iterable[Entry]:
        """The entries that `record` completes."""
        kind = record.get("kind")
        if kind == "cell_started":
            self._open[_text(record, "span_id")] = _Open(record)
        elif kind == "cell":
            return self._ended(record)
        elif kind == "death":
            return self._death(record)
        elif kind == "hidden":
            return [_entry(record, Mark.HIDDEN, text=_hidden_text(record))]
        elif kind == "run" and "step_id" not in record:
            return _run_entries(record)
        return ()

    def unfinished(self, is_alive: Callable[[str], bool]) -> Iterator[Entry]:
        """The cells that have no end on record, oldest first.

        Args:
            is_alive: Tells whether the session of that id still runs.
        """
        for open_cell in list(self._open.values()):
            started = open_cell.started
            alive = is_alive(_text(started, "session"))
            yield _entry(
                started,
                Mark.RUNNING if alive else Mark.LOST,
                text=heading(_text(started, "code")),
                depth=self._depth(started),
                note="" if alive else "no end on record yet",
            )
            yield from open_cell.inside

    def _ended(self, record: Record) -> Iterable[Entry]:
        opened = self._open.pop(_text(record, "span_id"), None)
        entry = _entry(
            record,
            _cell_mark(record),
            elapsed_ms=_number(record, "elapsed_ms"),
            text=heading(_text(record, "code")),
            depth=self._depth(record),
            added=_names(record, "added_vars"),
            changed=tuple(sorted({name for key in _CHANGED for name in _names(record, key)})),
            removed=_names(record, "removed_vars"),
            imports=_imports(record),
            note=_error_note(record),
        )
        if opened is not None:
            entry = replace(entry, timestamp=_text(opened.started, "timestamp"))
        entries = [entry, *(opened.inside if opened is not None else ())]
        parent = self._open.get(_text(record, "parent_span_id"))
        if parent is None:
            return entries
        parent.inside.extend(entries)
        return ()

    def _death(self, record: Record) -> Iterable[Entry]:
        session = _text(record, "session")
        fatal = self._open.pop(_text(record, "span_id"), None)
        # What else that session had open ended with it and is told by this entry.
        for span in [s for s, o in self._open.items() if _text(o.started, "session") == session]:
            del self._open[span]
        note = _death_note(record, is_idle=fatal is None)
        if fatal is None:
            return [_entry(record, Mark.DEATH, text=note)]
        text = heading(_text(fatal.started, "code"))
        entry = _entry(fatal.started, Mark.DEATH, text=text, note=note)
        return [entry, *fatal.inside]

    def _depth(self, record: Record) -> int:
        depth, span = 0, _text(record, "parent_span_id")
        while span in self._open and depth < 20:
            depth += 1
            span = _text(self._open[span].started, "parent_span_id")
        return depth


def _entry(record: Record, mark: Mark, **rest: object) -> Entry:
    seq = record.get("seq")
    return Entry(
        mark=mark,
        timestamp=_text(record, "timestamp"),
        session=_text(record, "session"),
        plan_id=_text(record, "plan_id"),
        task_id=_text(record, "task_id"),
        seq=seq if isinstance(seq, int) else 0,
        **rest,  # type: ignore[arg-type]  # the callers above name the fields of Entry
    )


def _cell_mark(record: Record) -> Mark:
    if record.get("success") is not False:
        return Mark.OK
    status = record.get("status")
    return {"interrupted": Mark.INTERRUPTED, "aborted": Mark.ABORTED}.get(str(status), Mark.ERROR)


def _error_note(record: Record) -> str:
    error = record.get("error")
    if not isinstance(error, dict):
        return ""
    if record.get("status") == "aborted":
        return "not run: an earlier cell failed"
    name, value = _text(error, "ename"), _text(error, "evalue").strip()
    last = value.splitlines()[-1].strip() if value else ""
    line = error.get("line")
    where = f" (line {line})" if isinstance(line, int) else ""
    return (f"{name}: {last}" if last else name) + where


def _death_note(record: Record, *, is_idle: bool) -> str:
    reason = _text(record, "reason")
    told = _DEATHS.get(reason, reason or "for an unknown reason")
    signal, exit_code = record.get("signal"), record.get("exit_code")
    if isinstance(signal, int):
        told += f" (signal {signal})"
    elif isinstance(exit_code, int):
        told += f" (exit code {exit_code})"
    return f"kernel died{' while idle' if is_idle else ''}: {told}"


def _hidden_text(record: Record) -> str:
    count, reason = record.get("count"), _text(record, "reason")
    plural = "" if count == 1 else "s"
    if reason == "hidden":
        return f"{count} request{plural} of a tool, not recorded as cells"
    why = {"paused": "recording was paused", "record: false": "marked record: false"}
    return f"{count} cell{plural} not recorded: {why.get(reason, reason)}"


def _run_entries(record: Record) -> Iterable[Entry]:
    """A run of a workflow that is over or parked; how its steps went is told by `runs show`."""
    mark = _RUN_MARKS.get(_text(record, "status"))
    if mark is None:
        return ()
    began, ended = (parse_stamp(record.get(name)) for name in ("started_at", "completed_at"))
    elapsed_ms = None if began is None or ended is None else (ended - began).total_seconds() * 1000
    text = f"workflow {_text(record, 'workflow')} ({_text(record, 'run_id')})"
    return [_entry(record, mark, elapsed_ms=elapsed_ms, text=text, note=_text(record, "reason"))]


def _imports(record: Record) -> tuple[str, ...]:
    found = record.get("imports")
    if not isinstance(found, dict) or not found:
        return ()
    words = set(_WORD.findall(_text(record, "code")[:_CODE_CHARS]))
    return tuple(sorted(str(name) for name in found if name in words))


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def _number(record: Record, key: str) -> float | None:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _names(record: Record, key: str) -> tuple[str, ...]:
    value = record.get(key)
    return tuple(str(name) for name in value) if isinstance(value, list) else ()
