"""What is new in a home, for all who watch it: one thread reads, while there is somebody.

Made by `dashboard`; watched by `live_socket`.

The thread compares sizes of log files, the number of the store's last change and the times of the
pages of workers, ten times a second, and reads only what has grown. A watcher keeps at most
`MOST_ROWS` rows that it could not send: beyond that they are forgotten, and it is told to load the
page again. Which cells run is told as a whole, and to each watcher at its begin.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from flow_kernel.apps.follow import Follower
from flow_kernel.apps.server.rows import row_of
from flow_kernel.apps.server.running import RunningCells
from flow_kernel.apps.sources import records_of
from flow_kernel.errors import FlowError
from flow_kernel.records.backward import numbered_backward
from flow_kernel.records.home import Home

MOST_ROWS: Final = 200
EVERY_S: Final = 0.1
SPACING_S: Final = 0.25
"""Between two messages to one watcher: four a second."""

_LOG: Final = logging.getLogger(__name__)
Row = dict[str, object]
Signs = dict[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has changed since the last look.

    Attributes:
        rows: Of new records, oldest first; the newest `MOST_ROWS` of them.
        left_out: How many are not among them.
        has_state: True when the store has changed.
        has_workers: True when sessions or workers have.
        running: All cells that run now, oldest first; None when they are those of before.
    """

    rows: list[Row] = field(default_factory=list)
    left_out: int = 0
    has_state: bool = False
    has_workers: bool = False
    running: list[Row] | None = None


_ALL_IS_NEW: Final = News(left_out=1, has_state=True, has_workers=True)


class Watcher:
    """What one connection has yet to be told; belongs to the event loop it was made in."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.is_ready: asyncio.Event = asyncio.Event()
        """Set once all is told that is written from then on."""
        self._wake = asyncio.Event()
        self._rows: list[Row] = []
        self._must_reload = False
        self._has_state = False
        self._has_workers = False
        self._running: list[Row] | None = None

    def take(self, news: News) -> None:
        """Add what is new."""
        if news.left_out or len(self._rows) + len(news.rows) > MOST_ROWS:
            self._rows, self._must_reload = [], True
        elif not self._must_reload:
            self._rows += news.rows
        self._has_state |= news.has_state
        self._has_workers |= news.has_workers
        if news.running is not None:
            self._running = news.running
        self._wake.set()

    async def message(self) -> dict[str, object]:
        """What is to be sent, as soon as there is something."""
        await self._wake.wait()
        self._wake.clear()
        told = {
            "rows": self._rows,
            "reload": self._must_reload,
            "state": self._has_state,
            "workers": self._has_workers,
            "running": self._running,
        }
        self._rows, self._must_reload, self._running = [], False, None
        self._has_state = self._has_workers = False
        return told


class Feed:
    """The watchers of a home, and the thread that looks for them.

    Args:
        home: Of the records.
        version: The number of the store's last change; None where there is no store.
        sample: Called at each look.
    """

    def __init__(
        self, home: Home, *, version: Callable[[], int | None], sample: Callable[[], None]
    ) -> None:
        self._home = home
        self._version = version
        self._sample = sample
        self._lock = threading.Lock()
        self._watchers: set[Watcher] = set()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._is_looking = False
        self._running: list[Row] = []

    def join(self, watcher: Watcher) -> None:
        """Tell this one, too; see `Watcher.is_ready`."""
        with self._lock:
            self._watchers.add(watcher)
            if self._thread is None:
                self._stop, self._is_looking, self._running = threading.Event(), False, []
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="flow-live", daemon=True
                )
                self._thread.start()
            elif self._is_looking:
                watcher.is_ready.set()
                if self._running:
                    watcher.take(News(running=self._running))

    def leave(self, watcher: Watcher) -> None:
        """Tell this one no more; harmless the second time."""
        with self._lock:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._stop.set()
                self._thread = None

    @property
    def count(self) -> int:
        """How many watch."""
        with self._lock:
            return len(self._watchers)

    def _run(self, stop: threading.Event) -> None:
        look: _Look | None = None
        has_failed, has_sampled = False, True
        while True:
            try:
                if look is None:
                    look = _Look(self._home, self._version)
                    news = look.first(has_missed=has_failed)
                else:
                    news = look.news()
                has_failed = False
                self._tell(stop, news)
            except Exception:  # noqa: BLE001 - the boundary of the thread: it looks again
                if not has_failed:  # ten times a second would fill the log
                    _LOG.warning("a look at %s failed", self._home.root, exc_info=True)
                look, has_failed = None, True
            try:
                self._sample()
                has_sampled = True
            except Exception:  # noqa: BLE001 - the same boundary; the records are told without it
                if has_sampled:
                    _LOG.warning("a look at workers failed", exc_info=True)
                has_sampled = False
            if stop.wait(EVERY_S):
                return

    def _tell(self, stop: threading.Event, news: News | None) -> None:
        with self._lock:
            if stop.is_set():  # those who watch now have a thread of their own
                return
            is_first, self._is_looking = not self._is_looking, True
            if news is not None and news.running is not None:
                self._running = news.running
            watchers = [*self._watchers] if is_first or news is not None else []
        for watcher in watchers:
            with suppress(RuntimeError):  # its loop has ended
                if is_first:
                    watcher.loop.call_soon_threadsafe(watcher.is_ready.set)
                if news is not None:
                    watcher.loop.call_soon_threadsafe(watcher.take, news)


class _Look:
    """What one look after the other finds."""

    def __init__(self, home: Home, version: Callable[[], int | None]) -> None:
        self._home = home
        self._version = version
        self._logs = _signs(home.log_files())
        self._grown: list[Path] = []
        self._follower = Follower(lambda: self._grown)
        for path in self._logs:
            _skip(self._follower, path)
        self._running = RunningCells(home)
        self._running.find()
        self._seen = (self._state(), self._pages())

    def first(self, *, has_missed: bool) -> News | None:
        """What is told before anything is new.

        Args:
            has_missed: True where nothing could be read for a time: what was written is on no list.
        """
        running = self._running.news() or []
        if has_missed:
            return replace(_ALL_IS_NEW, running=running)
        return News(running=running) if running else None

    def news(self) -> News | None:
        """What has changed; None where nothing has."""
        rows, left_out = self._new_rows()
        before, self._seen = self._seen, (self._state(), self._pages())
        has_state, has_workers = (old != new for old, new in zip(before, self._seen, strict=True))
        running = self._running.news()
        if not (rows or has_state or has_workers or running is not None):
            return None
        return News(
            rows=rows,
            left_out=left_out,
            has_state=has_state,
            has_workers=has_workers,
            running=running,
        )

    def _new_rows(self) -> tuple[list[Row], int]:
        now = _signs(self._home.log_files())
        self._grown = [path for path, sign in now.items() if self._logs.get(path) != sign]
        self._logs = now
        if not self._grown:
            return [], 0
        records = [r for raw in self._follower.poll() for r, _ in records_of(raw) if r is not None]
        self._running.follow(records)
        return [row_of(record) for record in records[-MOST_ROWS:]], max(len(records) - MOST_ROWS, 0)

    def _state(self) -> int | None:
        try:
            return self._version()
        except FlowError:  # made anew or repaired just now
            return None

    def _pages(self) -> Signs:
        with suppress(OSError):
            return _signs(
                path
                for path in self._home.run_dir.iterdir()
                if path.suffix in (".workers", ".lease")
            )
        return {}


def _signs(paths: Iterable[Path]) -> Signs:
    found: Signs = {}
    for path in paths:
        with suppress(OSError):
            facts = os.stat(path)  # noqa: PTH116 - a third of the time of its method
            found[path] = (facts.st_size, facts.st_mtime_ns)
    return found


def _skip(follower: Follower, path: Path) -> None:
    """Take what a file holds as read."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        first = os.pread(fd, 4096, 0).lstrip(b"\n").partition(b"\n")[0]
        last = next(numbered_backward(fd, os.fstat(fd).st_size), None)
        if last is not None:
            begin, line = last
            follower.skip(first, line, begin + len(line))
    finally:
        os.close(fd)
