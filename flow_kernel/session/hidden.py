"""Code that ran and is not a cell: counted, one record a burst.

Called by `session.recorder`. Editors ask for variables with silent requests, dozens in a row; the
log says that they ran and can prove which (by hash), without a record for each. A cell that runs
while recording is off leaves its place in the count and no hash.
"""

import hashlib
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.journal import Journal
from flow_kernel.session.place import Whereabouts

globals()["__builtins__"] = FROZEN_BUILTINS

HIDDEN: Final = "hidden"
_MAX_HASHES: Final = 100
_sha256: Final = hashlib.sha256


class HiddenBurst:
    """The burst that goes on, with the `count` of its executions; `flush` ends it."""

    __slots__ = ("_hashes", "_journal", "_reason", "_where", "count")

    def __init__(self, journal: Journal, where: Whereabouts) -> None:
        self._journal = journal
        self._where = where
        self.count: int = 0
        self._hashes: list[str] = []
        self._reason = ""

    def add(self, code: str, reason: str) -> None:
        """Count one execution of `code`; another reason or a full burst begins a new record."""
        if self.count and (reason != self._reason or self.count >= _MAX_HASHES):
            self.flush()
        self._reason = reason
        self.count += 1
        if reason == HIDDEN:
            self._hashes.append(_sha256(code.encode("utf-8", "surrogatepass")).hexdigest())

    def flush(self) -> None:
        """Write the record of the burst, if there is one."""
        if not self.count:
            return
        fields = {"count": self.count, "code_sha256": self._hashes, "reason": self._reason}
        self.count, self._hashes = 0, []
        place = self._where.now
        self._journal.append("hidden", place.plan_id, place.task_id, fields)
