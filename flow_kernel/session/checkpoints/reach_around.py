"""What may run code that no cell shows: threads, tasks, timers, hooks and callbacks.

Called by the shell after each cell, where what it finds goes into `World`, and during a way back.

`Around` is what there was before the user's first cell: the threads of the kernel, the tasks of its
loop, the hooks of IPython. Anything more is the user's, or a library's at the user's wish.
"""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final
from weakref import WeakSet

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_PARTS: Final = ("ast_transformers", "input_transformers_post", "display_formatter", "events")
_EVENTS: Final = (
    "pre_execute",
    "pre_run_cell",
    "post_execute",
    "post_run_cell",
    "shell_initialized",
)
_HOUSE: Final = (
    "IPython",
    "ipykernel",
    "flow_kernel",
    "tornado",
    "zmq",
    "jupyter_client",
    "traitlets",
)
_HOUSE_THREADS: Final = (
    "flow_kernel.",
    "IPython.core.history.HistorySavingThread",
    "ipykernel.control.",
    "ipykernel.heartbeat.",
    "ipykernel.iostream.",
    "ipykernel.parentpoller.",
    "ipykernel.shellchannel.",
    "jupyter_client.channels.HBChannel",
    "tornado.platform.asyncio.SelectorThread.",
    "zmq.utils.garbage.",
)
"""What threads of the house are made of, or begin with. Others of the same packages run whatever
they are given: `IPython.lib.backgroundjobs`, and methods of the shell as well."""
_DRAWS: Final = ("matplotlib", "matplotlib_inline")
_NO_THREAD: Final = vars(threading)["_DummyThread"]
_OF_C: Final = (BuiltinFunctionType, signal.Handlers)
_SIGNALS: Final = tuple(map(int, signal.valid_signals()))
# That of C: Python's own makes an enum of each answer, 62 times.
_getsignal: Final[Any] = getattr(vars(signal).get("_signal"), "getsignal", signal.getsignal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What there is that is not the user's.

    Attributes:
        threads: Those that ran.
        nameless: Idents of those that have no Thread.
        hooks: Ids of what hooks hold, by hook.
        watchers: Ids of what is called for each line or call.
        tasks: Those of the loop.
    """

    threads: "WeakSet[threading.Thread]"
    nameless: frozenset[int]
    hooks: dict[str, tuple[int, ...]]
    watchers: tuple[int, int]
    tasks: "WeakSet[asyncio.Task[Any]]"

    @classmethod
    def now(cls, shell: Any, *, is_first: bool = True) -> "Around":
        """What there is now, before the first cell.

        Args:
            shell: IPython's.
            is_first: False when cells have run before, whose threads are the user's.
        """
        threads = threading.enumerate()
        return cls(
            threads=WeakSet(t for t in threads if is_first or _is_thread_of_house(t)),
            nameless=frozenset(sys._current_frames().keys() - _threads().keys()),
            hooks=_hooks(shell),
            watchers=_watchers(),
            tasks=WeakSet(_tasks_of_now()),
        )


def look_around(shell: Any, known: Around) -> tuple[str, ...]:
    """Why code may run that no cell shows; empty when none can."""
    return tuple(_doubts(shell, known))


def look_beside(known: Around) -> tuple[str, ...]:
    """Why code may run at any moment, within a cell as well; empty when none can.

    Tasks, widgets and callbacks wait for the end of a cell; some of the hooks are other ones in it.
    """
    return tuple(_doubts_beside(known))


def _doubts_beside(known: Around) -> Iterator[str]:
    if _has_strange_thread(known):
        yield "another thread runs"
    handlers = [one for one in map(_getsignal, _SIGNALS) if type(one) is not int]
    if any(map(_is_of_notebook_or_unknown, handlers)):
        yield "the notebook handles a signal"
    if _watchers() != known.watchers:
        yield "each line is watched"


def _watchers() -> tuple[int, int]:
    return id(sys.gettrace()), id(sys.getprofile())


def _doubts(shell: Any, known: Around) -> Iterator[str]:
    yield from _doubts_beside(known)
    if _has_strange_task(known):
        yield "the loop has something to do"
    if _has_comms():
        yield "a widget is open"
    before = known.hooks
    for name, ids in _hooks(shell).items():
        if ids != before.get(name):
            yield f"{name} is not as it was"


def _has_strange_thread(known: Around) -> bool:
    frames = sys._current_frames()
    # With this one in it, it would live until the collector comes, and with it what all threads do.
    frames.pop(threading.get_ident(), None)
    if not frames:
        return False
    threads = _threads()
    strangers = frames.keys() - known.nameless
    return any(_is_strange_thread(threads.get(one), frames[one], known) for one in strangers)


def _threads() -> dict[int | None, threading.Thread]:
    return {thread.ident: thread for thread in threading.enumerate()}


def _is_strange_thread(thread: Any, frame: Any, known: Around) -> bool:
    if thread in known.threads:
        return False
    # `_thread` began it: it has frames, and a Thread only once it has asked for it.
    if thread is None or type(thread) is _NO_THREAD:
        while frame.f_back is not None:
            frame = frame.f_back
        return not _is_house_thread(frame.f_globals.get("__name__"), frame.f_code.co_qualname)
    return not _is_thread_of_house(thread)


def _is_thread_of_house(thread: Any) -> bool:
    if thread is threading.main_thread():
        return True
    ways = (type(thread), _function(getattr(thread, "_target", None)))
    return any(
        _is_house_thread(getattr(way, "__module__", None), getattr(way, "__qualname__", None))
        for way in ways
    )


def _is_house_thread(module: object, name: object) -> bool:
    is_named = type(module) is str and type(name) is str
    return is_named and f"{module}.{name}".startswith(_HOUSE_THREADS)


def _has_strange_task(known: Around) -> bool:
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        return False
    handles = (*getattr(loop, "_ready", ()), *getattr(loop, "_scheduled", ()))
    return any(_is_strange_task(task, known) for task in asyncio.all_tasks(loop)) or any(
        _calls_notebook(handle) for handle in handles
    )


def _is_strange_task(task: Any, known: Around) -> bool:
    if task in known.tasks:
        return False
    frame = getattr(task.get_coro(), "cr_frame", None)
    module = frame.f_globals.get("__name__") if frame is not None else None
    return type(module) is not str or module.partition(".")[0] not in _HOUSE


def _tasks_of_now() -> set[Any]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()


def _calls_notebook(handle: Any) -> bool:
    todo = [getattr(handle, "_callback", None), *(getattr(handle, "_args", None) or ())]
    while todo:
        one = todo.pop()
        if type(one) is partial:
            todo += (one.func, *one.args, *one.keywords.values())
        elif type(one) in (FunctionType, MethodType) and _is_of_notebook(_function(one)):
            return True
    return False


def _has_comms() -> bool:
    module = sys.modules.get("comm")
    manager = module.get_comm_manager() if module is not None else None
    return bool(getattr(manager, "comms", None))


def _hooks(shell: Any) -> dict[str, tuple[int, ...]]:
    """What the hooks of the interpreter and of the shell hold."""
    transforms = shell.input_transformer_manager
    callbacks = shell.events.callbacks
    found: dict[str, tuple[int, ...]] = {
        "a stream": (_writer(sys.stdout), _writer(sys.stderr)),
        "a hook of sys": (id(sys.displayhook), id(sys.excepthook)),
        "the import": (*map(id, sys.meta_path), *map(id, sys.path_hooks)),
        "the garbage collector": tuple(map(id, gc.callbacks)),
        "a part of the shell": tuple(id(getattr(shell, name, None)) for name in _PARTS),
        "a transformer": (
            *map(id, shell.ast_transformers),
            *map(id, shell.input_transformers_post),
            *map(id, transforms.cleanup_transforms),
            *map(id, transforms.line_transforms),
            *map(id, transforms.token_transformers),
        ),
        "a callback of the shell": tuple(
            id(_function(one))
            for name in _EVENTS
            for one in callbacks.get(name, ())
            if not _is_idle(_function(one))
        ),
        "a formatter": tuple(_formatters(shell)),
    }
    for part in (shell, shell.displayhook, shell.display_pub):
        found[f"the {type(part).__name__}"] = tuple(
            id(_function(value))
            for name, value in vars(part).items()
            if type(value) in (FunctionType, MethodType) and name.strip("_")
        )
    return found


def _is_idle(function: Any) -> bool:
    """True for the callbacks by which matplotlib draws open figures, when none is open."""
    module = getattr(function, "__module__", None)
    if type(module) is not str or module.partition(".")[0] not in _DRAWS:
        return False
    figures = vars(sys.modules.get("matplotlib._pylab_helpers", sys)).get("Gcf")
    return not getattr(figures, "figs", None)


def _writer(stream: Any) -> int:
    """The class of a stream: IPython swaps streams, a user brings a class."""
    kind = type(stream)
    return 0 if kind.__module__.partition(".")[0] in (*_HOUSE, "io", "_io") else id(kind)


def _is_of_notebook_or_unknown(handler: Any) -> bool:
    kind = type(handler)
    if kind in (FunctionType, MethodType):
        return _is_of_notebook(_function(handler))
    return handler is not None and kind not in _OF_C


def _function(callback: Any) -> Any:
    """Bound methods are new objects each time."""
    return callback.__func__ if type(callback) is MethodType else callback


def _formatters(shell: Any) -> Iterator[int]:
    for formatter in shell.display_formatter.formatters.values():
        for table in (formatter.singleton_printers, formatter.type_printers):
            yield from (id(one) for one in table.values() if _is_of_notebook(one))
        yield from (id(one) for one in formatter.deferred_printers.values() if _is_of_notebook(one))


def _is_of_notebook(function: Any) -> bool:
    if type(function) is not FunctionType:
        return True
    module = function.__globals__.get("__name__")
    return type(module) is not str or module == "__main__"
