"""One cell while it runs, and the record that it becomes.

Called by `session.recorder`, which owns the order of things.

    begin → open (streams, code objects, displays arrive) → end (the diff is taken) → seal (written)
"""

import hashlib
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from flow_kernel.records.cell_changes import (
    CellLook,
    Changes,
    Watches,
    imports_of,
    no_changes,
    top_levels,
    united,
)
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.output import CellOutput
from flow_kernel.session.cut_summaries import CUT_MARK, mend
from flow_kernel.session.deferred_redactor import SecretFilter
from flow_kernel.session.place import Place
from flow_kernel.settings import RecorderSettings

if TYPE_CHECKING:
    from flow_kernel.records.bytecode import CodeNames

globals()["__builtins__"] = FROZEN_BUILTINS

_perf_ns: Final = time.perf_counter_ns
_cpu_ns: Final = time.process_time_ns
_sha256: Final = hashlib.sha256
_CUT_WORD: Final = re.compile(rf"(?<!\S)\S+{CUT_MARK}")


class CellRequest(NamedTuple):
    """What the shell knows of a cell before it runs.

    Attributes:
        code: The raw source, magics and all.
        namespace: The user's globals, live.
        hidden: Names that the shell itself bound, with their values.
        msg_id: The execute request's id; None outside a kernel.
        cell_id: The client's id of the cell; None when it sends none.
        execution_count: The number in `In [n]`; None for nested cells that do not count.
        actor: Who runs it, where its client says so; empty for the actor of the session.
        is_answered: False where no reply follows it: a thread of the user's runs it.
    """

    code: str
    namespace: dict[str, object]
    hidden: Mapping[str, object]
    msg_id: str | None
    cell_id: str | None
    execution_count: int | None
    actor: str = ""
    is_answered: bool = True


class Failure(NamedTuple):
    """How a cell failed.

    Attributes:
        ename: Name of the exception's class.
        evalue: Its text; empty when nobody computed it.
        traceback: Lines as the client shows them, colours included.
    """

    ename: str
    evalue: str
    traceback: tuple[str, ...]

    @property
    def status(self) -> str:
        """`interrupted` for Ctrl-C (an async cell is cancelled instead), else `error`."""
        if self.ename in ("KeyboardInterrupt", "CancelledError"):
            return "interrupted"
        return "aborted" if self.ename == "Aborted" else "error"


class _Adopted(NamedTuple):
    """What a worker says that the cell did there, with the versions of what it imported."""

    changes: Changes
    versions: dict[str, str | None]


class OpenCell:
    """The state of one cell from begin to seal; not shared between sessions.

    Attributes:
        changes: What it did, here and in the worker that ran it; None when that is not known.
        own_changes: What of it happened to the namespace of this process.
        worker: The worker that ran it; None when it ran here.
    """

    __slots__ = (
        "_adopted", "_look", "changes", "code", "code_sha256", "cpu_ms", "elapsed_ms",
        "error_line", "filenames", "key", "names", "output", "own_changes", "parent_span_id",
        "place", "recorder_error", "recorder_ns", "redacted", "request", "span_id",
        "started_cpu_ns", "started_ns", "thread", "truncated", "worker",
    )  # fmt: skip

    def __init__(
        self,
        request: CellRequest,
        *,
        place: Place,
        key: str,
        span_id: str,
        thread: int,
        stream_chars: int,
    ) -> None:
        self.request: CellRequest = request
        self.place: Place = place
        self.key: str = key
        self.thread: int = thread
        self.span_id: str = span_id
        self.parent_span_id: str | None = None
        self.code: str = request.code
        raw = request.code.encode("utf-8", "surrogatepass")
        self.code_sha256: str = _sha256(raw).hexdigest()
        self.redacted: int = 0
        self.truncated: dict[str, int] = {}
        self._look = CellLook(request.code, request.namespace, request.hidden)
        self.names: CodeNames = self._look.names
        self.filenames: set[str] = set()
        self.output: CellOutput = CellOutput(stream_chars)
        self.changes: Changes | None = None
        self.own_changes: Changes | None = None
        self._adopted: _Adopted | None = None
        self.worker: str | None = None
        self.error_line: int | None = None
        self.elapsed_ms: float = 0.0
        self.cpu_ms: float = 0.0
        self.recorder_error: str = ""
        self.recorder_ns: int = 0
        self.started_ns: int = 0
        self.started_cpu_ns: int = 0

    @property
    def is_nested(self) -> bool:
        """True for a cell that another cell runs."""
        return self.parent_span_id is not None

    @property
    def has_ended(self) -> bool:
        """True once the cell's clock was stopped."""
        return self.elapsed_ms > 0

    def start(self, watches: Watches, settings: RecorderSettings) -> None:
        """Sample, capture and start the clocks; the last thing before the user's code."""
        try:
            self._look.start(watches, settings)
        except Exception as error:  # noqa: BLE001 - the cell is recorded without its diff
            self._failed(error)
        self.start_clocks()

    def start_clocks(self) -> None:
        """Start the clocks alone: the cell runs elsewhere, and changes nothing here."""
        self.started_cpu_ns = _cpu_ns()
        self.started_ns = _perf_ns()

    def stop(self) -> None:
        """Stop the clocks; the first thing after the user's code."""
        self.elapsed_ms = max(round((_perf_ns() - self.started_ns) / 1e6, 3), 0.001)
        self.cpu_ms = round((_cpu_ns() - self.started_cpu_ns) / 1e6, 3)

    def take_changes(
        self, watches: Watches, settings: RecorderSettings, redactor: SecretFilter
    ) -> None:
        """Compare the session with what it was at the start, and add what a worker did."""
        look = self._look
        if look.has_begun:
            try:
                self.changes = self.own_changes = look.compare(watches, settings)
                self._mend_summaries(redactor)
            except Exception as error:  # noqa: BLE001 - the cell is recorded without its diff
                self._failed(error)
        if self._adopted is not None:
            own = self.own_changes or no_changes()
            self.changes = united(self._adopted.changes, own, summaries=settings.summaries)

    def adopt(self, changes: Changes, *, versions: dict[str, str | None], worker: str) -> None:
        """A worker ran this cell, or most of it: its changes are the cell's, ours come on top.

        To be called before the cell ends; a later call replaces an earlier one.

        Args:
            changes: Of the worker's namespace; their summaries are changed in place. A text that
                was cut loses its last word: it may be half of a secret, and the value that would
                tell is not here.
            versions: Of the top-level packages among the imports, as they are in the worker.
            worker: Its id.
        """
        for summary in changes.summaries.values():
            text = summary.get("summary")
            if type(text) is str and CUT_MARK in text:
                summary["summary"] = _CUT_WORD.sub(CUT_MARK, text)
        self._adopted = _Adopted(changes, versions)
        self.worker = worker

    def imports(self) -> dict[str, str | None]:
        """Top-level packages among the modules that the cell brought in, with their versions."""
        if self._adopted is None:
            return imports_of(self.changes) if self.changes is not None else {}
        changes, versions = self._adopted
        found = imports_of(self.own_changes or no_changes())
        found.update({top: versions.get(top) for top in top_levels(changes.imports)})
        return dict(sorted(found.items()))

    def _failed(self, error: Exception) -> None:
        self.recorder_error = type.__dict__["__name__"].__get__(type(error))

    def _mend_summaries(self, redactor: SecretFilter) -> None:
        namespace = self.request.namespace
        for name, summary in self.changes.summaries.items() if self.changes else ():
            text = summary.get("summary")
            if type(text) is str and CUT_MARK in text and name in namespace:
                self.redacted += mend(summary, namespace[name], redactor)


def facts(cell: OpenCell, *, seq: int | None) -> dict[str, object]:
    """What rides in the execute reply's metadata under `flow`; `seq` only once it is on disk."""
    changes = cell.changes or no_changes()
    known: dict[str, object] = {
        "added_vars": changes.added,
        "changed_vars": changes.changed,
        "removed_vars": changes.removed,
        "mutated_vars": changes.mutated,
        "added_imports": changes.imports,
        "elapsed_ms": cell.elapsed_ms,
        "execution": "local",
    }
    if cell.worker is not None:
        known["execution"] = "worker"
        known["worker"] = cell.worker
    if seq is not None:
        known["seq"] = seq
    return known
