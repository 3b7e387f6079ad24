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

if sys.platform != "win32":
    import fcntl
    import termios

_READ_BYTES: Final = 65536
_UNFINISHED_MS: Final = 50
_NAP_S: Final = 0.0002
_STARVED_S: Final = 1.0
"""Longest wait for a thread that has bytes to read and gets no processor."""
_monotonic: Final = time.monotonic
_sleep: Final = time.sleep
_poll: Final = getattr(select, "poll", None)


class CapturedFd:
    """A base of ipykernel's stream: reads whole characters and knows when it is busy."""

    _fd_busy = False
    _fd_echoes = False
    """What was read is text by now, and on its way to where the kernel was started."""
    _fd_rounds = 0
    """How often it was read."""
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
            self._fd_busy = self._fd_echoes = False

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
            self._fd_rounds += 1
            if data:
                self._fd_echoes = True
                os.write(self._original_stdstream_copy, data)
                self._fd_echoes = False
            self._fd_busy = False


def drain(streams: tuple[Any, ...], timeout_s: float) -> None:
    """Wait until bytes on the captured descriptors have become messages.

    Costs 2 us when nothing is on its way. What is there already is waited for until the thread that
    reads it has got a processor, which may take long where the machine is busy.

    Args:
        streams: Whose descriptors.
        timeout_s: Longest wait for what comes meanwhile.
    """
    deadline = 0.0
    for stream in streams:
        last: int | None = None
        while _is_busy(stream):
            now = _monotonic()
            deadline = deadline or now + timeout_s
            last = _last_round(stream) if last is None else last
            is_starved = now < deadline + _STARVED_S and _is_starved(stream, last)
            if now >= deadline and not is_starved:
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


def _last_round(stream: Any) -> int:
    """The round after which all that is there now was read; 0 where nobody counts them."""
    rounds = getattr(stream, "_fd_rounds", None)
    # One may go on that has begun before; a pipe holds 64 kB as a rule, and has room for more.
    return 0 if rounds is None else rounds + 2 + _waiting(stream) // _READ_BYTES


def _is_starved(stream: Any, last: int) -> bool:
    """What was there at first is not read yet, by a reader that lives and waits for nobody."""
    if getattr(stream, "_fd_rounds", 0) >= last or stream._fd_echoes:
        return False
    return bool(stream.watch_fd_thread.is_alive())


def _waiting(stream: Any) -> int:
    if sys.platform == "win32":
        return 0
    try:
        found = fcntl.ioctl(stream._fid, termios.FIONREAD, bytes(4))
    except (OSError, ValueError, TypeError):
        return 0
    return int.from_bytes(found, sys.byteorder)


def _has_bytes(stream: Any) -> bool:
    if _poll is None:
        return False
    poller = _poll()
    try:
        poller.register(stream._fid, select.POLLIN)
        return bool(poller.poll(0))
    except (OSError, ValueError, TypeError):
        return False
