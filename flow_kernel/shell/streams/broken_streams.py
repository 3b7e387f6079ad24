"""Keeps a cell that broke `sys.stdout` or `sys.stderr` from silencing the kernel.

Used by `shell.overrides.repairs` around each cell, and by `shell.streams.flushed_streams` in the
midst of one.

ipykernel flushes both before a result, an error, a reply and `idle`. Where one is gone, is None or
cannot be flushed, all of them are lost and the client waits for ever; where a cell closed the
kernel's own, nothing is printed any more. After the cell each is the kernel's again, and open.

Proven for ipykernel 7.0 to 7.4: a stream that is opened again captures its descriptor by
`OutStream._setup_stream_redirects`; where that has another name, it captures none.
"""

import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final

from ipykernel.iostream import OutStream

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_GONE: Final = object()


def is_usable() -> bool:
    """A stream captures its descriptor as we know it."""
    return callable(getattr(OutStream, "_setup_stream_redirects", None))


class BrokenStreams:
    """The streams of a kernel, and what cells make of them.

    Args:
        stdout: The kernel's own.
        stderr: The same.
        publisher: What they send through.
    """

    def __init__(self, stdout: Any, stderr: Any, publisher: Any) -> None:
        self._working = {"stdout": stdout, "stderr": stderr}
        self._publisher = publisher

    def mend(self) -> str:
        """Put the kernel's own in the place of each that is broken.

        Returns:
            What was wrong, for the person; empty when nothing was.
        """
        said = []
        for name, working in self._working.items():
            if getattr(working, "closed", False):
                _reopen(name, working, self._publisher)
                said.append(f"sys.{name} was closed")
            stream = getattr(sys, name, _GONE)
            if stream is not working and (what := _what_is_wrong(stream)):
                setattr(sys, name, working)
                said.append(f"sys.{name} {what}")
        return " and ".join(said)

    def set_parent(self, parent: Any) -> None:
        """Tell those that a user's is in the place of whose request begins."""
        for name, working in self._working.items():
            if getattr(sys, name, None) is not working and hasattr(working, "set_parent"):
                working.set_parent(parent)

    def whole(self) -> "WholeStreams":
        """In the block both can be flushed."""
        return WholeStreams(self._working)


class WholeStreams:
    """`sys.stdout` and `sys.stderr` as streams that can be flushed, for a block."""

    __slots__ = ("_swapped", "_working")

    def __init__(self, working: dict[str, Any]) -> None:
        self._working = working
        self._swapped: list[tuple[str, Any, Any]] = []

    def __enter__(self) -> None:
        for name, working in self._working.items():
            stream = getattr(sys, name, _GONE)
            if stream is not working:
                whole = working if stream is None or stream is _GONE else _Flushable(stream)
                setattr(sys, name, whole)
                self._swapped.append((name, whole, stream))

    def __exit__(self, *_: object) -> None:
        for name, whole, stream in self._swapped:
            if getattr(sys, name, _GONE) is not whole:
                continue
            if stream is _GONE:
                delattr(sys, name)
            else:
                setattr(sys, name, stream)


class _Flushable:
    """A user's stream; that it cannot be flushed is not told."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def flush(self) -> None:
        """Flush it, if that can be done."""
        flush_quietly(self._stream)


def flush_quietly(stream: Any) -> str:
    """Flush a stream of a user's.

    Returns:
        The name of the error that it raised; empty when it raised none.
    """
    for _ in range(2):
        try:
            stream.flush()
        except KeyboardInterrupt:  # the person's, the first time
            continue
        except BaseException as error:  # noqa: BLE001 - a user's class may raise anything
            return type(error).__name__
        return ""
    return "KeyboardInterrupt"


def _what_is_wrong(stream: Any) -> str:
    if stream is _GONE:
        return "was deleted"
    if stream is None:
        return "was None"
    name = flush_quietly(stream)
    return f"cannot be flushed ({name})" if name else ""


def _reopen(name: str, stream: Any, publisher: Any) -> None:
    stream.pub_thread = publisher
    fd = getattr(stream, "_original_stdstream_fd", None)
    if fd is None:  # it captured no descriptor
        return
    seen = getattr(sys, name, stream)
    # It asks what has its name for the descriptor, and would be told its own copy, which is closed.
    setattr(sys, name, SimpleNamespace(fileno=lambda: fd))
    with suppress(OSError, RuntimeError, AttributeError):
        os.close(stream._fid)
        stream._should_watch = True
        stream._setup_stream_redirects(name)
    setattr(sys, name, seen)
