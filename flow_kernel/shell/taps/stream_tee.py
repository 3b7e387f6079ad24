"""Sees each write to stdout and stderr while a cell runs.

Called by `shell.attach` around each cell, so that the last words of a cell that kills its process
are known even before ipykernel would have sent them, and by the terminal, which has no messages.

A stream of ours has a place for who watches it. Of others `write` is patched, as IPython does for
each cell as well (`InteractiveShell._tee`); it puts back what it found, so ours is set after it and
taken away before it.
"""

import sys
from collections.abc import Callable
from typing import Any

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.streams.unsent_output import Unsent

globals()["__builtins__"] = FROZEN_BUILTINS


class StreamTee:
    """Patched `write` of the two streams, for the duration of one cell."""

    __slots__ = ("_depth", "_note", "_on_write", "_patched", "_watched")

    def __init__(
        self, note: Callable[[str], bool], on_write: Callable[[str, str], None] | None = None
    ) -> None:
        """Make a tee.

        Args:
            note: Told each text that was written; True where it may be told later.
            on_write: Told the stream's name as well; for shells without messages.
        """
        self._note = note
        self._on_write = on_write
        self._depth = 0
        self._patched: list[tuple[Any, Any, Any]] = []
        self._watched: list[Unsent] = []

    def install(self) -> None:
        """Begin to listen to what `sys.stdout` and `sys.stderr` are now; cells may be nested."""
        self._depth += 1
        if self._depth > 1:
            return
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            unsent = getattr(stream, "unsent", None)
            if self._on_write is None and type(unsent) is Unsent:
                unsent.watch(self._note)
                self._watched.append(unsent)
                continue
            try:
                original = stream.write
                tee = _tee(name, original, self._note, self._on_write)
                stream.write = tee
            except AttributeError:  # None, or a stream of C that takes no attribute
                continue
            self._patched.append((stream, original, tee))

    def remove(self) -> None:
        """Put back what was found, when the outermost cell ends."""
        self._depth -= 1
        if self._depth <= 0:
            self.reset()

    def reset(self) -> None:
        """Put back what was found, unless somebody else has patched it since."""
        self._depth = 0
        while self._watched:
            self._watched.pop().watch(None)
        for stream, original, tee in self._patched:
            if getattr(stream, "write", None) is tee:
                stream.write = original
        self._patched.clear()


def _tee(
    name: str,
    original: Any,
    note: Callable[[str], bool],
    on_write: Callable[[str, str], None] | None,
) -> Any:
    def write(data: Any, *args: Any) -> Any:
        result = original(data, *args)
        if type(data) is str:
            try:
                note(data)
                if on_write is not None:
                    on_write(name, data)
            except Exception:  # noqa: BLE001 - the user's print must not fail for us
                return result
        return result

    return write
