"""Which log files a verb reads, and their records in the order of time.

Called by `log`, `stats`, `replay`, `check`, `prune` and `demo`.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home, resolve
from flow_kernel.records.lines import split_damaged
from flow_kernel.records.names import is_plan_id, is_task_id, safe_file_name
from flow_kernel.records.scan import Line, scan_file

_BATCH: Final = 64
_MAX_OPEN: Final = 64
_PEEK_BYTES: Final = 1 << 20
_MARKS: Final = (b'"crc":"', b'"session":"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records a verb wants; None means any."""

    plan_id: str | None = None
    task_id: str | None = None
    since: str | None = None

    def __post_init__(self) -> None:
        """Refuse ids that no record can carry."""
        if self.task_id is not None and not is_task_id(self.task_id):
            raise UsageError(f'"{self.task_id}" is no task id', hint="task ids look like T-0001")
        if self.plan_id is not None and not is_plan_id(self.plan_id):
            raise UsageError(f'"{self.plan_id}" is no plan id', hint="a plan id has no blanks")

    def wants(self, record: dict[str, object]) -> bool:
        """True when `record` passes."""
        return (
            (self.plan_id is None or record.get("plan_id") == self.plan_id)
            and (self.task_id is None or record.get("task_id") == self.task_id)
            and (self.since is None or str(record.get("timestamp", "")) >= self.since)
        )

    def wants_file(self, path: Path) -> bool:
        """False for a log of a home that holds no wanted record, judged from its name."""
        return (self.plan_id is None or path.parent.name == safe_file_name(self.plan_id)) and (
            self.task_id is None or task_of(path) == safe_file_name(self.task_id)
        )


def find_home(terminal: Terminal, asked: str | None = None) -> Home:
    """The home that the user named, or the one of the working directory; it need not exist.

    Raises:
        NotFound: The named directory does not exist.
    """
    if asked is None:
        # Costs 20 ms at import; a verb that is given files does not need it.
        from jupyter_core.paths import jupyter_data_dir

        data_dir = Path(jupyter_data_dir())
        return resolve(terminal.cwd, terminal.env, user_home=Path.home(), data_dir=data_dir)
    root = (terminal.cwd / Path(asked).expanduser()).absolute()
    if not root.is_dir():
        raise NotFound(f"there is no directory {asked}")
    inner = root / ".flow"
    return Home(inner if not (root / "log").is_dir() and inner.is_dir() else root)


def logs_of(home: Home, wanted: Filter | None = None) -> list[Path]:
    """The log files of `home` that may hold wanted records.

    Raises:
        NotFound: There is none.
    """
    files = home.log_files()
    if not files:
        raise NotFound(
            f"there is no log in {home.root}", hint="run a cell on the kernel flow, or name --home"
        )
    if wanted is None:
        return files
    kept = [path for path in files if wanted.wants_file(path)]
    if not kept:
        name = "/".join(part for part in (wanted.plan_id, wanted.task_id) if part)
        raise NotFound(f"there is no log of {name} in {home.root}")
    return kept


def named_logs(terminal: Terminal, names: Sequence[str]) -> list[Path]:
    """The files that the user named, each once.

    Raises:
        NotFound: One does not exist.
        UsageError: One is a directory, or holds no record of ours.
    """
    files: dict[Path, Path] = {}
    for name in names:
        path = (terminal.cwd / Path(name).expanduser()).absolute()
        if not path.exists():
            raise NotFound(f"there is no file {name}")
        if path.is_dir():
            raise UsageError(f"{name} is a directory", hint="name a .jsonl file, or use --home")
        require_log(path, name)
        files.setdefault(path.resolve(), path)
    return list(files.values())


def require_log(path: Path, name: str) -> None:
    """Refuse a file that is something else than a log; a damaged log is still a log.

    Raises:
        UsageError: None of its first lines looks like a record.
    """
    with path.open("rb") as file:
        head = file.read(_PEEK_BYTES)
    if head.strip() and not any(mark in head for mark in _MARKS):
        raise UsageError(f"{name} is not a task log: no line of it is a record")


def task_of(path: Path) -> str:
    """The task part of a log file's name, without the number of its rotation."""
    return path.name.partition(".")[0]


def count_tasks(files: Iterable[Path]) -> int:
    """How many tasks `files` belong to."""
    return len({(path.parent, task_of(path)) for path in files})


def merged(files: Iterable[Path]) -> Iterator[Line]:
    """All lines of `files`, those of one task in the order of the log, tasks merged by time.

    Damaged lines come with the line before them; a file that has gone meanwhile is passed over.
    """
    tasks = [list(paths) for _, paths in groupby(files, lambda path: (path.parent, task_of(path)))]
    read = _in_batches if len(tasks) > _MAX_OPEN else scan_file
    streams = [_timed(paths, read) for paths in tasks]
    for _, line in heapq.merge(*streams, key=lambda pair: pair[0]):
        yield line


def records_of(raw: bytes) -> Iterator[tuple[dict[str, object] | None, bytes]]:
    """The records in one line and their bytes; None for bytes that are damaged."""
    try:
        yield decode(raw), raw
    except LineDamaged as error:
        for _, piece, record, _ in split_damaged(raw, str(error)):
            yield record, piece


def _timed(
    paths: Sequence[Path], read: Callable[[Path], Iterator[Line]]
) -> Iterator[tuple[str, Line]]:
    latest = ""
    for path in paths:
        try:
            for line in read(path):
                if line.record is not None:
                    latest = max(latest, str(line.record.get("timestamp", "")))
                yield latest, line
        except NotFound:
            continue


def _in_batches(path: Path) -> Iterator[Line]:
    """As `scan_file`, but the file is closed between two batches."""
    offset: int | None = 0
    while offset is not None:
        batch: list[Line] = []
        lines = scan_file(path, offset=offset)
        offset = None
        for line in lines:
            # A damaged line comes in pieces; only the next line is a place to go on from.
            if len(batch) >= _BATCH and line.line != batch[-1].line:
                offset = line.offset
                break
            batch.append(line)
        yield from batch
