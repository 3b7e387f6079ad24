"""What is never saved, and why, in words better than those of pickle (pure).

Called by `serialisers`. Some of these pickle would take: what it makes of them looks alike and is
another thing (a finalizer that no longer runs, memory that is no longer shared).
"""

import contextvars
import threading
import types
from typing import Any, Final


class Unsaveable(Exception):
    """A value inside a variable cannot be saved; the message says why."""


_BEGUN: Final[tuple[object, ...]] = (
    *(iter({}), iter({}.values()), iter({}.items())),
    *(reversed({}), reversed({}.values()), reversed({}.items())),
)
_OF_THREADS: Final = "a lock belongs to the threads of this process"
_OF_A_LOOP: Final = "it belongs to the event loop of this process"
_FILE: Final = "an open file"

EXACT: Final[dict[type, str]] = {
    types.GeneratorType: "a generator that has begun cannot be copied",
    types.CoroutineType: "a coroutine cannot be copied",
    types.AsyncGeneratorType: "an async generator cannot be copied",
    types.FrameType: "a stack frame cannot be copied",
    types.TracebackType: "a traceback cannot be copied",
    type(threading.Lock()): _OF_THREADS,
    type(threading.RLock()): _OF_THREADS,
    contextvars.ContextVar: "a context variable belongs to this process",
    contextvars.Context: "a context belongs to this process",
    contextvars.Token: "a context belongs to this process",
    **{type(one): "an iterator over a dict that has begun" for one in _BEGUN},
    type(iter(set())): "an iterator over a set that has begun",
}
"""By the type itself."""

FAMILIES: Final[dict[str, str]] = {
    "_thread._local": "values of threads belong to this process",
    "_asyncio.Future": _OF_A_LOOP,
    "asyncio.futures.Future": _OF_A_LOOP,
    "asyncio.events.AbstractEventLoop": "an event loop belongs to this process",
    "asyncio.events.Handle": _OF_A_LOOP,
    "asyncio.mixins._LoopBoundMixin": _OF_A_LOOP,
    "concurrent.futures._base.Executor": "a pool of threads or processes",
    "concurrent.futures._base.Future": "a future belongs to its pool",
    "multiprocessing.connection._ConnectionBase": "a connection",
    "multiprocessing.managers.BaseProxy": "a connection to another process",
    "multiprocessing.pool.Pool": "a pool of threads or processes",
    "multiprocessing.process.BaseProcess": "a process cannot be copied",
    "multiprocessing.shared_memory.SharedMemory": "memory that processes share",
    "threading.Thread": "a thread cannot be copied",
    "threading.Condition": _OF_THREADS,
    "threading.Event": _OF_THREADS,
    "threading.Semaphore": _OF_THREADS,
    "subprocess.Popen": "a process cannot be copied",
    "weakref.finalize": "a finalizer belongs to this process",
    "_io._IOBase": _FILE,
    "tempfile._TemporaryFileWrapper": _FILE,
    "mmap.mmap": "a file that is mapped into memory",
    "numpy.memmap": "a file that is mapped into memory",
    "select.epoll": _FILE,
    "selectors.BaseSelector": _FILE,
    "_socket.socket": "a socket",
    "sqlite3.Connection": "a connection to a database",
    "sqlite3.Cursor": "a connection to a database",
    "_ctypes._CData": "memory of C code",
    "ctypes.CDLL": "a library of C code",
    "h5py._hl.base.HLObject": _FILE,
}
"""By the full name of the type or of one of its bases."""


def refuse(why: str) -> Any:
    """A way to take values apart that says why there is none."""

    def refused(_: object) -> Any:
        raise Unsaveable(why)

    return refused
