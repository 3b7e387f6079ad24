"""What may run code that no cell shows: threads, tasks, timers, hooks and callbacks.

Called by the shell after each cell; what it finds goes into `World`.

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
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final
from weakref import WeakSet

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

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
_OF_C: Final = (BuiltinFunctionType, signal.Handlers)
_SIGNALS: Final = tuple(signal.valid_signals())


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What there is that is not the user's.

    Attributes:
        threads: Those that ran.
        hooks: Ids of what hooks hold, by hook.
        tasks: Those of the loop.
    """

    threads: "WeakSet[threading.Thread]"
    hooks: dict[str, tuple[int, ...]]
    tasks: "WeakSet[asyncio.Task[Any]]"

    @classmethod
    def now(cls, shell: Any) -> "Around":
        """What there is now, before the first cell."""
        return cls(
            threads=WeakSet(filter(_is_of_house, threading.enumerate())),
            hooks=_hooks(shell),
            tasks=WeakSet(_tasks()),
        )


def look_around(shell: Any, known: Around) -> tuple[str, ...]:
    """Why code may run that no cell shows; empty when none can."""
    return tuple(_doubts(shell, known))


def _doubts(shell: Any, known: Around) -> Iterator[str]:
    # Frames, not Thread objects: a thread of `_thread` has none.
    if len(sys._current_frames()) > 1 and any(
        one not in known.threads and not _is_of_house(one) for one in threading.enumerate()
    ):
        yield "another thread runs"
    if any(_is_strange(task, known) for task in _tasks()):
        yield "a task of the loop is not done"
    if any(map(_is_handled_by_notebook, _SIGNALS)):
        yield "the notebook handles a signal"
    for name, ids in _hooks(shell).items():
        if ids != known.hooks.get(name):
            yield f"{name} is not as it was"


def _is_of_house(thread: threading.Thread) -> bool:
    """True for the main thread and for those of the kernel, ours among them."""
    if thread is threading.main_thread():
        return True
    target = getattr(thread, "_target", None)
    code = _function(target) if target is not None else type(thread)
    module = getattr(code, "__module__", None)
    return type(module) is str and module.partition(".")[0] in _HOUSE


def _tasks() -> set[Any]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return set()
    return asyncio.all_tasks(loop)


def _is_strange(task: Any, known: Around) -> bool:
    if task in known.tasks:
        return False
    code = getattr(task.get_coro(), "cr_code", None)
    module = getattr(getattr(task.get_coro(), "cr_frame", None), "f_globals", {}).get("__name__")
    return code is None or type(module) is not str or module.partition(".")[0] not in _HOUSE


def _hooks(shell: Any) -> dict[str, tuple[int, ...]]:
    """What the hooks of the interpreter and of the shell hold."""
    found: dict[str, tuple[int, ...]] = {
        "sys.stdout": (_writer(sys.stdout),),
        "sys.stderr": (_writer(sys.stderr),),
        "sys.displayhook": (id(sys.displayhook),),
        "sys.excepthook": (id(sys.excepthook),),
        "sys.settrace": (id(sys.gettrace()),),
        "sys.setprofile": (id(sys.getprofile()),),
        "sys.meta_path": tuple(map(id, sys.meta_path)),
        "sys.path_hooks": tuple(map(id, sys.path_hooks)),
        "gc.callbacks": tuple(map(id, gc.callbacks)),
        "the shell": tuple(
            id(getattr(shell, name, None))
            for name in (
                "ast_transformers",
                "input_transformers_post",
                "display_formatter",
                "events",
            )
        ),
        "a transformer": (
            *map(id, shell.ast_transformers),
            *map(id, shell.input_transformers_post),
            *map(id, shell.input_transformer_manager.cleanup_transforms),
            *map(id, shell.input_transformer_manager.line_transforms),
            *map(id, shell.input_transformer_manager.token_transformers),
        ),
        "a callback of the shell": tuple(
            id(one)
            for name in _EVENTS
            for one in map(_function, shell.events.callbacks.get(name, ()))
        ),
    }
    found["a formatter"] = tuple(_formatters(shell))
    return found


def _writer(stream: Any) -> int:
    """The class of a stream: IPython swaps streams, a user brings a class."""
    kind = type(stream)
    return 0 if kind.__module__.partition(".")[0] in (*_HOUSE, "io", "_io") else id(kind)


def _is_handled_by_notebook(number: int) -> bool:
    handler = signal.getsignal(number)
    kind = type(handler)
    return callable(handler) and (
        _is_of_notebook(_function(handler))
        if kind in (FunctionType, MethodType)
        else kind not in _OF_C
    )


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
