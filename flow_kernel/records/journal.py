"""The journal of one session: numbers its records, chains them, and puts them into the task logs.

Called by `session.recorder` at each cell, by `session.deaths` for a dead session, and once a second
by `session`'s housekeeping thread (`sync`).

A record is numbered and remembered in one step; from then on it is written, or it waits in memory
while the disk refuses it, whatever interrupts the call. It counts as acknowledged when `append`
returns its number: then its bytes are in the file (page cache), where a kill of the process cannot
reach them.
"""

import errno
import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from flow_kernel.records.backlog import Backlog, Entry
from flow_kernel.records.codec import HEADER_NAMES, NO_PREVIOUS, fill, template
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.home import (
    Home,
    log_name,
    make_directory,
    make_home,
    network_file_system,
)
from flow_kernel.records.logfile import LogFile
from flow_kernel.settings import JournalSettings

globals()["__builtins__"] = FROZEN_BUILTINS

_getpid: Final = os.getpid
_fdatasync: Final = getattr(os, "fdatasync", os.fsync)
_close: Final = os.close
_EBADF: Final = errno.EBADF
_time_ns: Final = time.time_ns
_gmtime: Final = time.gmtime
_OPEN_FILES: Final = 8
_MILLISECONDS: Final = tuple([f"{ms:03d}Z" for ms in range(1000)])


def utc_now_ms() -> str:
    """The time of day as `2026-11-21T01:02:03.456Z`."""
    ms = _time_ns() // 1_000_000
    return _second(ms // 1000) + _MILLISECONDS[ms % 1000]


@functools.lru_cache(maxsize=2)
def _second(unix_s: int) -> str:
    year, month, day, hour, minute, second, *_ = _gmtime(unix_s)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}."


def ignore(sentence: str) -> None:
    """Tell nobody."""


class Journal:
    """Appends the records of one session to the task logs of a home; safe with several threads.

    Nothing is opened or created before the first append. In a forked child every method does
    nothing: the records would carry numbers that the parent gives out, too.

    Args:
        home: Where the logs lie.
        session: 32 hex.
        settings: Sizes and waits.
        on_trouble: Told in one sentence when the disk begins to refuse records, once an outage.
        now: The clock of the timestamps.
        last_seq: The number of the last record that exists, where a session is continued.
        links: The `prev` of the next record by file, where it is known; else it is read there.
        is_network: True gives the session log files of its own, without locks, as file systems of
            the network need; None looks where the home lies.
    """

    def __init__(  # noqa: PLR0913 - the assembly passes them once, each by name
        self,
        home: Home,
        session: str,
        *,
        settings: JournalSettings = JournalSettings(),  # noqa: B008 - frozen
        on_trouble: Callable[[str], None] = ignore,
        now: Callable[[], str] = utc_now_ms,
        last_seq: int = 0,
        links: Mapping[Path, str] = MappingProxyType({}),
        is_network: bool | None = None,
    ) -> None:
        self._root = str(home.root.absolute())
        self._session = session
        self._settings = settings
        self._on_trouble = on_trouble
        self._now = now
        self._is_new = last_seq == 0
        self._links = {str(path.absolute()): link for path, link in links.items()}
        if is_network is None:
            is_network = network_file_system(home.root) is not None
        self._is_network = is_network
        self._pid = _getpid()
        self._lock = threading.RLock()
        self._is_busy = False
        self._is_closed = False
        self._deferred: deque[tuple[str, str, str, str, Mapping[str, object]]] = deque()
        self._last_seq = last_seq
        self._pending: tuple[LogFile, int, bytes, str] | None = None
        self._starts: dict[tuple[str, str, str], tuple[LogFile, bytes]] = {}
        self._logs: dict[str, LogFile] = {}
        # Descriptors: the file used last comes last; closed files whose bytes are not synced yet.
        self._open: dict[LogFile, None] = {}
        self._latest: LogFile | None = None
        self._retired: list[int] = []
        self._backlog = Backlog(settings.backlog_bytes)
        self._is_refused = False
        self._is_unsynced = False
        self._trouble: str | None = None

    @property
    def last_seq(self) -> int:
        """The number of the newest record, written or waiting; 0 before the first."""
        return self._last_seq

    @property
    def paths(self) -> list[Path]:
        """The files that this session has written to."""
        return [Path(path) for path in list(self._logs)]

    @property
    def is_memory_only(self) -> bool:
        """True while records wait in memory because the disk refuses them."""
        return bool(self._backlog.queues)

    @property
    def dropped(self) -> int:
        """How many records were lost because the disk refused them and memory was full, too."""
        return self._backlog.dropped

    def append(
        self, kind: str, plan_id: str, task_id: str, fields: Mapping[str, object]
    ) -> int | None:
        """Write one record; under 10 µs for 1.3 kB.

        Args:
            kind: What the record tells of.
            plan_id: Plan whose folder it goes to.
            task_id: Task whose file it goes to.
            fields: What follows the header, under names that the header does not use.

        Returns:
            Its number once the line is in the file. None when it is not: the disk refuses it and it
            waits in memory, the call came from inside another append of the same thread (it is
            written when that one is), the journal is closed, or this is a forked child.

        Raises:
            ValueError: The first record of a kind uses a name of the header.
        """
        if self._is_closed or _getpid() != self._pid:
            return None
        with self._lock:
            if self._is_busy:
                # A signal handler or a finalizer of the cell runs in the middle of our own code.
                self._deferred.append((kind, plan_id, task_id, self._now(), dict(fields)))
                return None
            self._is_busy = True
            try:
                seq = self._record(kind, plan_id, task_id, self._now(), fields)
                while self._deferred:
                    self._record(*self._deferred.popleft())
            finally:
                self._is_busy = False
        if self._trouble is not None:
            self._tell()
        return seq

    def sync(self) -> None:
        """Bring what was written since the last call to the disk, and try what waits in memory.

        Takes as long as the disk does and holds no lock meanwhile: for a background thread.
        """
        if self._is_closed or _getpid() != self._pid:
            return
        with self._lock:
            self._settle()
            fds = list(self._retired)
            self._retired.clear()
            for log in self._logs.values():
                fds += log.unsynced()
        refusals = [reason for fd in fds if (reason := _sync_and_close(fd))]
        if refusals and not self._is_unsynced:
            self._trouble = (
                f"cannot sync {self._root} ({refusals[0]}); a power cut may lose records"
            )
        self._is_unsynced = bool(refusals)
        if self._trouble is not None:
            self._tell()

    def close(self) -> None:
        """Write what waits, sync, and close the files; later appends do nothing."""
        self.sync()
        if self._is_closed or _getpid() != self._pid:
            return
        with self._lock:
            self._is_closed = True
            for log in self._logs.values():
                log.close()
            for fd in self._retired:
                _close_quietly(fd)
            lost = len(self._backlog) + self._backlog.dropped
        if lost:
            self._trouble = f"{lost} records could not be written to {self._root} and are lost"
            self._tell()

    def _record(
        self, kind: str, plan_id: str, task_id: str, timestamp: str, fields: Mapping[str, object]
    ) -> int | None:
        if self._pending is not None:
            self._deliver(is_in_doubt=True)
        known = self._starts.get((kind, plan_id, task_id))
        log, start = known or self._make_start(kind, plan_id, task_id, fields)
        seq, prev = self._last_seq + 1, log.link
        line = fill(start, seq, timestamp, prev, fields)
        # From here on the record exists: one step, so that no number is given out twice.
        self._last_seq, self._pending = seq, (log, seq, line, prev)
        try:
            if log is self._latest and not self._backlog.queues and log.append_at_once(line, prev):
                self._pending = None
                return seq
            return seq if self._deliver(is_in_doubt=False) else None
        except OSError:
            return seq if self._deliver(is_in_doubt=True) else None
        except BaseException:
            # Ctrl-C in the middle: finish, then let it through.
            self._deliver(is_in_doubt=True)
            raise

    def _deliver(self, *, is_in_doubt: bool) -> bool:
        if self._pending is None:
            return True
        log, seq, line, prev = self._pending
        entry = Entry(seq, line, prev, is_in_doubt=is_in_doubt)
        if self._backlog.queues:
            self._drain()
        if log.path not in self._backlog.queues:
            try:
                log.append(entry)
            except OSError as error:
                self._note_trouble(log.path, error)
        if entry.is_written:
            self._is_refused = bool(self._backlog.queues)
            self._use(log)
        else:
            self._backlog.put(log.path, entry)
            # The next record takes the long way, which sees the end of the outage.
            self._latest = None
        self._pending = None
        return entry.is_written

    def _drain(self) -> None:
        for path in list(self._backlog.queues):
            log = self._logs[path]
            try:
                while entry := self._backlog.oldest(path):
                    log.append(entry)
                    self._backlog.remove(path, entry)
            except OSError as error:
                self._note_trouble(path, error)
            self._use(log)
        self._is_refused = bool(self._backlog.queues)

    def _settle(self) -> None:
        if self._is_busy or not (self._backlog.queues or self._pending):
            return
        self._is_busy = True
        try:
            if self._pending is not None:
                self._deliver(is_in_doubt=True)
            else:
                self._drain()
        finally:
            self._is_busy = False

    def _use(self, log: LogFile) -> None:
        self._open.pop(log, None)
        self._open[log] = None
        self._latest = log
        if len(self._open) > _OPEN_FILES:
            oldest = next(iter(self._open))
            oldest.close()
            self._open.pop(oldest, None)

    def _make_start(
        self, kind: str, plan_id: str, task_id: str, fields: Mapping[str, object]
    ) -> tuple[LogFile, bytes]:
        if taken := HEADER_NAMES.intersection(fields):
            raise ValueError(f"a record of kind {kind} has fields of the header: {sorted(taken)}")
        name = log_name(plan_id, task_id, self._session if self._is_network else None)
        path = f"{self._root}/log/{name}"
        log = self._logs.get(path)
        if log is None:
            log = self._logs[path] = self._make_log(path)
        start = template(kind, self._session, plan_id, task_id)
        self._starts[kind, plan_id, task_id] = log, start
        return log, start

    def _make_log(self, path: str) -> LogFile:
        return LogFile(
            path,
            session=self._session,
            first_link=self._links.get(path, NO_PREVIOUS if self._is_new else None),
            is_shared=not self._is_network,
            rotate_bytes=self._settings.rotate_bytes,
            lock_timeout_s=self._settings.lock_timeout_s,
            make_parents=lambda: _make_parents(self._root, path),
            retired=self._retired,
        )

    def _note_trouble(self, path: str, error: OSError) -> None:
        if not self._is_refused:
            self._is_refused = True
            self._trouble = f"cannot write {path} ({_reason(error)}); recording goes on in memory"

    def _tell(self) -> None:
        sentence, self._trouble = self._trouble, None
        try:
            if sentence is not None:
                self._on_trouble(sentence)
        except Exception:  # noqa: BLE001 - the log is no reason to break a cell, nor is telling of it
            pass


def _make_parents(root: str, path: str) -> None:
    make_home(root)
    make_directory(path.rpartition("/")[0], 0o700)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _sync_and_close(fd: int) -> str | None:
    try:
        _fdatasync(fd)
    except OSError as error:
        # A cell that closes descriptors closes this one, too: there is nothing left to sync.
        return None if error.errno == _EBADF else _reason(error)
    finally:
        _close_quietly(fd)
    return None


def _close_quietly(fd: int) -> None:
    try:
        _close(fd)
    except OSError:
        pass
