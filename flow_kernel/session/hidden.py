"""Code that ran and is not a cell: counted, one record a burst.

Called by `session.recorder`. Editors ask for variables with silent requests, dozens in a row; the
log says that they ran and can prove which (by hash), without a record for each. A cell that runs
while recording is off leaves its place in the count and no hash.
"""

import hashlib
import threading
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.journal import Journal
from flow_kernel.session.place import Whereabouts

globals()["__builtins__"] = FROZEN_BUILTINS

HIDDEN: Final = "hidden"
_MAX_HASHES: Final = 100
_sha256: Final = hashlib.sha256
_new_lock: Final = threading.Lock


class HiddenBurst:
    """The burst that goes on, with the `count` of its executions; thread-safe, `flush` ends it."""

    __slots__ = ("_actor", "_hashes", "_journal", "_lock", "_reason", "_where", "count")

    def __init__(self, journal: Journal, where: Whereabouts) -> None:
        self._journal = journal
        self._where = where
        self._lock = _new_lock()
        self.count: int = 0
        self._hashes: list[str] = []
        self._reason = ""
        self._actor = ""

    def add(self, code: str, reason: str, actor: str = "") -> None:
        """Count one execution of `code`.

        Another reason, another actor or a full burst begins a new record.

        Args:
            code: Its source.
            reason: Why it is no cell of the log.
            actor: Who has sent it; empty where nobody says.
        """
        with self._lock:
            is_other = (reason, actor) != (self._reason, self._actor)
            if self.count and (is_other or self.count >= _MAX_HASHES):
                self._write()
            self._reason, self._actor = reason, actor
            self.count += 1
            if reason == HIDDEN:
                self._hashes.append(_sha256(code.encode("utf-8", "surrogatepass")).hexdigest())

    def flush(self) -> int | None:
        """Write the record of the burst, if there is one; returns its number."""
        if not self.count:
            return None
        with self._lock:
            return self._write()

    def _write(self) -> int | None:
        if not self.count:
            return None
        fields: dict[str, object] = {
            "count": self.count,
            "code_sha256": self._hashes,
            "reason": self._reason,
        }
        if self._actor:
            fields["actor"] = self._actor
        self.count, self._hashes = 0, []
        place = self._where.now
        return self._journal.append("hidden", place.plan_id, place.task_id, fields)
