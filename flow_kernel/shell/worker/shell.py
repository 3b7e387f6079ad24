"""The shell of a worker, and one made ahead for the forks of a process.

Used by `shell.worker.app`; prepared in a zygote. To set a shell up takes IPython ten milliseconds,
which is the same work in each worker: a fork takes over what its zygote has made, and makes its own
only where settings would have made another one.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Final

from ipykernel.compiler import XCachingCompiler
from ipykernel.zmqshell import ZMQInteractiveShell

from flow_kernel.shell.overrides.awaited_interrupts import AwaitingShell
from flow_kernel.shell.overrides.lasting_events import LastingEventsShell
from flow_kernel.shell.overrides.once import OnceShell
from flow_kernel.shell.overrides.plain_source import PlainSourceShell
from flow_kernel.shell.streams.flushed_streams import FlushingShell

_SAID: Final = frozenset(("IPKernelApp", "Session"))
"""Sections of settings that say nothing to a shell."""
_PLACES: Final = (
    *("HOME", "IPYTHONDIR", "XDG_CONFIG_HOME"),
    *("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH"),
)


def places() -> tuple[str | None, ...]:
    """What decides where settings are looked for."""
    return tuple(os.environ.get(name) for name in _PLACES)


class WorkerShell(AwaitingShell, LastingEventsShell, FlushingShell, PlainSourceShell, OnceShell):
    """The shell of a worker."""

    is_blocking: bool = False
    """True while a cell keeps the main thread, and its loop, to itself."""
    _prepared: ClassVar[tuple[Any, Any]] = (None, None)

    @classmethod
    def prepare(cls) -> None:
        """Make one that a fork of this process takes as its own; it knows no settings yet."""
        shell = cls(compiler_class=XCachingCompiler)
        shell.transform_cell("1")  # the first one in a process takes longer
        cls._prepared = (places(), shell)

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The shell of this process: that which was prepared, if no setting would change it."""
        kernel: Any = kwargs.get("parent")
        (where, shell), cls._prepared = cls._prepared, (None, None)
        if shell is not None and where == places() and set(kernel.config) <= _SAID:
            shell.belong_to(kernel)
            for each in cls._walk_mro():
                each._instance = shell
        return super().instance(*args, **kwargs)

    def belong_to(self, kernel: Any) -> None:
        """Become what it would have been, had `kernel` made it."""
        theirs = {
            "kernel": kernel,
            "parent": kernel,
            "profile_dir": kernel.profile_dir,
            "ipython_dir": kernel.parent.ipython_dir,
            "starting_dir": str(Path.cwd()),
        }
        for name, value in theirs.items():
            setattr(self, name, value)
        # One object for all of them. Not by its trait, which would have each read it once more.
        self.config.pop("IPKernelApp", None)
        kernel.config.merge(self.config)
        for each in self.configurables:
            each._trait_values["config"] = kernel.config
        self.history_manager.dir_hist[:] = [Path.cwd()]
        self.init_environment()
        self.init_virtualenv()
        self.save_sys_module_state()
        self.init_sys_modules()

    def ask_exit(self) -> None:
        """`exit()` in a cell: its worker stays, with all that it holds."""
        print("exit() ends no worker; %workers stop does", file=sys.stderr)  # noqa: T201 - the person asked

    def run_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Run a cell that awaits nothing."""
        with self.blocking():
            return super().run_cell(*args, **kwargs)

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Something keeps the main thread meanwhile."""
        before, self.is_blocking = self.is_blocking, True
        try:
            yield
        finally:
            self.is_blocking = before

    def _tee(self, channel: str) -> AbstractContextManager[None]:
        """Keep no copy of all that a cell prints: IPython's is for the history, without end."""
        return nullcontext()

    def init_history(self) -> None:
        """No database: the session keeps the history of what it sends here."""
        self.config.HistoryManager.enabled = False
        super().init_history()


WorkerShell.__name__ = WorkerShell.__qualname__ = ZMQInteractiveShell.__name__
WorkerShell.__module__ = ZMQInteractiveShell.__module__
