"""IPython's history, written once a second and not once a cell.

Made by the shell of `shell.kernel`.

IPython commits each cell to `history.sqlite` in a thread that takes the interpreter and the lock of
its cache from the cell that comes next: a tenth of a small cell, and a wait for the disk. Here a
cell is written within a second, and at the latest when the session ends or somebody looks into the
history. A kernel that is killed within that second loses those lines of it; the task log has them.

Where `c.HistoryManager.db_cache_size` is set, it is as IPython does it.

Proven for IPython 9.0 to 9.18: the cache, its size and `save_flag` are IPython's own.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

from IPython.core.history import HistoryManager

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.sections import SectionsOnce
from flow_kernel.shell.overrides.shared_texts import SharedTexts

globals()["__builtins__"] = FROZEN_BUILTINS

EVERY_S: Final = 1.0
MOST_CELLS: Final = 1000
"""In one batch; more are written at once."""

Later = Callable[[float, Callable[[], None]], None]


class BatchedHistory(SectionsOnce, HistoryManager):  # type: ignore[misc]  # IPython's types end at its traits
    """IPython's history manager."""

    _later: Later | None = None
    _is_timed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sources = SharedTexts()

    def reset(self, new_session: bool = True) -> None:
        """Forget the cells of the session."""
        self._sources.clear()
        super().reset(new_session)

    def batch(self, later: Later) -> None:
        """Write in batches from now on.

        Args:
            later: Calls a function after some seconds, in a thread that no cell keeps busy.
        """
        asked: int = self.db_cache_size  # type: ignore[has-type]  # a trait
        if asked <= 1 and self.using_thread:
            self._later = later
            self.db_cache_size = MOST_CELLS

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        """Keep what a cell was, and have it written soon."""
        same = self._sources.same
        plain = same(source.rstrip("\n"))
        raw = plain if source_raw is None else same(source_raw.rstrip("\n"))
        super().store_inputs(line_num, plain, raw)
        self._set_timer()

    def store_output(self, line_num: int) -> None:
        """Keep what came out, where that is wanted, and have it written soon."""
        super().store_output(line_num)
        self._set_timer()

    def _set_timer(self) -> None:
        has_news = self.db_input_cache or self.db_output_cache
        if self._later is not None and has_news and not self._is_timed:
            self._is_timed = True
            try:
                self._later(EVERY_S, self._on_time)
            except RuntimeError:  # the loop has just been closed: the end of the session writes
                pass
            except BaseException:  # an interrupt: the next line sets it
                self._is_timed = False
                raise

    def _on_time(self) -> None:
        self._is_timed = False
        if not (self.db_input_cache or self.db_output_cache):
            return
        self._restart_thread_if_stopped()  # a fork stops it
        flag: Any = self.save_flag
        if flag is not None:
            flag.set()


BatchedHistory.__name__ = BatchedHistory.__qualname__ = HistoryManager.__name__
BatchedHistory.__module__ = HistoryManager.__module__


def is_usable() -> bool:
    """True where IPython's class has what ours relies on."""
    names = ("db_cache_size", "db_input_cache", "db_output_cache", "save_flag")
    methods = ("_restart_thread_if_stopped", "writeout_cache")
    stores = {
        "store_inputs": ["self", "line_num", "source", "source_raw"],
        "store_output": ["self", "line_num"],
    }
    try:
        return all(hasattr(HistoryManager, name) for name in (*names, *methods)) and all(
            [*inspect.signature(getattr(HistoryManager, name)).parameters] == parameters
            for name, parameters in stores.items()
        )
    except (AttributeError, TypeError, ValueError):
        return False
