"""Which workers of the sandbox keep their place after a task, and for whom.

Made by `engine`; called in its loop and in the threads of tasks.

    named   a client asks for it by name: its variables stay, for tasks of the same user in the same
            workspace; the one that was idle for longest has to go where there are too many
    shell   has run nothing but commands, which leave nothing behind: as good as a new one, and
            warm. Two are kept; one that does not end its command well is not used again
"""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flow_kernel.apps.sandbox.wire import Refused

SHELLS: Final = 2


@dataclass(slots=True)
class _Named:
    """One that a client has named: how many tasks want it, and since when none does."""

    tasks: int = 0
    idle_s: float = field(default_factory=time.monotonic)


class Names:
    """See the module.

    Args:
        most: So many workers with names of clients.
        keep_s: An idle one is kept so long.
        end: Ends the worker of a name, if there is one.
    """

    def __init__(self, most: int, *, keep_s: float, end: Callable[[str], None]) -> None:
        self._most = most
        self._keep_s = keep_s
        self._end = end
        self._lock = threading.Lock()
        self._named: dict[str, _Named] = {}
        self._free: list[str] = []
        self._shells: set[str] = set()
        self._count = itertools.count(1)

    def named(self, word: str, user: str, directory: Path) -> str:
        """The name in the pool of a worker that a client names; to be given back.

        Raises:
            Refused: There are too many, and all are busy.
        """
        whose = f"{user}\0{directory}".encode("utf-8", "surrogateescape")
        name = f"{word}@{hashlib.sha256(whose).hexdigest()[:8]}"
        with self._lock:
            gone = self._surplus(name)
            if len(self._named) - len(gone) >= self._most and name not in self._named:
                raise Refused(
                    f"{self._most} workers with names are busy; nothing was run",
                    reason="busy",
                    hint="leave worker out, or wait until one of them is idle",
                )
            for each in gone:
                del self._named[each]
            self._named.setdefault(name, _Named()).tasks += 1
        for each in gone:
            self._end(each)
        return name

    def shell(self) -> str | None:
        """The name of a worker for a command, to be given back; None where all are in use."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if len(self._shells) >= SHELLS:
                return None
            name = f"shell-{next(self._count)}"
            self._shells.add(name)
            return name

    def give_back(self, name: str | None, *, is_well: bool) -> None:
        """A task has ended.

        Args:
            name: That it was given; None for none.
            is_well: True where its code has run to its end.
        """
        with self._lock:
            if name in self._named:
                self._named[name].tasks -= 1
                self._named[name].idle_s = time.monotonic()
            if name not in self._shells:
                return
            if is_well:
                self._free.append(name)
                return
            self._shells.discard(name)
        self._end(name)

    def _surplus(self, wanted: str) -> list[str]:
        """Those that have to go before that one comes."""
        now_s = time.monotonic()
        idle = sorted(
            (one.idle_s, name)
            for name, one in self._named.items()
            if not one.tasks and name != wanted
        )
        too_many = len(self._named) + 1 - self._most if wanted not in self._named else 0
        return [
            name
            for number, (idle_s, name) in enumerate(idle)
            if number < too_many or now_s - idle_s > self._keep_s
        ]
