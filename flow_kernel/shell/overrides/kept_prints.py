"""What IPython keeps of what cells print, for `%notebook`: enough, and not everything for ever.

Used by the shell of `shell.kernel` in place of `InteractiveShell._tee`.

IPython 9 keeps each piece that a cell writes as a text of its own, as long as the session lives: a
training loop that prints 100 MB keeps 100 MB, and each `print` pays for it. Here a cell keeps its
first 256 thousand characters, all cells together two million, the oldest go first; where something
was left out the text says so.

A stream of ours tells the text of each message, which is less work than each piece.

Source: IPython 9.0 to 9.18, `InteractiveShell._tee`; `is_usable` looks whether it is still so, and
IPython's own stays where it is not.
"""

import inspect
import io
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from IPython.core import history
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.packed_outputs import PackedOutputs

globals()["__builtins__"] = FROZEN_BUILTINS

CELL_CHARS: Final = 1 << 18
"""Of one stream of one cell."""
ALL_CHARS: Final = 1 << 21
LEFT_OUT: Final = "\n[the rest is not kept]\n"
DROPPED: Final = "[not kept any more]\n"
_TYPES: Final = {"stdout": "out_stream", "stderr": "err_stream"}


class KeptPrints:
    """The texts of one shell.

    Args:
        shell: IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        # Two, because a pair for each would be larger than what most cells print.
        self._counts: deque[int] = deque()
        self._lengths: deque[int] = deque()
        self._chars = 0

    def tee(self, channel: str) -> "_Cell":
        """Keep what is written to `sys.stdout` or `sys.stderr` in a `with` block."""
        return _Cell(self, self._shell, channel)

    def add(self, count: int, bundle: dict[str, list[str]], text: str) -> None:
        """Keep what cell `count` printed; what is too much goes, the oldest first."""
        bundle["stream"].append(text)
        self._counts.append(count)
        self._lengths.append(len(text))
        self._chars += len(text)
        while self._chars > ALL_CHARS:
            oldest = self._counts.popleft()
            self._chars -= self._lengths.popleft()
            while self._counts and self._counts[0] == oldest:
                self._counts.popleft()
                self._chars -= self._lengths.popleft()
            self._drop(oldest)

    def _drop(self, count: int) -> None:
        for output in self.outputs.get(count) or ():
            if type(output) is history.HistoryOutput and "stream" in output.bundle:
                output.bundle["stream"][:] = [DROPPED]
        self.is_over(count)

    def is_over(self, count: int) -> None:
        """A cell has ended: what it leaves may be put away."""
        outputs = self.outputs
        if type(outputs) is PackedOutputs:
            outputs.pack(count)

    @property
    def outputs(self) -> Any:
        """What IPython keeps, by execution count."""
        return self._shell.history_manager.outputs


class _Cell:
    """What one cell writes to one stream.

    A class and not a generator: `contextlib` calls builtins, which a cell may have patched.
    """

    def __init__(self, kept: KeptPrints, shell: Any, channel: str) -> None:
        self._kept = kept
        self._shell = shell
        self._channel = channel
        self._count: int = shell.execution_count
        self._output: Any = None
        self._text = io.StringIO()
        self._room = CELL_CHARS
        self._stop: Callable[[], None] = _nothing
        self._flush: Callable[[], None] = _nothing

    def __enter__(self) -> None:
        stream: Any = getattr(sys, self._channel, None)
        hearers = getattr(stream, "hearers", None)
        if type(hearers) is list:
            send_now(stream)  # what was printed before is not of this cell
            self._flush = stream.flush
            self._stop = _heard(hearers, self._keep)
        else:
            self._stop = _patched(stream, self._note)

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._stop()
        self._settle()
        self._kept.is_over(self._count)

    def _note(self, text: str) -> None:
        """A piece was written to a stream that shows results as well."""
        shell = self._shell
        is_shown = shell.display_pub.is_publishing or shell.displayhook.is_active
        if text and not is_shown and not shell.showing_traceback:
            self._keep(text)

    def _keep(self, text: str) -> None:
        outputs = self._kept.outputs[self._count]
        if not outputs or outputs[-1] is not self._output:
            self._settle()
            self._output = history.HistoryOutput(
                output_type=_TYPES[self._channel], bundle={"stream": []}
            )
            outputs.append(self._output)
        if len(text) <= self._room:
            self._text.write(text)
            self._room -= len(text)
            return
        self._text.write(text[: self._room] + LEFT_OUT)
        self._room = 0
        self._stop()

    def _settle(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            self._kept.add(self._count, output.bundle, self._text.getvalue())
            self._text = io.StringIO()


def _nothing() -> None:
    """What ends nothing."""


def send_now(stream: Any) -> None:
    """Have a stream of ours send what waits."""
    if getattr(stream, "has_unsent", False) is True:
        stream.flush()


def _heard(hearers: list[Any], hear: Callable[[str], None]) -> Callable[[], None]:
    hearers.append(hear)

    def stop() -> None:
        if hear in hearers:
            hearers.remove(hear)

    return stop


def _patched(stream: Any, note: Callable[[str], None]) -> Callable[[], None]:
    try:
        original = stream.write

        def write(data: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(data, *args, **kwargs)
            if type(data) is str:
                note(data)
            return result

        stream.write = write
    except AttributeError:  # None, or a stream of C that takes no attribute
        return _nothing

    def stop() -> None:
        if getattr(stream, "write", None) is write:
            stream.write = original

    return stop


def is_usable() -> bool:
    """True where IPython keeps what cells print as we do."""
    try:
        kept = inspect.signature(history.HistoryOutput).parameters
        return (
            [*inspect.signature(InteractiveShell._tee).parameters] == ["self", "channel"]
            and {"output_type", "bundle"} <= set(kept)
            and hasattr(DisplayPublisher, "is_publishing")
            and hasattr(DisplayHook, "is_active")
        )
    except (AttributeError, TypeError, ValueError):
        return False
