"""The isolated cells of a session, put together when the first one is wanted.

Made by `session.assembly`: most sessions have none, and pay nothing for them.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.session.isolation.parts import IsolationParts

if TYPE_CHECKING:
    from flow_kernel.session.isolation.service import Isolation


class LazyIsolation:
    """Opens them once; thread-safe.

    Args:
        parts: What they are made of.
        closers: Takes what ends them, to be called with the session.
    """

    def __init__(self, parts: IsolationParts, closers: list[Callable[[], None]]) -> None:
        self._parts = parts
        self._closers = closers
        self._lock = threading.Lock()
        self._opened: list[Isolation] = []

    def find(self) -> "Isolation | None":
        """They, if there are any yet."""
        return self._opened[0] if self._opened else None

    def __call__(self) -> "Isolation":
        """They.

        Raises:
            IsolationUnavailable: There can be none in this shell.
        """
        if self._parts.ground is None:
            raise IsolationUnavailable("no cell can be isolated in this shell")
        with self._lock:
            if not self._opened:
                with self._parts.own_imports():
                    from flow_kernel.session.isolation.opening import open_isolation  # 60 ms

                isolation = open_isolation(self._parts, self._parts.ground)
                self._closers.insert(0, isolation.close)
                self._opened.append(isolation)
            return self._opened[0]
