"""What is known of this process before it is copied by a fork.

Called by `forking`; `fork_guard` decides. Nothing here runs code of the user's: values are judged
by their exact type. What they speak through is found by `fork_reach`.
"""

import os
import queue
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from flow_kernel.session.checkpoints.keeper import has_memory
from flow_kernel.session.isolation.fork_guard import Facts

_LOCK: Final = type(threading.Lock())
_RLOCK: Final = type(threading.RLock())
_OWNER: Final = re.compile(r"owner=(\d+)")
_INNER: Final = ("_lock", "mutex", "_cond", "_mutex")
_CONDITIONS: Final = frozenset(
    map(id, (
        threading.Condition, threading.Event, threading.Semaphore, threading.BoundedSemaphore,
        queue.Queue, queue.LifoQueue, queue.PriorityQueue,
    ))
)  # fmt: skip
"""By address: a metaclass may hash its classes as it likes."""
_POOL_NAMES: Final = {
    "polars": ("polars-", "rayon"),
    "grpc": ("grpc", "event_engine", "default-executo", "resolver-execut"),
    "tensorflow": ("tf_",),
}
_OPENMP_MODULES: Final = ("sklearn", "lightgbm", "xgboost", "faiss", "torch", "numba.np.ufunc")
_DEVICES: Final = ("/dev/nvidia", "/dev/kfd")
_DRIVERS: Final = ("/dev/nvidiactl", "/dev/kfd")
"""Where neither is, nothing of them is open."""


def facts_of(
    namespace: Mapping[str, object],
    names: Iterable[str],
    *,
    shared: tuple[tuple[str, str], ...],
    is_copy: bool,
) -> Facts:
    """The facts; about 0.2 ms.

    Args:
        namespace: Of the session.
        names: Those that the cell may read.
        shared: What they speak through.
        is_copy: This process is a copy itself.
    """
    if not sys.platform.startswith("linux"):
        return Facts(can_fork=False)
    return Facts(
        is_copy=is_copy,
        has_memory=has_memory(),
        devices=_devices(),
        pools=(*_pools(), *_begun_backends()),
        has_openmp=_has_openmp(),
        held_locks=tuple(name for name in names if _is_held(namespace.get(name))),
        shared=shared,
    )


def openmp_libraries() -> list[str]:
    """The paths of the runtimes of OpenMP that are loaded; reading the map takes milliseconds."""
    found: dict[str, None] = {}
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123 - lines
        for line in maps:
            path = line.rstrip().rpartition(" ")[2]
            name = path.rpartition("/")[2]
            if name.startswith(("libgomp", "libomp", "libiomp")):
                found[path] = None
    return list(found)


# -- inside ----------------------------------------------------------------------------------------


def _thread_names() -> list[str]:
    found = []
    try:
        for entry in os.listdir("/proc/self/task"):  # noqa: PTH208 - names only, and it is faster
            with open(f"/proc/self/task/{entry}/comm", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - small
                found.append(file.read().strip())
    except OSError:
        pass  # one has ended meanwhile
    return found


def _pools() -> Iterator[str]:
    loaded = {name: begins for name, begins in _POOL_NAMES.items() if name in sys.modules}
    threads = _thread_names() if loaded else []
    for library, begins in loaded.items():
        if any(name.startswith(begins) for name in threads):
            yield library


def _begun_backends() -> Iterator[str]:
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    if bridge is not None and vars(bridge).get("_backends"):
        yield "jax"


def _has_openmp() -> bool:
    return any(name in sys.modules for name in _OPENMP_MODULES) or _has_been_loaded()


def _has_been_loaded() -> bool:
    """A runtime of OpenMP is there whoever has loaded it; its name is global in the process."""
    import ctypes  # loaded by now where anything native calls for it

    try:
        ctypes.CDLL(None).omp_get_max_threads  # noqa: B018 - whether there is one
    except (OSError, AttributeError):
        return False
    return True


def _devices() -> tuple[str, ...]:
    found: dict[str, None] = {}
    if not any(map(os.path.exists, _DRIVERS)):
        return ()
    try:
        for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names only, and it is faster
            try:
                target = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - a text
            except OSError:
                continue
            if target.startswith(_DEVICES):
                found[target] = None
    except OSError:
        return ()
    return tuple(found)


def _is_held(value: object) -> bool:
    kind = type(value)
    if kind is _LOCK:
        return bool(value.locked())  # type: ignore[attr-defined]  # a lock has it
    if kind is _RLOCK:
        owner = _OWNER.search(_RLOCK.__repr__(value))
        return owner is not None and int(owner[1]) not in (0, threading.get_ident())
    if id(kind) in _CONDITIONS:
        inner: Mapping[str, object] = object.__getattribute__(value, "__dict__")
        return any(_is_held(inner[name]) for name in _INNER if name in inner)
    return False
