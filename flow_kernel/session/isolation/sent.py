"""What a worker has been told already.

Called by `session.isolation.service`, which keeps one for each worker.

A variable is sent when a cell reads it and the session has changed it, or bound it again, since the
worker was told or made a value of its own under that name; what a worker has made stays until then.
Its content is the same where nothing ran since and the name means the same object; else where its
bytes are. Each variable is judged alone, what functions read as well; those that have changed go
together, so that they share what they share. Nothing is told before the worker says that it is
there.
"""

import random
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from flow_kernel.records.cell_changes import Changes
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.store.snapshots.fast import fast_hash
from flow_kernel.workers.transfer import Packed, pack

_OURS: Final = ("FLOW_", "JPY_")
_WORKERS: Final = {"MPLBACKEND"}
"""Set for workers where the session has none."""
_SKIPPED: Final = frozenset({"USE_SUBPROCESS_WORKER", "LINES", "COLUMNS"})
_OF_FILES: Final = ("cwd", "path")
_SMALL_BYTES: Final = 1 << 16
_ATOMS: Final = frozenset({bool, int, float, complex, str, bytes, type(None)})
_MODULES: Final = frozenset({FunctionType, ModuleType})


class Sent:
    """Of one worker.

    Args:
        env: That it was started with. A worker on another machine has one of its own, and is told
            what has changed here since workers began to be started there.
        is_far: True on another machine: it is told nothing of files.
    """

    def __init__(self, env: Mapping[str, str], *, is_far: bool = False) -> None:
        self._is_far = is_far
        self._seen_env, self._env = env, _not_ours(env)
        self._around: dict[str, Any] = {"env": self._env}
        self._leaving: dict[str, Any] | None = None
        self._told: dict[str, _Told] = {}
        self._sending: dict[str, _Told] = {}

    def surroundings(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """What has changed of the process since it was told last.

        Args:
            now: Whole, by name; `env`, which nobody changes afterwards, is told by its differences.
        """
        if now["env"] is not self._seen_env:
            self._seen_env, self._env = now["env"], _not_ours(now["env"])
        now = {**now, "env": self._env}
        if self._is_far:
            now = {name: value for name, value in now.items() if name not in _OF_FILES}
        if self._leaving is not None:
            self._doubt(self._leaving["env"])
        self._leaving = dict(now)
        before = self._around
        was: Mapping[str, str | None] = before["env"]
        env: dict[str, str | None] = {}
        if was is not self._env:
            env = {k: v for k, v in self._env.items() if was.get(k) != v}
            env |= dict.fromkeys(was.keys() - self._env.keys() - _WORKERS)
        news = {k: v for k, v in now.items() if k != "env" and before.get(k) != v}
        return news | ({"env": env} if env else {})

    def _doubt(self, left: Mapping[str, str]) -> None:
        """Nobody knows whether what was sent last has arrived."""
        was = self._around["env"]
        unsure = {name for name in was | left if was.get(name) != left.get(name)}
        self._around = {"env": was | dict.fromkeys(unsure)}

    def arrived(self) -> None:
        """The worker has said that it has what was sent last."""
        if self._leaving is not None:
            self._around, self._leaving = self._leaving, None
        self._told |= self._sending
        self._sending = {}

    def news(
        self,
        names: Sequence[str],
        namespace: Mapping[str, object],
        still: Stillness,
        *,
        is_named: bool,
    ) -> Packed | None:
        """What of the names has to be sent, and of those that its functions read; None: nothing.

        Args:
            names: That a cell reads.
            namespace: The session's.
            still: Of the session.
            is_named: True to send `names` in any case.
        """
        news: dict[str, Packed] = {}
        mark = still.mark
        self._sending = {}
        todo = dict.fromkeys(names, is_named)
        seen: set[str] = set()
        while todo:
            name, is_sure = todo.popitem()
            seen.add(name)
            told, place = self._told.get(name), _place(namespace[name], mark, still.bound(name))
            if is_sure or mark is None or told is None or told.place != place:
                packed = pack({name: namespace[name]}, namespace, brings=False)
                now = _Told(place=place, digest=_digest(packed), reads=packed.reads)
                if is_sure or not packed.names or told is None or now.is_other(told):
                    news[name] = packed
                    self._sending[name] = now
                else:
                    self._told[name] = now
                told = now
            todo |= {n: False for n in told.reads if n in namespace and n not in seen}
        if len(news) <= 1:
            packs = iter(news.values())
            whole = next(packs, None)
        else:  # together, so that they share what they share
            whole = pack({n: namespace[n] for n in _in_order(news, namespace)}, namespace,
                         brings=False)  # fmt: skip
        kept = () if whole is None else whole.names
        self._sending = {name: now for name, now in self._sending.items() if name in kept}
        return whole

    def changed(self, changes: Changes, namespace: Mapping[str, object], still: Stillness) -> None:
        """What its cell did to names: they are the worker's until the session changes its own."""
        for name in changes.removed:
            self._told.pop(name, None)
        own = {*changes.added, *changes.changed, *changes.mutated} - self._told.keys()
        self.keeps({n: namespace[n] for n in own if n in namespace}, namespace, still)

    def keeps(
        self, values: Mapping[str, object], namespace: Mapping[str, object], still: Stillness
    ) -> None:
        """The worker has names of its own for these values of the session, as they are now."""
        if not values:  # to look around takes a quarter of a millisecond
            return
        mark = still.mark
        for name, value in values.items():
            packed = pack({name: value}, namespace, brings=False)
            self._told[name] = _Told(
                place=_place(value, mark, still.bound(name)),
                digest=_digest(packed),
                reads=packed.reads,
            )


class _Told(NamedTuple):
    """What the session had under a name when its worker was told, or made its own."""

    place: tuple[int, int | None, int]
    digest: bytes
    reads: tuple[str, ...]

    def is_other(self, before: "_Told") -> bool:
        """True when the session has bound the name again, or has another content."""
        return self.place[2] != before.place[2] or self.digest != before.digest


def _place(value: object, mark: int | None, bound: int) -> tuple[int, int | None, int]:
    return id(value), mark, bound


def _in_order(names: Iterable[str], namespace: Mapping[str, object]) -> list[str]:
    """First what nothing has to be called for: classes of the others may read it."""
    return sorted(names, key=lambda name: (_rank(type(namespace[name])), name))


def _rank(kind: type) -> int:
    if kind in _ATOMS:
        return 0
    return 1 if kind in _MODULES or issubclass(kind, type) else 2


def of_process(*, has_seeded: bool, has_displays: bool) -> dict[str, Any]:
    """What a cell may notice of its process besides variables; all of it JSON.

    Args:
        has_seeded: True to have random numbers go on from here.
        has_displays: True where figures are shown inline.
    """
    found: dict[str, Any] = {"path": list(sys.path), "warnings": _warnings()}
    if has_seeded:
        found["random"] = random.getstate()
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            kind, keys, *rest = numpy_random.get_state()
            found["numpy_random"] = [kind, keys.tolist(), *rest]
    inline = sys.modules.get("matplotlib_inline.config")
    if has_displays and inline is not None and inline.InlineBackend.initialized():
        config = inline.InlineBackend.instance()
        found["inline"] = {
            "figure_formats": sorted(config.figure_formats),
            "print_figure_kwargs": _plain(config.print_figure_kwargs),
            "rc": _plain(config.rc),
            "close_figures": bool(config.close_figures),
        }
    return found


def _warnings() -> list[list[Any]]:
    """The filters that name their category by one of Python's own; newest first."""
    found = []
    for action, message, category, module, line in warnings.filters:
        if isinstance(category, type) and category.__module__ == "builtins":
            texts = [getattr(each, "pattern", each) for each in (message, module)]
            found.append([action, texts[0], category.__name__, texts[1], line])
    return found


def _plain(values: Any) -> dict[str, Any]:
    kinds = (str, int, float, bool, type(None))
    return {str(name): value for name, value in dict(values).items() if isinstance(value, kinds)}


def _digest(packed: Packed) -> bytes:
    """Of the content."""
    hashed = blake2b(packed.stream, digest_size=16)
    for view, _ in packed.buffers:
        # 10 GB/s with the extra [checkpoint], 1 GB/s without.
        fast = fast_hash(view) if view.nbytes > _SMALL_BYTES else None
        hashed.update(view if fast is None else fast)
    return hashed.digest()


def _not_ours(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name in _SKIPPED or name.startswith(_OURS)
