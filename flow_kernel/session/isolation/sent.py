"""What a worker has been told already.

Called by `session.isolation.service`, which keeps one for each worker.

A variable is sent when its content is not there yet: what a worker has made of its copy stays until
the session changes its own. Content is the same where nothing ran since it was sent and the name
means the same object; else where its bytes are. Each variable is judged alone; those that have
changed go together, so that they share what they share.
"""

import random
import sys
import warnings
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from flow_kernel.store.snapshots.fast import fast_hash
from flow_kernel.workers.transfer import Packed

_OURS: Final = ("FLOW_", "JPY_")
_WORKERS: Final = {"MPLBACKEND"}
"""Set for workers where the session has none."""
_SKIPPED: Final = frozenset({"USE_SUBPROCESS_WORKER", "LINES", "COLUMNS"})
_OF_FILES: Final = ("cwd", "path")
_SMALL_BYTES: Final = 1 << 16


class Sent:
    """Of one worker.

    Args:
        env: That it was started with. A worker on another machine has one of its own, and is told
            what has changed here since workers began to be started there.
        is_far: True on another machine: it is told nothing of files.
    """

    def __init__(self, env: Mapping[str, str], *, is_far: bool = False) -> None:
        self._is_far = is_far
        self._around: dict[str, Any] = {"env": _not_ours(env)}
        self._digests: dict[str, bytes] = {}
        self._seen: dict[str, tuple[int, int | None]] = {}

    def surroundings(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """What has changed of the process since it was told last.

        Args:
            now: Whole, by name; `env` is told by its differences.
        """
        now = {**now, "env": _not_ours(now["env"])}
        if self._is_far:
            now = {name: value for name, value in now.items() if name not in _OF_FILES}
        before, self._around = self._around, dict(now)
        was: Mapping[str, str] = before.get("env", {})
        env: dict[str, str | None] = {k: v for k, v in now["env"].items() if was.get(k) != v}
        env |= dict.fromkeys(was.keys() - now["env"].keys() - _WORKERS)
        news = {k: v for k, v in now.items() if k != "env" and before.get(k) != v}
        return news | ({"env": env} if env else {})

    def is_news(
        self, name: str, value: object, mark: int | None, pack: Callable[[], Packed]
    ) -> Packed | None:
        """A variable packed, if it has another content than when it was sent last; else None.

        Args:
            name: Of the variable.
            value: What it is now.
            mark: Of `Stillness`, now.
            pack: Packs it, alone.
        """
        seen = (id(value), mark)
        if mark is not None and self._seen.get(name) == seen:
            return None  # nothing ran since this very object was sent
        packed = pack()
        digest = _digest(packed)
        if self._digests.get(name) == digest and packed.names:
            self._seen[name] = seen
            return None
        self._seen[name], self._digests[name] = seen, digest
        return packed

    def came_back(self, name: str, value: object, mark: int | None, packed: Packed) -> None:
        """A variable of the worker is one of the session now: it has it already.

        Args:
            name: Of the variable.
            value: What the session has.
            mark: Of `Stillness`, now.
            packed: The value, alone.
        """
        self._seen[name], self._digests[name] = (id(value), mark), _digest(packed)


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
