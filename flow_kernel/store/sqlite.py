"""A store in one SQLite file, for any number of processes of one machine.

Built by `session.assembly` and by the command line through `open_store`.

Write-ahead log, one writer at a time: each write begins with BEGIN IMMEDIATE, so it never has to be
given up halfway because another process was faster. A commit survives any death of the process;
power loss may take the last ones, but never tears one.

Source: SQLite, "Write-Ahead Logging" and "Isolation In SQLite".
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreDamaged, StoreError, StoreTooNew
from flow_kernel.store.migrations import NAMES, statements
from flow_kernel.store.sqlite_rows import SqliteTransaction

VERSION: Final = len(NAMES)
_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_BYTES: Final = 100
_DAMAGED: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"})


class SqliteStore:
    """The store in the file `path`; opened at the first use, and anew in a forked child.

    Args:
        path: The file; made when it is missing.
        is_network: True on a file system of the network, where the write-ahead log is unsafe.
        wait_s: How long a write waits for another process.
    """

    def __init__(self, path: Path, *, is_network: bool = False, wait_s: float = 30.0) -> None:
        self._path = path
        self._is_network = is_network
        self._wait_s = wait_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    @contextmanager
    def read(self) -> Iterator[SqliteTransaction]:
        """A view that does not change while it is open."""
        with self._transaction("BEGIN") as view:
            yield view

    @contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
        """A transaction that waits for its turn; see `contract.Store.write`."""
        with self._transaction("BEGIN IMMEDIATE") as change:
            yield change

    def version(self) -> int:
        """A number that changes when another process has committed; about 8 us."""
        with self._lock, self._told():
            return int(self._opened().execute("PRAGMA data_version").fetchone()[0])

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences; empty when nothing is."""
        with self._lock, self._told():
            found = [row[0] for row in self._opened().execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close it; harmless the second time."""
        with self._lock:
            connection, self._connection = self._connection, None
            # A connection that was inherited over a fork is the parent's.
            if connection is not None and self._pid == os.getpid():
                connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[SqliteTransaction]:
        with self._lock, self._told():
            connection = self._opened()
            connection.execute(begin)
            try:
                yield SqliteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                # A full disk has ended the transaction already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of SQLite as errors of ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            self._connection, self._pid = self._open(), os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._make_file()
        version = _version_in(self._path)
        if version > VERSION:
            raise StoreTooNew(
                f"{self._path} was written by a newer flow_kernel (version {version} of its format,"
                f" this one knows {VERSION}); nothing was changed",
                hint="update flow_kernel here",
            )
        connection = sqlite3.connect(
            self._path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
        )
        try:
            if os.access(self._path, os.W_OK):
                connection.execute(f"PRAGMA journal_mode={'DELETE' if self._is_network else 'WAL'}")
                connection.execute(f"PRAGMA synchronous={'FULL' if self._is_network else 'NORMAL'}")
                connection.execute("PRAGMA journal_size_limit=67108864")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_file(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite gives its own files the mode of this one.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            if not self._path.exists():
                raise StoreError(f"cannot make {self._path} ({error.strerror})") from error

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if _user_version(connection) >= VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _user_version(connection)  # another process may have been faster
            if 0 < version < VERSION:
                self._back_up(version)
            for number in range(version + 1, VERSION + 1):
                for statement in statements(number):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _back_up(self, version: int) -> None:
        target = self._path.with_name(f"{self._path.name}.v{version}.bak")
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(target)) as to:
            source.backup(to)


def _user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _version_in(path: Path) -> int:
    """The version in the header of the file, read without touching anything beside it."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return 0
    return int.from_bytes(header[60:64], "big")


def _explained(error: sqlite3.Error, path: Path) -> StoreError:
    name = getattr(error, "sqlite_errorname", "").partition("_")[2]
    if any(name.startswith(kind.partition("_")[2]) for kind in _DAMAGED):
        return StoreDamaged(f"{path} is damaged ({error})", hint="try: jupyter flow check --repair")
    if name.startswith("READONLY"):
        return StoreError(f"{path} cannot be written; nothing was changed")
    if name.startswith("FULL"):
        return StoreError(f"the disk of {path} is full; nothing was changed")
    if name.startswith("BUSY"):
        return StoreError(
            f"another process keeps {path} locked; nothing was changed", hint="try again"
        )
    return StoreError(f"{path}: {error}; nothing was changed")
