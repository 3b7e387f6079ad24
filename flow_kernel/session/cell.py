"""One cell while it runs, and the record that it becomes.

Called by `session.recorder`, which owns the order of things.

    begin → open (streams, code objects, displays arrive) → end (the diff is taken) → seal (written)
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from flow_kernel.records import bytecode
from flow_kernel.records.bytecode import CodeNames
from flow_kernel.records.capture import Capture, NamespaceWatch
from flow_kernel.records.codec import clean_text
from flow_kernel.records.diff import NamespaceDiff, Visibility, classify
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.imports import ImportMark, ImportWatch, versions
from flow_kernel.records.output import CellOutput
from flow_kernel.records.samples import sample, sample_many
from flow_kernel.records.summaries import summarise_many
from flow_kernel.session.cut_summaries import CUT_MARK, mend
from flow_kernel.session.deferred_redactor import SecretFilter
from flow_kernel.session.place import Place
from flow_kernel.settings import RecorderSettings

globals()["__builtins__"] = FROZEN_BUILTINS

_perf_ns: Final = time.perf_counter_ns
_cpu_ns: Final = time.process_time_ns
_sha256: Final = hashlib.sha256
_MAX_SAMPLED_SOURCE: Final = 200_000


class CellRequest(NamedTuple):
    """What the shell knows of a cell before it runs.

    Attributes:
        code: The raw source, magics and all.
        namespace: The user's globals, live.
        hidden: Names that the shell itself bound, with their values.
        msg_id: The execute request's id; None outside a kernel.
        cell_id: The client's id of the cell; None when it sends none.
        execution_count: The number in `In [n]`; None for nested cells that do not count.
    """

    code: str
    namespace: dict[str, object]
    hidden: Mapping[str, object]
    msg_id: str | None
    cell_id: str | None
    execution_count: int | None


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


class Changes(NamedTuple):
    """What a cell did to the session; the names are sorted, and as `clean_names` leaves them."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    mutated: list[str]
    imports: list[str]
    loads: list[str]
    stores: list[str]
    summaries: dict[str, dict[str, object]]
    summaries_left_out: int


class Watches:
    """What a session looks at again and again: its imports and its namespace."""

    __slots__ = ("_names", "imports")

    def __init__(self) -> None:
        self.imports: ImportWatch = ImportWatch()
        self._names: NamespaceWatch | None = None

    def names(self, namespace: dict[str, object]) -> NamespaceWatch:
        """The watch of `namespace`; a new one when the shell was given other globals."""
        if self._names is None or self._names.namespace is not namespace:
            self._names = NamespaceWatch(namespace)
        return self._names


class OpenCell:
    """The state of one cell from begin to seal; not shared between sessions."""

    __slots__ = (
        "before", "changes", "code", "code_sha256", "cpu_ms", "elapsed_ms", "error_line",
        "filenames", "imports", "key", "names", "output", "parent_span_id", "place",
        "recorder_error", "recorder_ns", "redacted", "request", "samples", "span_id",
        "started_cpu_ns", "started_ns", "thread", "truncated",
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
        self.names: CodeNames = CodeNames()
        self.filenames: set[str] = set()
        self.output: CellOutput = CellOutput(stream_chars)
        self.before: Capture | None = None
        self.imports: ImportMark | None = None
        self.samples: dict[str, tuple[int, tuple[object, ...]]] = {}
        self.changes: Changes | None = None
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

    def start(self, watches: "Watches", settings: RecorderSettings) -> None:
        """Sample, capture and start the clocks; the last thing before the user's code."""
        try:
            self._look(watches, settings)
        except Exception as error:  # noqa: BLE001 - the cell is recorded without its diff
            self._failed(error)
        self.started_cpu_ns = _cpu_ns()
        self.started_ns = _perf_ns()

    def _look(self, watches: "Watches", settings: RecorderSettings) -> None:
        namespace = self.request.namespace
        if len(self.code) <= _MAX_SAMPLED_SOURCE:
            named = {w for w in bytecode.words(self.request.code) if w in namespace}
            if named:
                reached = bytecode.reachable(named, namespace)
                self.samples = sample_many(
                    ((name, namespace[name]) for name in reached if name in namespace),
                    budget_us=settings.sample_budget_us,
                )
        self.before = watches.names(namespace).capture()
        self.imports = watches.imports.mark()

    def stop(self) -> None:
        """Stop the clocks; the first thing after the user's code."""
        self.elapsed_ms = max(round((_perf_ns() - self.started_ns) / 1e6, 3), 0.001)
        self.cpu_ms = round((_cpu_ns() - self.started_cpu_ns) / 1e6, 3)

    def take_changes(
        self, watches: "Watches", settings: RecorderSettings, redactor: SecretFilter
    ) -> None:
        """Compare the session with what it was at the start."""
        if self.before is None or self.imports is None:
            return
        try:
            self._compare(self.before, self.imports, watches, settings)
            self._mend_summaries(redactor)
        except Exception as error:  # noqa: BLE001 - the cell is recorded without its diff
            self._failed(error)
        self.before = None
        self.samples = {}

    def _failed(self, error: Exception) -> None:
        self.recorder_error = type.__dict__["__name__"].__get__(type(error))

    def _compare(
        self, before: Capture, mark: ImportMark, watches: "Watches", settings: RecorderSettings
    ) -> None:
        namespace = self.request.namespace
        visible = Visibility(self.request.hidden)
        binds = self.names.stores | self.names.dynamic_stores()
        stored = {name: id(namespace[name]) for name in binds if name in namespace}
        delta = watches.names(namespace).delta_since(before)
        diff = classify(delta, stored=stored, visible=visible)
        mutated = self._mutated(diff, visible)
        wanted = diff.added + diff.changed + mutated
        summaries, left_out = summarise_many(
            ((name, namespace[name]) for name in wanted if name in namespace),
            limit=settings.summaries,
            budget_us=settings.summary_budget_us,
        )
        self.changes = Changes(
            added=clean_names(diff.added),
            changed=clean_names(diff.changed),
            removed=clean_names(diff.removed),
            mutated=clean_names(mutated),
            imports=clean_names(watches.imports.added_since(mark)),
            loads=clean_names(self._loads(diff, visible)),
            stores=clean_names([name for name in sorted(self.names.stores) if visible(name, 0)]),
            summaries=summaries,
            summaries_left_out=left_out,
        )

    def _mend_summaries(self, redactor: SecretFilter) -> None:
        namespace = self.request.namespace
        for name, summary in self.changes.summaries.items() if self.changes else ():
            text = summary.get("summary")
            if type(text) is str and CUT_MARK in text and name in namespace:
                self.redacted += mend(summary, namespace[name], redactor)

    def _loads(self, diff: NamespaceDiff, visible: Visibility) -> list[str]:
        """Names that the cell reads and that were bound before it."""
        namespace = self.request.namespace
        found = set()
        for name in self.names.loads:
            if name in diff.removed or (
                name in namespace and name not in diff.added and visible(name, id(namespace[name]))
            ):
                found.add(name)
        return sorted(found)

    def _mutated(self, diff: NamespaceDiff, visible: Visibility) -> list[str]:
        if not self.samples:
            return []
        namespace = self.request.namespace
        known = {*diff.changed, *diff.added, *diff.removed}
        found = []
        for name, (ident, before) in self.samples.items():
            if name in known or name not in namespace:
                continue
            value = namespace[name]
            if id(value) == ident and visible(name, ident) and sample(value) != before:
                found.append(name)
        return sorted(found)


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
    if seq is not None:
        known["seq"] = seq
    return known


def no_changes() -> Changes:
    """Of a cell that was not compared, or that never ran."""
    return Changes([], [], [], [], [], [], [], {}, 0)


def imports_of(changes: Changes) -> dict[str, str | None]:
    """Top-level packages among the modules that the cell brought in, with their versions."""
    return versions(changes.imports) if changes.imports else {}


def clean_names(names: list[str]) -> list[str]:
    """`names` in a form that every JSON encoder takes; the very list when it already is."""
    text = "".join(names)
    return names if text.isascii() and "\0" not in text else [clean_text(name) for name in names]
