"""Which workers a session has, in a small file that any process can read.

Written by `opening` at each change, read by `worker_looks`.

    .flow/run/<session>.workers     from the first isolated cell to the end of the session; 0600

One line of JSON with the checksum of records at its end, written over in place and padded with
blanks to the longest that it ever was: no lock, no fsync, no second file. Who reads half of a write
finds a wrong checksum and reads again. What a killed session leaves is told by the start times of
its processes: a reused pid has another one.
"""

import functools
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from flow_kernel.records.process import ProcessId, start_time, this_process
from flow_kernel.workers.lifecycle import State

if TYPE_CHECKING:
    from flow_kernel.workers.worker import Worker

_VERSION: Final = 2
_CRC_KEY: Final = b',"crc":"'
_MOST_NOTED: Final = 8
_WORKING: Final = (State.BUSY, State.BLOCKED)
# O_NONBLOCK: a FIFO planted at the path must not block the cell.
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """What is told of one worker.

    Attributes:
        worker_id: `w1`, `w2`, …
        name: None for a spare, and for one that ends with its cell.
        state: Of `workers.lifecycle`.
        kind: zygote, spawn, fork or remote.
        pid: Of its process; on another machine it is one there, or None.
        process_start: Tells the process from a later one with the same pid; see `ProcessId`.
        task_id: `<plan>/<task>` of the cell that runs there; None while none does.
        started_at: UTC.
        restarts: How many of its name this session has had before.
        heartbeat_at: When it was last heard of, UTC.
        history: What was noted last of it, and of those that had its name before: when (UTC), state
            and reason; the oldest first.
        detail: What it is seen to do, or why it is blocked; None where nobody has looked.
    """

    worker_id: str
    name: str | None
    state: str
    kind: str
    pid: int | None
    process_start: str
    task_id: str | None
    started_at: str
    restarts: int
    heartbeat_at: str
    history: tuple[tuple[str, str, str], ...] = ()
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one session tells of its workers.

    Attributes:
        session: 32 hex.
        process: Of the session.
        workers: Oldest first.
        queue: Cells that wait for one.
    """

    session: str
    process: ProcessId
    workers: tuple[WorkerLine, ...]
    queue: int = 0


def parse(data: bytes) -> Page | None:
    """The page in the bytes of a file; None where they are damaged, or half of two of them."""
    body, _, crc = data.rstrip().rpartition(_CRC_KEY)
    if crc != b'%08x"}' % zlib.crc32(body):
        return None
    try:
        fields = orjson.loads(body + b"}")
        if fields["v"] != _VERSION:
            return None
        return Page(
            session=fields["session"],
            process=ProcessId(**fields["process"]),
            workers=tuple(_line_of(line) for line in fields["workers"]),
            queue=int(fields["queue"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _line_of(fields: dict[str, Any]) -> WorkerLine:
    history = tuple((at, state, reason) for at, state, reason in fields["history"])
    return WorkerLine(**{**fields, "history": history})


class Board:
    """Writes the page of one session; safe in any thread, and without effect in a fork of it.

    A disk that refuses costs other processes the sight of it, and this one nothing.

    Args:
        path: Of the file.
        session: 32 hex.
        place: Says `<plan>/<task>` that cells belong to now.
    """

    def __init__(self, path: Path, *, session: str, place: Callable[[], str]) -> None:
        self._path = str(path)
        self._session = session
        self._place = place
        self._process = this_process()
        head = {"v": _VERSION, "session": session, "process": self._process, "workers": []}
        self._head: bytes = orjson.dumps(head)[:-2]
        self._lines: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._written: dict[str, bytes] = {}
        self._size = 0
        self._queue = 0
        self._history: dict[tuple[str, str], deque[tuple[str, str, str]]] = {}
        """By the name of a worker, or by the id of one that has none."""
        self._is_closed = False
        self._changed = threading.Condition()

    @property
    def page(self) -> Page:
        """What is told now."""
        with self._changed:
            lines = [_line_of(line) for line in self._lines.values()]
            queue = self._queue
        return Page(session=self._session, process=self._process, workers=tuple(lines), queue=queue)

    def change(self, worker: "Worker") -> None:
        """`worker` is in another state, or has got its name; about 15 us."""
        if os.getpid() != self._process.pid:
            return
        with self._changed:
            if self._is_closed:
                return
            worker_id = worker.worker_id
            if worker.state == State.DEAD:
                self._lines.pop(worker_id, None)
                if worker.name is None:
                    self._history.pop(_key(worker_id, None), None)
                self._written.pop(worker_id, None)
            else:
                self._lines[worker_id] = line = self._line(worker)
                self._written[worker_id] = orjson.dumps(line)
            self._write()
            self._changed.notify_all()

    def note(self, worker_id: str, state: str, reason: str) -> None:
        """What the log notes of a worker is told with it, and with the next one of its name."""
        if os.getpid() != self._process.pid:
            return
        with self._changed:
            key = _key(worker_id, self._names.get(worker_id))
            noted = self._history.setdefault(key, deque(maxlen=_MOST_NOTED))
            noted.append((_utc(time.time()), state, reason))
            if state == State.DEAD:
                if self._names.pop(worker_id, None) is None:
                    self._history.pop(key, None)  # nobody has its name after it
            elif worker_id in self._lines and not self._is_closed:
                self._lines[worker_id]["history"] = [*noted]
                self._written[worker_id] = orjson.dumps(self._lines[worker_id])
                self._write()

    def waits(self, queue: int) -> None:
        """So many cells wait for a worker; about 15 us."""
        if os.getpid() != self._process.pid:
            return
        with self._changed:
            if not self._is_closed and queue != self._queue:
                self._queue = queue
                self._write()

    def wait_until_gone(self, worker_id: str, timeout_s: float) -> bool:
        """Wait until a worker is told of no more; False where it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: worker_id not in self._lines, timeout_s)

    def close(self) -> None:
        """Remove the file; what changes later is not told."""
        if os.getpid() != self._process.pid:
            return
        with self._changed:
            self._is_closed = True
            Path(self._path).unlink(missing_ok=True)

    # -- inside ------------------------------------------------------------------------------------

    def _line(self, worker: "Worker") -> dict[str, Any]:
        before = self._lines.get(worker.worker_id)
        line = self._first_line(worker) if before is None else {**before}
        task_id = None
        if worker.state in _WORKING:
            task_id = line["task_id"] or self._place()
        line["task_id"] = task_id
        line["name"] = worker.name
        if worker.name is not None and self._names.get(worker.worker_id) is None:
            self._names[worker.worker_id] = worker.name
            key = _key(worker.worker_id, worker.name)
            own = self._history.pop(_key(worker.worker_id, None), ())
            noted = self._history.setdefault(key, deque(maxlen=_MOST_NOTED))
            noted.extend(own)
            line["history"] = [*noted]
        line["state"] = worker.state.value
        line["detail"] = worker.doing
        line["restarts"] = worker.restarts
        line["heartbeat_at"] = _utc(worker.heartbeat_s)
        return line

    def _first_line(self, worker: "Worker") -> dict[str, Any]:
        """What stays as it is, in the order of the fields."""
        started_s = time.time() - (time.monotonic() - worker.started_s)
        return {
            "worker_id": worker.worker_id,
            "name": None,
            "state": "",
            "kind": worker.kind,
            "pid": worker.pid,
            "process_start": _start_of(worker),
            "task_id": None,
            "started_at": _utc(started_s),
            "restarts": 0,
            "heartbeat_at": "",
            "history": [],
            "detail": None,
        }

    def _write(self) -> None:
        workers = b",".join(self._written.values())
        body = b'%b%b],"queue":%d' % (self._head, workers, self._queue)
        data = b'%b,"crc":"%08x"}' % (body, zlib.crc32(body))
        self._size = max(self._size, len(data))
        try:
            # Opened each time: a cell may close every descriptor it finds, and reuse its number.
            fd = os.open(self._path, _FLAGS, 0o600)
            try:
                os.pwrite(fd, data.ljust(self._size), 0)
            finally:
                os.close(fd)
        except OSError:
            return


def _key(worker_id: str, name: str | None) -> tuple[str, str]:
    """Under which a history is kept: a name may be the id of another worker."""
    return ("id", worker_id) if name is None else ("name", name)


def _start_of(worker: "Worker") -> str:
    if worker.pid is None or worker.is_far:
        return ""
    return start_time(worker.pid) or ""


def _utc(unix_s: float) -> str:
    return f"{_second(int(unix_s))}.{int(unix_s * 1000) % 1000:03d}Z"


@functools.lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
