"""Runs the mirrors of a session in a thread that lives only while there is something to do.

Built by `session.assembly`; woken after changes of tasks, and a last time when the session ends.
"""

import threading
import time
from collections.abc import Sequence
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.session import mirrors

EVERY_S: Final = 5.0
_RUN_S: Final = 60.0
_END_S: Final = 1.5


class MirrorThread:
    """The mirrors `names` of a home; nothing of them can fail or delay the caller.

    Args:
        home: Whose logs.
        names: Of the mirrors.
        every_s: The least time from one run to the next.
    """

    def __init__(self, home: Home, names: Sequence[str], *, every_s: float = EVERY_S) -> None:
        self._home = home
        self._names = tuple(names)
        self._every_s = every_s
        self._ran: float | None = None
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """There may be something new; about 1 us where there are no mirrors or one has just run."""
        now = time.monotonic()
        if not self._names or (self._ran is not None and now < self._ran + self._every_s):
            return
        if self._thread is None or not self._thread.is_alive():
            self._ran = now
            self._start(now + _RUN_S)

    def close(self) -> None:
        """Take over what is new; waits 1.5 s at most, and the rest comes another time."""
        if not self._names:
            return
        deadline = time.monotonic() + _END_S
        if self._thread is not None:
            self._thread.join(_END_S)
        if self._thread is None or not self._thread.is_alive():
            self._start(deadline).join(max(0.0, deadline - time.monotonic()))

    def _start(self, deadline: float) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(deadline,), name="flow-mirrors", daemon=True
        )
        thread.pydev_do_not_trace = True  # type: ignore[attr-defined]  # read by debugpy
        self._thread = thread
        thread.start()
        return thread

    def _run(self, deadline: float) -> None:
        for name in self._names:
            try:
                mirrors.run(self._home, name, deadline=deadline)
            except Exception:  # noqa: BLE001, S112 - a home that cannot be written: another time
                continue
