"""Looks at the session from outside, by programs that say who they are: one record a burst.

Called by `session.recorder`, for requests on the control channel that name their actor. What such a
request changes has a record of its own; of what it reads the log says who asked for what how often.
"""

import threading
from collections import Counter
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.journal import Journal
from flow_kernel.session.place import Whereabouts

globals()["__builtins__"] = FROZEN_BUILTINS

_MOST: Final = 100
_new_lock: Final = threading.Lock


class AskedBurst:
    """The burst that goes on; thread-safe."""

    __slots__ = ("_actor", "_journal", "_lock", "_tools", "_where")

    def __init__(self, journal: Journal, where: Whereabouts) -> None:
        self._journal = journal
        self._where = where
        self._lock = _new_lock()
        self._actor = ""
        self._tools: Counter[str] = Counter()

    def add(self, actor: str, tool: str) -> None:
        """Count one look; another actor or a full burst begins a new record."""
        with self._lock:
            if actor != self._actor or self._tools.total() >= _MOST:
                self._write()
            self._actor = actor
            self._tools[tool] += 1

    def flush(self) -> None:
        """Write the record of the burst, if there is one."""
        if self._tools:
            with self._lock:
                self._write()

    def _write(self) -> None:
        tools, self._tools = self._tools, Counter()
        if not tools:
            return
        looks = ", ".join(f"{tool} x{count}" for tool, count in tools.items())
        fields: dict[str, object] = {
            "count": tools.total(),
            "code_sha256": [],
            "reason": f"asked by {self._actor}: {looks}",
            "actor": self._actor,
        }
        place = self._where.now
        self._journal.append("hidden", place.plan_id, place.task_id, fields)
