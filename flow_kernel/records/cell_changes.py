"""What a cell does to the namespace it runs in: looked at before it, compared after it.

Called by `session.cell` for the cells of a kernel, and by a worker for those that it runs.

    start (names, modules, samples of what the cell may change) → the user's code → compare
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from flow_kernel.records import bytecode
from flow_kernel.records.bytecode import CodeNames
from flow_kernel.records.capture import Capture, NamespaceWatch
from flow_kernel.records.codec import clean_text
from flow_kernel.records.diff import NamespaceDiff, Visibility, classify
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.imports import ImportMark, ImportWatch, versions
from flow_kernel.records.samples import sample, sample_many
from flow_kernel.records.summaries import summarise_many
from flow_kernel.settings import RecorderSettings

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_SAMPLED_SOURCE: Final = 200_000


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


class CellLook:
    """One cell's look at its namespace: `start` before the user's code, `compare` once after it.

    Args:
        code: The raw source, magics and all.
        namespace: The user's globals, live.
        hidden: Names that the shell itself bound, with their values.

    Attributes:
        names: To be given each code object that the shell compiles for the cell.
    """

    __slots__ = ("_before", "_code", "_hidden", "_mark", "_namespace", "_samples", "names")

    def __init__(
        self, code: str, namespace: dict[str, object], hidden: Mapping[str, object]
    ) -> None:
        self.names: CodeNames = CodeNames()
        self._code = code
        self._namespace = namespace
        self._hidden = hidden
        self._before: Capture | None = None
        self._mark: ImportMark | None = None
        self._samples: dict[str, tuple[int, tuple[object, ...]]] = {}

    @property
    def has_begun(self) -> bool:
        """True from `start`, when it succeeded, to `compare`."""
        return self._mark is not None

    def start(self, watches: Watches, settings: RecorderSettings) -> None:
        """Sample and capture."""
        namespace = self._namespace
        if len(self._code) <= _MAX_SAMPLED_SOURCE:
            named = {w for w in bytecode.words(self._code) if w in namespace}
            if named:
                reached = bytecode.reachable(named, namespace)
                self._samples = sample_many(
                    ((name, namespace[name]) for name in reached if name in namespace),
                    budget_us=settings.sample_budget_us,
                )
        self._before = watches.names(namespace).capture()
        self._mark = watches.imports.mark()

    def compare(self, watches: Watches, settings: RecorderSettings) -> Changes:
        """What is otherwise now, with summaries of it; nothing when `start` did not succeed.

        What was seen before the cell is let go, also when this fails.
        """
        before, mark, samples = self._before, self._mark, self._samples
        self._before = self._mark = None
        self._samples = {}
        if before is None or mark is None:
            return no_changes()
        namespace = self._namespace
        visible = Visibility(self._hidden)
        binds = self.names.stores | self.names.dynamic_stores()
        stored = {name: id(namespace[name]) for name in binds if name in namespace}
        delta = watches.names(namespace).delta_since(before)
        diff = classify(delta, stored=stored, visible=visible)
        mutated = self._mutated(samples, diff, visible) if samples else []
        wanted = diff.added + diff.changed + mutated
        summaries, left_out = summarise_many(
            ((name, namespace[name]) for name in wanted if name in namespace),
            limit=settings.summaries,
            budget_us=settings.summary_budget_us,
        )
        return Changes(
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

    def _loads(self, diff: NamespaceDiff, visible: Visibility) -> list[str]:
        """Names that the cell reads and that were bound before it."""
        namespace = self._namespace
        found = set()
        for name in self.names.loads:
            if name in diff.removed or (
                name in namespace and name not in diff.added and visible(name, id(namespace[name]))
            ):
                found.add(name)
        return sorted(found)

    def _mutated(
        self,
        samples: dict[str, tuple[int, tuple[object, ...]]],
        diff: NamespaceDiff,
        visible: Visibility,
    ) -> list[str]:
        namespace = self._namespace
        known = {*diff.changed, *diff.added, *diff.removed}
        found = []
        for name, (ident, before) in samples.items():
            if name in known or name not in namespace:
                continue
            value = namespace[name]
            if id(value) == ident and visible(name, ident) and sample(value) != before:
                found.append(name)
        return sorted(found)


def no_changes() -> Changes:
    """Of a cell that was not compared, or that never ran."""
    return Changes([], [], [], [], [], [], [], {}, 0)


def united(first: Changes, second: Changes, *, summaries: int) -> Changes:
    """What a cell did in two processes; a name may be in two lists when they differ about it.

    Args:
        first: Its summaries come first, and stand where both have one of a name.
        second: What it did in the other process.
        summaries: How many are kept; the rest is counted.
    """
    fresh = {n: s for n, s in second.summaries.items() if n not in first.summaries}
    both = [*first.summaries.items(), *fresh.items()]
    left_out = first.summaries_left_out + second.summaries_left_out + len(both[summaries:])
    return Changes(
        added=_union(first.added, second.added),
        changed=_union(first.changed, second.changed),
        removed=_union(first.removed, second.removed),
        mutated=_union(first.mutated, second.mutated),
        imports=_union(first.imports, second.imports),
        loads=_union(first.loads, second.loads),
        stores=_union(first.stores, second.stores),
        summaries=dict(both[:summaries]),
        summaries_left_out=left_out,
    )


def imports_of(changes: Changes) -> dict[str, str | None]:
    """Top-level packages among the modules that the cell brought in, with their versions.

    The versions are those of this process.
    """
    return versions(changes.imports) if changes.imports else {}


def top_levels(modules: Iterable[str]) -> set[str]:
    """The top-level packages of modules."""
    return {name.partition(".")[0] for name in modules}


def clean_names(names: list[str]) -> list[str]:
    """`names` in a form that every JSON encoder takes; the very list when it already is."""
    text = "".join(names)
    return names if text.isascii() and "\0" not in text else [clean_text(name) for name in names]


def _union(first: list[str], second: list[str]) -> list[str]:
    return sorted({*first, *second})
