"""Copies of the logs in other systems: one-way plug-ins, never in the way of a write.

Run by `session.mirror_thread` in the background, and read by `jupyter flow doctor`.

A plug-in is an entry point of the group `flow_kernel.mirrors`: something that makes a `Mirror` for
a home. It is given the records of each task whose log has changed since it took them the last time.
What it could not take comes again; its failures are counted in `.flow/mirrors/<name>.json`, and
nobody else notices them.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

import orjson

from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.locks import lock
from flow_kernel.records.scan import read_records

GROUP: Final = "flow_kernel.mirrors"
_MAX_ERROR: Final = 500


class Mirror(Protocol):
    """Another system that holds a copy of the logs."""

    def deliver(self, log: str, records: Iterable[Mapping[str, object]]) -> None:
        """Take over one task.

        Args:
            log: `<plan>/<task>`, as the folder and the file of its log are named.
            records: All of its log, oldest first, without secrets as the log is.

        Raises:
            Exception: Anything; the task comes again the next time.
        """


MakeMirror = Callable[[Home], Mirror]
"""What an entry point is."""


@dataclass(slots=True, kw_only=True)
class Cursor:
    """How far a mirror is.

    Attributes:
        logs: Names and sizes of the files of each log when it was taken over.
        delivered: How many times a log was taken over.
        failures: How often one was not, since all were.
        error: The last failure, empty when there is none.
        at: When the mirror was last run, in seconds since 1970.
    """

    logs: dict[str, list[list[object]]] = field(default_factory=dict)
    delivered: int = 0
    failures: int = 0
    error: str = ""
    at: float = 0.0


def load(name: str, home: Home) -> Mirror:
    """The mirror of a name.

    Raises:
        NotFound: No package that is installed here has it.
    """
    for found in entry_points(group=GROUP, name=name):
        make: MakeMirror = found.load()
        return make(home)
    raise NotFound(f'there is no mirror "{name}"', hint="is its package installed here?")


def run(home: Home, name: str, *, deadline: float) -> Cursor | None:
    """Let a mirror take over what is new.

    Args:
        home: Whose logs.
        name: Of the mirror.
        deadline: No log is begun after this moment of the monotonic clock.

    Returns:
        How far it is now; None when another process is at it.
    """
    with _claimed(home, name) as is_ours:
        if not is_ours:
            return None
        cursor = cursor_of(home, name)
        cursor.at, before = time.time(), cursor.failures
        try:
            mirror = load(name, home)
            for log, files in _logs(home):
                if time.monotonic() > deadline:
                    break
                _deliver(mirror, cursor, log, files)
        except Exception as error:  # noqa: BLE001 - a plug-in, of which nothing is known
            _note(cursor, error)
        if cursor.failures == before:
            cursor.failures, cursor.error = 0, ""
        _save(home, name, cursor)
        return cursor


def cursor_of(home: Home, name: str) -> Cursor:
    """How far a mirror is; at the beginning where nobody knows."""
    try:
        return Cursor(**orjson.loads(_path(home, name).read_bytes()))
    except (OSError, ValueError, TypeError):
        return Cursor()


def names_of(home: Home) -> list[str]:
    """The mirrors that were ever run here."""
    return sorted(path.stem for path in _folder(home).glob("*.json"))


def _deliver(mirror: Mirror, cursor: Cursor, log: str, files: list[Path]) -> None:
    sizes: list[list[object]] = [[path.name, path.stat().st_size] for path in files]
    if cursor.logs.get(log) == sizes:
        return
    try:
        mirror.deliver(log, read_records(files))
    except Exception as error:  # noqa: BLE001 - as above: the other logs are to be taken over
        _note(cursor, error)
        return
    cursor.logs[log] = sizes
    cursor.delivered += 1


def _note(cursor: Cursor, error: Exception) -> None:
    cursor.failures += 1
    cursor.error = f"{type(error).__name__}: {error}"[:_MAX_ERROR]


def _logs(home: Home) -> Iterator[tuple[str, list[Path]]]:
    def log_of(path: Path) -> str:
        return f"{path.parent.name}/{path.name.partition('.')[0]}"

    for log, files in groupby(home.log_files(), key=log_of):
        yield log, [*files]


@contextmanager
def _claimed(home: Home, name: str) -> Iterator[bool]:
    """One process at a time; who comes second has nothing to do."""
    _folder(home).mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(_folder(home) / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield lock(fd, 0)
    finally:
        os.close(fd)


def _save(home: Home, name: str, cursor: Cursor) -> None:
    write_durably(_path(home, name), orjson.dumps(asdict(cursor)))


def write_durably(path: Path, data: bytes) -> None:
    """The whole file or the one before it, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _folder(home: Home) -> Path:
    return home.root / "mirrors"


def _path(home: Home, name: str) -> Path:
    return _folder(home) / f"{name}.json"
