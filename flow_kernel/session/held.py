"""What the session of a kernel does now, seen from another process: its cell, state and stack.

Called by the verb `jupyter flow workers` and by `%flow status`. The session is asked nothing that
needs its threads: its lease says which process it is, its log which cell has begun, /proc what the
process does, and the stack comes on a signal, see `records.stacks`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from flow_kernel.records import stacks
from flow_kernel.records.home import Home
from flow_kernel.records.lease import Lease, living
from flow_kernel.records.process import is_alive, this_process
from flow_kernel.session.deaths import running_cell
from flow_kernel.session.held_text import Frame, frames_of, state_of
from flow_kernel.workers import thread_looks, tree

_STACK_S: Final = 1.5
_SHORTEST_S: Final = 0.05
"""Within less, the ticks that the system counts in say nothing."""
HELD_S: Final = 1.0
"""A cell that runs for less holds nobody up."""


LookAt = Callable[[Callable[[Lease], "KernelView"], Iterable[Lease]], Iterable["KernelView"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCell:
    """The cell that a session runs.

    Attributes:
        execution_count: Its number; None for one without.
        code: Its source, without its secrets.
        began_at: UTC.
        running_s: Since then.
        task_id: `<plan>/<task>`.
    """

    execution_count: int | None
    code: str
    began_at: str
    running_s: float
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelView:
    """One session as it was seen.

    Attributes:
        session: 32 hex.
        pid: Of its process.
        notebook: Its path where the client tells it, else empty.
        cell: That it runs; None while it is idle, or where cells leave no record.
        state: idle, running, waiting_input, waiting_child, waiting_lock, waiting_io, sleeping,
            stopped; unknown on another machine.
        frames: Where its main thread is, innermost first; empty where it does not tell.
        cpu_pct: Of one processor; None where unknown.
        rss_bytes: Of its process alone; None where unknown.
    """

    session: str
    pid: int
    notebook: str
    cell: RunningCell | None
    state: str
    frames: tuple[Frame, ...]
    cpu_pct: float | None
    rss_bytes: int | None

    @property
    def is_held(self) -> bool:
        """True while a cell runs that others may wait for."""
        return self.cell is not None and self.cell.running_s >= HELD_S


class KernelLooks:
    """The sessions of a home, looked at twice: CPU time is told by what lies between.

    Args:
        home: Theirs.
        without: A session that is left out, because it looks itself.
    """

    def __init__(self, home: Home, *, without: str = "") -> None:
        self._home = home
        self._without = without
        self._here = this_process()
        self._leases = [*self._living()]
        self._cpu_s = {lease.session: _cpu_s(lease) for lease in self._leases if self._near(lease)}
        self._began_s = time.monotonic()

    @property
    def has_any(self) -> bool:
        """True where a session lives."""
        return bool(self._leases)

    def views(self, look_at: LookAt = map) -> list[KernelView]:
        """Those that live, the oldest first.

        Args:
            look_at: As `map`; that of a pool looks at all of them at once.
        """
        passed_s = time.monotonic() - self._began_s
        there = [lease for lease in self._leases if is_alive(lease.process, self._here)]
        return [*look_at(lambda lease: self._view(lease, passed_s), there)]

    # -- inside ------------------------------------------------------------------------------------

    def _living(self) -> Iterator[Lease]:
        for lease in living(self._home.run_dir):
            if lease.session != self._without:
                yield lease

    def _near(self, lease: Lease) -> bool:
        """True on this machine, where its pid is one."""
        theirs = lease.process
        same = replace(self._here, pid=theirs.pid, start_time=theirs.start_time)
        return theirs == same

    def _view(self, lease: Lease, passed_s: float) -> KernelView:
        cell = self._cell(lease)
        if not self._near(lease):
            return _view(lease, cell, state="unknown")
        pid = lease.process.pid
        letter, rss_bytes = _letter(pid), _rss_bytes(pid)
        cpu_s, before_s = _cpu_s(lease), self._cpu_s.get(lease.session)
        cpu_pct = None
        if cpu_s is not None and before_s is not None and passed_s >= _SHORTEST_S:
            cpu_pct = round(100 * max(cpu_s - before_s, 0.0) / passed_s, 1)
        frames: tuple[Frame, ...] = ()
        if cell is not None and cell.running_s >= HELD_S and letter not in ("T", "t"):
            path = self._home.stack_path(lease.session)
            frames = frames_of(stacks.ask(path, pid, timeout_s=_STACK_S) or "")
        waits = None if cell is None else thread_looks.look(pid, pid)
        call = "" if waits is None or waits.is_timed else str(waits.doing)
        state = state_of(letter, frames, cpu_pct, call=call)
        state = "idle" if cell is None and letter == "S" else state
        return _view(lease, cell, state=state, frames=frames, cpu_pct=cpu_pct, rss_bytes=rss_bytes)

    def _cell(self, lease: Lease) -> RunningCell | None:
        record = running_cell(self._home, lease)
        if record is None:
            return None
        began_at, count = str(record.get("timestamp")), record.get("execution_count")
        return RunningCell(
            execution_count=count if type(count) is int else None,
            code=str(record.get("code", "")),
            began_at=began_at,
            running_s=round(max(time.time() - _unix_s(began_at), 0.0), 1),
            task_id=f"{lease.plan_id}/{lease.task_id}",
        )


def _view(
    lease: Lease, cell: RunningCell | None, *, state: str, frames: tuple[Frame, ...] = (),
    cpu_pct: float | None = None, rss_bytes: int | None = None,
) -> KernelView:  # fmt: skip
    return KernelView(
        session=lease.session,
        pid=lease.process.pid,
        notebook=lease.notebook,
        cell=cell,
        state=state,
        frames=frames,
        cpu_pct=cpu_pct,
        rss_bytes=rss_bytes,
    )


def _letter(pid: int) -> str:
    """What the system says of its main thread; empty where it does not."""
    try:
        stat = Path(f"/proc/{pid}/task/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat[stat.rfind(b")") + 2 :][:1].decode()


def _rss_bytes(pid: int) -> int | None:
    usage = tree.look_alone(pid)
    return None if usage is None else usage.rss_bytes


def _cpu_s(lease: Lease) -> float | None:
    usage = tree.look_alone(lease.process.pid)
    return None if usage is None else usage.cpu_s


def _unix_s(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time()
