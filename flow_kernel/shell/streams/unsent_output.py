"""What stdout and stderr of a kernel were told and nobody has sent yet.

Both streams of a kernel share one, so that clients see text in the order in which it was written.
Made by `shell.streams.outstream`.

    write ──▶ parts: [(stdout, cell 1, "a" "b"), (stderr, cell 1, "c"), …] ──▶ messages

A piece of text costs an append under a lock that is held for nothing else. When text is there, a
timer of the IOPub thread sends it: the first after 2 ms, so that a short cell is one message as in
stock ipykernel, then every 25 ms. Above 256 thousand characters whoever writes sends it at once, so
the buffer is bounded.
"""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.noted_signals import NotedSignals

globals()["__builtins__"] = FROZEN_BUILTINS

FIRST_S: Final = 0.002
"""From the first text of a cell to its message."""
NEXT_S: Final = 0.025
"""Between two messages."""
MOST_CHARS: Final = 1 << 18
"""Held back at most; a single text may be longer."""
MOST_SWITCHES: Final = 1000
"""From one stream to the other, in one cell, that become messages of their own."""
SWITCHES_PER_S: Final = 100
"""And for as long as it lasts: a loop that writes to both would flood its clients with messages.
Beyond, text joins the last of its stream and cell."""
_CELLS: Final = 16
"""Of so many it is known that they are not new."""
_PATIENCE_S: Final = 10.0
"""Longest wait for who sends, as in ipykernel: it may wait for us."""
_NAP_S: Final = 0.005
_monotonic: Final = time.monotonic


class Part:
    """Text that becomes one message."""

    __slots__ = ("parent", "stream", "texts", "told")

    def __init__(self, stream: Any, parent: Any) -> None:
        self.stream: Any = stream
        self.parent: Any = parent
        self.texts: list[str] = []
        self.told: int = 0
        """How many of them the watcher knows."""


class Unsent:
    """The text of the streams of one publisher.

    Args:
        publisher: ipykernel's thread of the IOPub channel.
    """

    def __init__(self, publisher: Any) -> None:
        self.lock: Any = threading.RLock()
        """Held for an append. Nobody flushes who has it: a finalizer may be in the midst of one."""
        self.order: Any = getattr(publisher, "order", None) or threading.RLock()
        """Held while text is sent: whoever flushes waits for those who are at it."""
        self.last: Part | None = None
        """Where text of the same stream and cell goes."""
        self.chars: int = 0
        self.is_calm: bool = False
        """A timer is set and the watcher has enough: a write has nothing to do but to append."""
        self._publisher = publisher
        self._watcher: Callable[[str], bool] | None = None
        self._parts: list[Part] = []
        self._latest: dict[tuple[int, int], Part] = {}
        self._switches: float = MOST_SWITCHES
        self._cells: deque[Any] = deque(maxlen=_CELLS)
        self._switched_s = 0.0
        self._leaving: deque[Part] = deque()
        self._is_armed = False
        self.is_child: bool = False
        """This process was forked after it was made."""
        self._is_sending = False
        self._sent: Any = None
        self._sent_s = 0.0
        _mind_forks(self)
        last_calls = getattr(publisher, "last_calls", None)
        if last_calls is not None:
            last_calls.append(self.flush)

    @property
    def is_empty(self) -> bool:
        """Nothing waits, and nobody is sending what did."""
        return not self._parts and not self._leaving and not self._is_sending

    def watch(self, watcher: Callable[[str], bool] | None) -> None:
        """Tell `watcher` each text when it is written, or none any more.

        Where it returns True it has enough, and is told the rest when that is sent.
        """
        self._watcher = watcher
        self.is_calm = False

    def switch(self, stream: Any, parent: Any) -> Part:
        """The part for text of another stream or cell than that before; the caller has `lock`."""
        key = id(stream), id(parent)
        part = self._latest.get(key)
        if part is None or self._may_switch(parent):
            self._latest[key] = part = Part(stream, parent)
            self._parts.append(part)
        self.last = part
        return part

    def _may_switch(self, parent: Any) -> bool:
        now = _monotonic()
        if not any(each is parent for each in self._cells):
            self._cells.append(parent)
            self._switches = MOST_SWITCHES
        more = (now - self._switched_s) * SWITCHES_PER_S
        self._switches = min(MOST_SWITCHES, self._switches + more)
        self._switched_s = now
        if self._switches < 1:
            return False
        self._switches -= 1
        return True

    def attend(self, part: Part, text: str) -> None:
        """Text was appended to `part`, and there is more to do."""
        if self.is_child:  # nobody sends it later
            self.flush()
            return
        watcher = self._watcher
        has_enough = True
        if watcher is not None and part.told == len(part.texts) - 1:
            part.told += 1
            has_enough = _tell(watcher, text)
        if not self._is_armed:
            self._arm()
        self.is_calm = has_enough and self._is_armed

    def flush(self) -> None:
        """Send what waits. When it returns, what is sent later stands behind it."""
        if self.is_empty or self.lock._is_owned():  # in the midst of a write: the timer does
            return
        held = NotedSignals()  # what is taken and not yet sent must not be lost
        try:
            with held:
                patience_s = getattr(self._publisher, "patience_s", _PATIENCE_S)
                until_s = _monotonic() + patience_s
                while not self._flush_in_turn(patience_s) and _monotonic() < until_s:
                    pass
        finally:
            held.pass_on()

    def _flush_in_turn(self, patience_s: float) -> bool:
        if not self.order.acquire(True, patience_s):
            return False
        try:
            if self._is_sending or getattr(self._publisher, "is_sending_here", False):
                return True  # from a finalizer or a trace function, in the midst of it: see above
            self._is_sending = True
            try:
                if not self._take():
                    return False
                while self._leaving:
                    self._send(self._leaving.popleft())
            finally:
                self._is_sending = False
                self._sent_s = _monotonic()
        finally:
            self.order.release()
        return True

    def _send(self, part: Part) -> None:
        watcher = self._watcher
        if watcher is not None and part.told < len(part.texts):
            _tell(watcher, "".join(part.texts[part.told :]))
        part.stream.publish(part.parent, "".join(part.texts))
        self._sent = part.parent

    def _take(self) -> bool:
        if not self.lock.acquire(True, _NAP_S):
            return False  # who writes may be about to send something, and wait for us
        try:
            self._leaving.extend(self._parts)
            self._clear()
        finally:
            self.lock.release()
        return True

    def _clear(self) -> None:
        self._parts, self._latest = [], {}
        self.last = None
        self.chars = 0
        self.is_calm = False

    def _arm(self) -> None:
        """Have what waits sent soon."""
        if not self._publisher.thread.is_alive():  # the kernel ends: there is no later
            self.flush()
            return
        self._is_armed = True
        try:
            self._publisher.schedule(self._set_timer)
        except BaseException:  # an interrupt: the next write sets it
            self._is_armed = False
            raise

    def _set_timer(self) -> None:
        last, wait_s = self.last, FIRST_S
        if last is None or last.parent is self._sent:
            wait_s = max(FIRST_S, self._sent_s + NEXT_S - _monotonic())
        try:
            self._publisher.io_loop.asyncio_loop.call_later(wait_s, self._on_time)
        except RuntimeError:  # it has just been closed: there is no later
            self._on_time()

    def _on_time(self) -> None:
        self._is_armed = False  # what is written from here on sets the next one
        self.is_calm = False
        self.flush()
        if not self.is_empty and not self._is_armed:
            self._arm()

    def forget(self) -> None:
        """This process is a fork: what waited is its parent's, as are those who hold a lock."""
        self.lock = threading.RLock()
        self.order = getattr(self._publisher, "order", None) or threading.RLock()
        self._clear()
        self._leaving.clear()
        self.is_child = True
        self._is_sending = self._is_armed = False
        self._watcher = None


def _tell(watcher: Callable[[str], bool], text: str) -> bool:
    try:
        return watcher(text)
    except Exception:  # noqa: BLE001 - who prints must not fail for who watches
        return True


def _mind_forks(unsent: Unsent) -> None:
    """Have text sent before a fork of this process, and forgotten after it in the child."""
    if not hasattr(os, "register_at_fork"):
        return
    known = weakref.ref(unsent)

    def call(method: Callable[[Unsent], None]) -> Callable[[], None]:
        def handle() -> None:
            if (found := known()) is not None:
                method(found)

        return handle

    os.register_at_fork(before=call(Unsent.flush), after_in_child=call(Unsent.forget))
