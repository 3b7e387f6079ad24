"""The reading of a captured file descriptor, and the wait for its last words.

Used by `shell.streams.outstream`, and by `shell.attach` at a cell's end.

Stock ipykernel reads captured descriptors a thousand bytes at a time and decodes each piece alone,
which breaks characters at the seams; this one reads 64 kB and keeps an unfinished character for the
next piece. It says when it is busy, so the end of a cell knows whether a subprocess's last words
are still on their way.
"""

import codecs
import os
import select
import sys
import time
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_READ_BYTES: Final = 65536
_UNFINISHED_MS: Final = 50
_NAP_S: Final = 0.0002
_monotonic: Final = time.monotonic
_sleep: Final = time.sleep
_poll: Final = getattr(select, "poll", None)


class CapturedFd:
    """A base of ipykernel's stream: reads whole characters and knows when it is busy."""

    _fd_busy = False
    _fid: Any
    _should_watch: bool
    _original_stdstream_copy: int
    _exc: Any

    def write(self, string: str) -> int:
        """Take text; the stream does."""
        raise NotImplementedError

    def _watch_pipe_fd(self) -> None:
        if self._fid is None:
            return
        if _poll is None:
            super()._watch_pipe_fd()  # type: ignore[misc]  # ipykernel's
            return
        try:
            self._pump()
        except Exception:  # noqa: BLE001 - shown by close(), as in ipykernel
            self._exc = sys.exc_info()
        finally:
            self._fd_busy = False

    def _pump(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        poller = select.poll()
        poller.register(self._fid, select.POLLIN)
        is_unfinished = False
        while True:
            # The bytes stay in the pipe until we are marked busy, so a drain never misses them.
            ready = poller.poll(_UNFINISHED_MS if is_unfinished else None)
            self._fd_busy = True
            data = os.read(self._fid, _READ_BYTES) if ready else b""
            if ready and (not data or not self._should_watch):
                return
            text = decoder.decode(data, final=not ready)
            is_unfinished = bool(decoder.getstate()[0])
            if text:
                self.write(text)
            if data:
                os.write(self._original_stdstream_copy, data)
            self._fd_busy = False


def drain(streams: tuple[Any, ...], timeout_s: float) -> None:
    """Wait until bytes on the captured descriptors have become messages, at most `timeout_s`.

    Costs 2 us when nothing is on its way.
    """
    deadline = 0.0
    for stream in streams:
        while _is_busy(stream):
            now = _monotonic()
            deadline = deadline or now + timeout_s
            if now >= deadline:
                break
            _sleep(_NAP_S)
        if _has_unsent(stream) and not stream.closed:
            stream.flush()


def _has_unsent(stream: Any) -> bool:
    found = getattr(stream, "has_unsent", None)
    return bool(stream._buffers if found is None else found)


def _is_busy(stream: Any) -> bool:
    if not getattr(stream, "_should_watch", False):
        return False
    # The pipe comes first: what is taken out of it after that look is marked before it is taken.
    return _has_bytes(stream) or getattr(stream, "_fd_busy", False)


def _has_bytes(stream: Any) -> bool:
    if _poll is None:
        return False
    poller = _poll()
    try:
        poller.register(stream._fid, select.POLLIN)
        return bool(poller.poll(0))
    except (OSError, ValueError, TypeError):
        return False
