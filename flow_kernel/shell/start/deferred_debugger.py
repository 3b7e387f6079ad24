"""The debugger, loaded at the first request for it.

Called by `shell.kernel`, which names `DeferredDebugger` as its debugger.

ipykernel loads debugpy while it starts: a third of all its imports, for a debugger that most
sessions never open. Here a stand-in for `ipykernel.debugger` answers whether there is one, and the
debugger of ipykernel is made when a client first asks something of it (JupyterLab does so when it
opens a notebook), in the control thread, which handles its requests anyway.
"""

import asyncio
import importlib
import os
import sys
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

if TYPE_CHECKING:
    from collections.abc import Callable

globals()["__builtins__"] = FROZEN_BUILTINS

_NAME: Final = "ipykernel.debugger"
_NO_WARNING: Final = "PYDEVD_DISABLE_FILE_VALIDATION"
_PARTS: Final = ("debugpy", "pydev", "_pydev", "ipykernel.")


class _StandIn(ModuleType):
    """Is `ipykernel.debugger` until something of it is needed but the one fact."""

    def __init__(self) -> None:
        super().__init__(_NAME, "Stands in for ipykernel's module until a debugger is asked for.")
        self._is_debugpy_available = find_spec("debugpy") is not None
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        return getattr(_load(), name)


class DeferredDebugger:
    """Becomes the debugger of ipykernel at the first request.

    Args:
        made_of: What ipykernel gives to its debugger.
    """

    def __init__(self, *made_of: Any) -> None:
        self._made_of = made_of
        self._real: Any = None
        self._is_loaded = asyncio.Event()
        self.on_load: Callable[[list[str]], object] = lambda _: None
        """Told the names of the modules that were loaded, which no cell imported."""

    async def process_request(self, message: Any) -> Any:
        """Answer a debug request; called in the control thread."""
        real = self._load()
        self._is_loaded.set()
        return None if real is None else await real.process_request(message)

    async def handle_stopped_event(self) -> None:
        """Wait for the next stop; called in the control thread, again and again."""
        await self._is_loaded.wait()
        real = self._load()
        await (real.handle_stopped_event() if real is not None else asyncio.Event().wait())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._load(), name)

    def _load(self) -> Any:
        """The debugger of ipykernel; None where debugpy is there and fails to load."""
        if self._real is None:
            before = set(sys.modules)
            module = _load()
            fresh = [name for name in sys.modules.copy() if name not in before]
            self.on_load([name for name in fresh if name.startswith(_PARTS)])
            if module._is_debugpy_available:
                self._real = module.Debugger(*self._made_of)
        return self._real


def stand_in() -> None:
    """Put the stand-in where the kernel looks for its debugger, unless that is loaded already."""
    if _NAME not in sys.modules:
        sys.modules[_NAME] = module = _StandIn()
        if module._is_debugpy_available:
            sys.breakpointhook = _breakpoint


def _breakpoint(*args: Any, **kwargs: Any) -> Any:
    """Leave `breakpoint()` to debugpy, which sets a hook of its own when it is loaded.

    Without a client that debugs, that hook does nothing; the interpreter's would ask for input.
    """
    _load()
    hook = sys.breakpointhook
    return (sys.__breakpointhook__ if hook is _breakpoint else hook)(*args, **kwargs)


def _load() -> Any:
    found = sys.modules.get(_NAME)
    was_unset = _NO_WARNING not in os.environ
    if isinstance(found, _StandIn):
        with found.lock:
            if sys.modules.get(_NAME) is found:
                del sys.modules[_NAME]
        # It warns on stderr of frozen modules, which here would be the output of a cell.
        os.environ.setdefault(_NO_WARNING, "1")
        try:
            return importlib.import_module(_NAME)
        finally:
            if was_unset:
                os.environ.pop(_NO_WARNING, None)
    return importlib.import_module(_NAME)
