"""The sign that a session lives, and what its end can be judged from.

Built by `session.assembly`: a lease in the home from the start to the end, which moves with the
task that is open, and the files that a fatal signal or a question for the stack is answered in.
"""

import faulthandler
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flow_kernel.records import lease, stacks
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A session as others see it.

    Attributes:
        home: Where it tells.
        session: 32 hex.
        notebook: Path of the notebook where the client tells it, else empty.
        connection_file: Where its kernel can be reached; empty where there is none.
        is_private: A program has started the kernel for itself.
    """

    home: Home
    session: str
    notebook: str = ""
    connection_file: str = ""
    is_private: bool = False

    def begin(self, plan_id: str, task_id: str) -> list[Callable[[], None]]:
        """Take the lease and watch for fatal signals.

        Args:
            plan_id: Of the first cells.
            task_id: Of the first cells.

        Returns:
            What undoes each, in order; nothing where the home refuses.
        """
        undo: list[Callable[[], None]] = []
        path = self._take(plan_id, task_id)
        if path is None:
            return undo
        if not faulthandler.is_enabled():
            undo += _watch_faults(self.home.fault_path(self.session))
        if (end := stacks.tell(self.home.stack_path(self.session))) is not None:
            undo.append(end)
        undo.append(lambda: path.unlink(missing_ok=True))
        return undo

    def move(self, place: Place) -> None:
        """Cells belong to another task now, and a death would, too."""
        if (self.home.run_dir / f"{self.session}.lease").exists():
            self._take(place.plan_id, place.task_id)

    def _take(self, plan_id: str, task_id: str) -> Path | None:
        try:
            return lease.take(
                self.home.run_dir,
                session=self.session,
                plan_id=plan_id,
                task_id=task_id,
                started_at=utc_now_ms(),
                notebook=self.notebook,
                connection_file=self.connection_file,
                is_private=self.is_private,
            )
        except OSError:
            return None


def _watch_faults(path: Path) -> list[Callable[[], None]]:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        return []
    # ipykernel's default would be the terminal that nobody sees; the next kernel reads the file.
    faulthandler.enable(file=fd, all_threads=True)

    def undo() -> None:
        faulthandler.disable()
        os.close(fd)
        path.unlink(missing_ok=True)

    return [undo]
