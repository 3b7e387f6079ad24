"""Looks at the workers of a session or of a home: what they do, and what they use.

Called by `steering` for `%workers` and by the verb `jupyter flow workers`.

A look reads the pages of `board` and a few files below /proc. It asks no session anything.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.plain import one_line
from flow_kernel.records.process import ProcessId, is_alive, this_process
from flow_kernel.session.isolation.board import Page, WorkerLine, parse
from flow_kernel.workers import tree

_READS: Final = 20
_READ_AGAIN_S: Final = 0.001
_SHORTEST_S: Final = 0.05
"""Within less, the ticks that the system counts in say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """One worker as it was seen.

    Attributes:
        session: That it belongs to, 32 hex.
        line: What its session tells of it.
        cpu_pct: Of one processor, since the last look or else since its start; None where unknown.
        rss_bytes: Of its whole tree; None where unknown.
        uptime_s: Since its start.
    """

    session: str
    line: WorkerLine
    cpu_pct: float | None
    rss_bytes: int | None
    uptime_s: float


class Looks:
    """One look after the other, so that there is CPU time to compare with."""

    def __init__(self) -> None:
        self._here = this_process()
        self._before: dict[tuple[str, str], tuple[float, float]] = {}

    def at_home(self, home: Home) -> list[WorkerView]:
        """The workers of all sessions that live, the oldest session first."""
        pages = sorted(_pages(home), key=lambda page: [w.started_at for w in page.workers[:1]])
        return [view for page in pages for view in self.at_page(page)]

    def queue_at(self, home: Home) -> int:
        """How many cells wait for a worker, in all sessions that live."""
        return sum(page.queue for page in _pages(home) if is_alive(page.process, self._here))

    def at_page(self, page: Page) -> list[WorkerView]:
        """The workers of one session that live; none where the session does not."""
        return [*self._at_page(page)] if is_alive(page.process, self._here) else []

    def _at_page(self, page: Page) -> Iterator[WorkerView]:
        for line in page.workers:
            if line.pid is None or line.kind == "remote":
                usage = None
            else:
                process = replace(page.process, pid=line.pid, start_time=line.process_start)
                if not is_alive(process, self._here):
                    continue
                # The pid of another machine means another process here.
                usage = tree.look(line.pid) if self._can_look(process) else None
            uptime_s = max(time.time() - _unix_s(line.started_at), 0.0)
            yield WorkerView(
                session=page.session,
                line=line,
                cpu_pct=None if usage is None else self._cpu_pct(line, usage.cpu_s, uptime_s),
                rss_bytes=None if usage is None else usage.rss_bytes,
                uptime_s=round(uptime_s, 1),
            )

    def _can_look(self, process: ProcessId) -> bool:
        here = self._here
        return (process.host, process.boot_id, process.pid_namespace) == (
            here.host, here.boot_id, here.pid_namespace,
        )  # fmt: skip

    def _cpu_pct(self, line: WorkerLine, cpu_s: float, uptime_s: float) -> float:
        key, now_s = (line.worker_id, line.process_start), time.monotonic()
        before_s, before_cpu_s = self._before.get(key, (now_s, 0.0))
        passed_s = now_s - before_s
        if passed_s < _SHORTEST_S:
            self._before.setdefault(key, (now_s, cpu_s))
            return _percent(cpu_s, uptime_s)
        self._before[key] = (now_s, cpu_s)
        return _percent(cpu_s - before_cpu_s, passed_s)


def _pages(home: Home) -> list[Page]:
    return [page for path in home.run_dir.glob("*.workers") if (page := read(path))]


def read(path: Path) -> Page | None:
    """The page in a file; None where there is none, or one that nobody has written."""
    for _ in range(_READS):
        try:
            data = path.read_bytes()
        except OSError:
            return None
        page = parse(data)
        if page is not None:
            return page
        time.sleep(_READ_AGAIN_S)  # half of a write; nothing tells when the other half is there
    return None


def find(views: Sequence[WorkerView], word: str) -> WorkerView:
    """The worker that `word` means: its id, else its name; `SESSION/ID` among several sessions.

    Raises:
        NotFound: There is none.
        UsageError: Several sessions have it.
    """
    session, _, name = word.rpartition("/")
    known = [view for view in views if view.session.startswith(session)]
    found = [view for view in known if view.line.worker_id == name]
    found = found or [view for view in known if view.line.name == name]
    if not found:
        ids = ", ".join(view.line.worker_id for view in views[:8])
        raise NotFound(
            f'there is no worker "{one_line(word, 60)}"',
            hint=f"there are {ids}" if ids else "an isolated cell starts one",
        )
    if len(found) > 1:
        full = ", ".join(f"{view.session[:8]}/{view.line.worker_id}" for view in found)
        raise UsageError(f'"{one_line(word, 60)}" is in {len(found)} sessions', hint=f"try {full}")
    return found[0]


def _percent(cpu_s: float, passed_s: float) -> float:
    # CPU time falls when a child ends that nobody waits for.
    return round(max(100 * cpu_s / max(passed_s, _SHORTEST_S), 0.0), 1)


def _unix_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
