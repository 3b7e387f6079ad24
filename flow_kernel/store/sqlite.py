"""A store in one SQLite file, for any number of processes of one machine.

Built by `session.assembly` and by the command line through `open_store`.

Write-ahead log, one writer at a time: each write begins with BEGIN IMMEDIATE, so it never has to be
given up halfway because another process was faster. A commit survives any death of the process;
power loss may take the last ones, but never tears one.

A forked child believes that it holds the locks of its parent, and does not. Without them another
process deletes the write-ahead log that the child goes on writing. So the file is closed before a
fork, and each side opens it anew.

Source: SQLite, "Write-Ahead Logging", "Isolation In SQLite" and "How To Corrupt An SQLite Database
File", section 2.6.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakSet

from flow_kernel.errors import FlowError, StoreDamaged, StoreError, UsageError
from flow_kernel.store.forks import is_apart
from flow_kernel.store.sqlite_file import is_busy, open_file
from flow_kernel.store.sqlite_rows import SqliteTransaction

WAIT_S: Final = 30.0
_FORK_WAIT_S: Final = 5.0
_READ: Final = "BEGIN"
_stat: Final = os.stat
_DAMAGED: Final = ("CORRUPT", "NOTADB", "FORMAT")

_stores: "Final[WeakSet[SqliteStore]]" = WeakSet()
"""Closed before a fork: hooks of the process cannot be taken back, so there is one for all."""


class SqliteStore:
    """The store in the file `path`; opened at the first use, and anew after a fork.

    Args:
        path: The file; made when it is missing.
        is_network: True on a file system of the network, where the write-ahead log is unsafe.
        wait_s: How long a write waits for another process.
        on_new: Called once with the first transaction of a new file.
    """

    def __init__(
        self,
        path: Path,
        *,
        is_network: bool = False,
        wait_s: float = WAIT_S,
        on_new: Callable[[SqliteTransaction], None] | None = None,
    ) -> None:
        self._path = path
        self._name = str(path)  # looked for before each transaction, which a path makes slower
        self._is_network = is_network
        self._wait_s = wait_s
        self._on_new = on_new
        self._file: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._opened_times = 0
        self._is_snapshot = False
        self._forking_thread: int | None = None
        _stores.add(self)

    def read(self) -> AbstractContextManager[SqliteTransaction]:
        """A view that does not change while it is open."""
        return self._transaction(_READ)

    def write(self, *, is_durable: bool = False) -> AbstractContextManager[SqliteTransaction]:
        """A transaction that waits for its turn; see `contract.Store.write`."""
        return self._transaction("BEGIN IMMEDIATE", is_durable=is_durable)

    def version(self) -> int:
        """A number that changes when another process has committed; about 8 us."""
        with self._lock, self._told():
            if self._connection is None and self._file is not None and not self._path.exists():
                raise self._deleted()  # a look makes no new one in its place
            found = int(self._in_turn(self._opened(), "PRAGMA data_version").fetchone()[0])
            # SQLite counts for each connection.
            return (self._opened_times << 32) + found

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences; empty when nothing is."""
        try:
            with self._lock, self._told():
                rows = self._in_turn(self._opened(), "PRAGMA integrity_check(20)")
                found = [row[0] for row in rows]
        except StoreDamaged as error:
            return [error.message]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close it; harmless the second time."""
        with self._lock:
            # A connection that was inherited over a fork is the parent's.
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
                self._connection = None

    def before_fork(self) -> None:
        """Close what no child may inherit, and let no other thread in until `after_fork`.

        A transaction that goes on for seconds stays open; the store is of no use to the child then.
        """
        if self._lock.acquire(timeout=_FORK_WAIT_S):
            self._forking_thread = threading.get_ident()
            if self._connection is not None and not self._connection.in_transaction:
                self.close()

    def after_fork(self, *, is_child: bool) -> None:
        """Go on in the parent, and in the child."""
        if self._forking_thread == threading.get_ident():
            self._forking_thread = None
            self._lock.release()
        elif is_child:
            self._lock = threading.RLock()  # the thread that holds the other one is the parent's
            self._forking_thread = None

    @contextmanager
    def _transaction(self, begin: str, *, is_durable: bool = False) -> Iterator[SqliteTransaction]:
        with self._lock:
            connection: sqlite3.Connection | None = None
            try:
                connection = self._opened()
                if is_durable:
                    # The log is then synced after the commit, with all commits before it.
                    self._in_turn(connection, "PRAGMA synchronous=FULL")
                self._in_turn(connection, begin)
                if begin == _READ:
                    # It only begins with what is read first, which would not wait for its turn.
                    self._in_turn(connection, "SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
                yield SqliteTransaction(connection)
                connection.execute("COMMIT")
            except (sqlite3.Error, UnicodeEncodeError) as error:
                _roll_back(connection)
                raise _explained(error, self._path) from error
            except BaseException:
                _roll_back(connection)
                raise
            finally:
                if is_durable and connection is not None and not self._is_network:
                    connection.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of SQLite as errors of ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error

    def _in_turn(self, connection: sqlite3.Connection, sql: str) -> sqlite3.Cursor:
        """What SQLite does for a millisecond, for as long as this store waits."""
        try:
            return connection.execute(sql)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or self._is_network:
                raise
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                return connection.execute(sql)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise

    def _fill(self, connection: sqlite3.Connection) -> None:
        if self._on_new is not None:
            self._on_new(SqliteTransaction(connection))

    def _leave_lost_file(self) -> None:
        """Whoever replaced the file, or deleted it, did not ask SQLite."""
        now = _file_at(self._name)
        if now == self._file:
            return
        # SQLite sees that the name is another one's, and leaves the log beside it alone.
        self.close()
        if now is None:
            raise self._deleted()

    def _deleted(self) -> StoreError:
        return StoreError(
            f"{self._path} was deleted while it was in use; nothing was changed",
            hint="jupyter flow check --repair makes it anew from the logs",
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection and self._pid == os.getpid() and not self._connection.in_transaction:
            if self._is_snapshot:
                self.close()
            else:
                self._leave_lost_file()
        if self._connection is None:
            self._connection, self._is_snapshot = open_file(
                self._path, is_network=self._is_network, wait_s=self._wait_s, on_new=self._fill
            )
            self._file = _file_at(self._name)
            self._pid = os.getpid()
            self._opened_times += 1
        elif self._pid != os.getpid():
            raise StoreError(
                f"{self._path} was being written when this process was forked; nothing was changed",
                hint="start the process with the method spawn",
            )
        return self._connection


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        status = _stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _roll_back(connection: sqlite3.Connection | None) -> None:
    # A full disk has ended the transaction already.
    if connection is not None and connection.in_transaction:
        connection.execute("ROLLBACK")


def _explained(error: sqlite3.Error | UnicodeEncodeError, path: Path) -> FlowError:
    if isinstance(error, UnicodeEncodeError):
        return UsageError(f"{error.object[:60]!r} is not UTF-8; nothing was changed")
    name = getattr(error, "sqlite_errorname", "").partition("_")[2]
    if name.startswith(_DAMAGED):
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


def _before_fork() -> None:
    if is_apart():
        return
    for store in [*_stores]:
        store.before_fork()


def _after_fork(*, is_child: bool = False) -> None:
    for store in [*_stores]:
        store.after_fork(is_child=is_child)


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=partial(_after_fork, is_child=True),
    )
