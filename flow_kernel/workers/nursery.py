"""The zygote of one pool, and why there is none where there is none.

Built by `pool`; called in the thread of `starts`. Where a fork is not safe, or fails, workers are
started as programs, and `reason` says why: it stands in the record of each of them.

    asked ──▶ a zygote that lives ──▶ fork ──▶ worker
          ──▶ it refuses or is gone: this worker is a program, the next one has a new zygote that
              imports nothing ahead but what it always does
          ──▶ twice in a row: no more of them in this session
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers import preload, sweep
from flow_kernel.workers.zygote_client import CAN_FORK, ZygoteClient

_MOST_FAILURES: Final = 2


class Nursery:
    """See the module.

    Args:
        directory: Of sockets.
        tag: That zygotes carry.
        learned: Keeps what workers had to import; None where nothing is kept.
    """

    def __init__(self, directory: Path, tag: str, learned: Path | None = None) -> None:
        self._learned = learned
        self._directory = directory
        self._tag = tag
        self._zygote: ZygoteClient | None = None
        self._retired: list[ZygoteClient] = []
        self._failures = 0
        self._may_learn = True
        self.reason: str = ""
        """Why the last worker was not forked; empty where it was."""

    @property
    def is_alive(self) -> bool:
        """True where there is a zygote."""
        return self._zygote is not None and self._zygote.is_alive

    def zygote(self) -> ZygoteClient | None:
        """One that can be asked for a fork; None where there is none, and `reason` says why."""
        if not CAN_FORK:
            self.reason = "a fork is not safe on this system"
            return None
        if self._failures >= _MOST_FAILURES:
            return None
        if self._zygote is None or not self._zygote.is_alive:
            if self._zygote is not None:
                self._zygote.discard()
            zygote = ZygoteClient(self._directory, {**os.environ, sweep.TAG_NAME: self._tag})
            try:
                zygote.start()
            except IsolationUnavailable as error:
                self.failed(error)
                return None
            self._zygote = zygote
            known = preload.read(self._learned) if self._may_learn and self._learned else []
            if known:
                zygote.preload(known)
                self._may_learn = False
        return self._zygote

    def succeeded(self, modules: Sequence[str], zygote: ZygoteClient) -> None:
        """One has forked a worker; what that had to import, it imports for the next ones."""
        self._failures, self.reason = 0, ""
        if self._may_learn and self._zygote is zygote and modules:
            self._may_learn = False
            zygote.preload(modules)
            if self._learned is not None:
                preload.write(self._learned, modules)

    def failed(self, error: IsolationUnavailable, zygote: ZygoteClient | None = None) -> None:
        """It has not.

        Args:
            error: Why.
            zygote: That has not; None for one that was not even started. Several forks of one may
                fail at once: its end counts once.
        """
        if zygote is not None and zygote is not self._zygote:
            return
        self._failures += 1
        self.reason = str(error)
        self._may_learn = False
        if self._learned is not None:
            preload.forget(self._learned)
        before, self._zygote = self._zygote, None
        if before is not None:
            self._retired.append(before)  # what it has forked before dies with it
        for each in [each for each in self._retired if not each.has_children]:
            self._retired.remove(each)
            each.discard()

    def hang_up(self) -> None:
        """Let nobody wait for a zygote any more; called in any thread."""
        for zygote in (self._zygote, *self._retired):
            if zygote is not None:
                zygote.hang_up()

    def close(self) -> None:
        """End them, and all that they have forked; wait for that."""
        for zygote in (self._zygote, *self._retired):
            if zygote is not None:
                zygote.close()
