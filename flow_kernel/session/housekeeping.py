"""The background thread of a session: fsync once a second, memory while a cell runs.

Called by `session.recorder`, which wakes it when there is something to do; it sleeps without a
timeout otherwise, so an idle kernel stays idle. Another one lives as long as the disk takes.
"""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_SYNC_TICK_S: Final = 1.0
_END_S: Final = 2.0
_IDLE_TICK_S: Final = 0.02
# Without an entry among the threads that a cell sees.
_start_thread: Final[Any] = import_module("_thread").start_new_thread


class Housekeeper:
    """Runs `on_busy` while a cell runs and `on_dirty` a second after writes.

    Args:
        on_busy: Called again and again; it says how soon the next time, in seconds.
        on_dirty: Called once after many writes.
        first_s: How long after the start of a cell `on_busy` is called first.
    """

    def __init__(
        self, *, on_busy: Callable[[], float], on_dirty: Callable[[], None], first_s: float
    ) -> None:
        self._on_busy = on_busy
        self._on_dirty = on_dirty
        self._tick_s = first_s
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._syncing = threading.Lock()
        self._is_parked = True
        self._is_busy = False
        self._is_dirty = False
        self._thread: threading.Thread | None = None

    def busy(self, is_busy: bool) -> None:
        """A cell began or ended; both write to the log."""
        self._is_busy = is_busy
        self._is_dirty = True
        if self._is_parked:
            if self._thread is None:
                self._start()
            self._wake.set()

    def close(self) -> None:
        """Stop the thread and wait for it, and for the disk, at most 2 s each."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_END_S)
        if self._syncing.acquire(timeout=_END_S):
            self._syncing.release()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="flow-housekeeping", daemon=True)
        thread.pydev_do_not_trace = True  # type: ignore[attr-defined]  # read by debugpy
        thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]  # read by debugpy
        self._thread = thread
        thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._is_parked = True
            if not (self._is_busy or self._is_dirty):
                self._wake.wait()
            self._is_parked = False
            self._wake.clear()
            self._round()

    def _round(self) -> None:
        elapsed_s = 0.0
        while elapsed_s < _SYNC_TICK_S:
            if self._stop.wait(self._tick_s):
                break
            elapsed_s += self._tick_s
            self._tick_s = self._on_busy() if self._is_busy else max(self._tick_s, _IDLE_TICK_S)
        if self._is_dirty:
            self._sync()

    def _sync(self) -> None:
        """In a thread of its own: a disk may take seconds, and memory is taken in less."""
        if not self._syncing.acquire(blocking=False):
            return  # the disk still has the last one
        self._is_dirty = False
        try:
            _start_thread(self._sync_and_release, ())
        except RuntimeError:  # there can be no more threads
            self._sync_and_release()

    def _sync_and_release(self) -> None:
        try:
            self._on_dirty()
        finally:
            self._syncing.release()
