"""Opening the SQLite file of a store: made when it is missing, migrated, or refused.

Called by `sqlite` at the first use of a store.

Locks of a file belong to the process and end when it closes any descriptor of that file. Another
process then deletes the write-ahead log that this one goes on writing. So nobody but SQLite, which
knows of this, opens the file once it exists.

Source: SQLite, "How To Corrupt An SQLite Database File", section 2.2.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from flow_kernel.errors import StoreError, StoreTooNew
from flow_kernel.store.migrations import NUMBERS, statements
from flow_kernel.store.pages_sql import holds_all

VERSION: Final = NUMBERS[-1]
_LOG_BYTES: Final = 64 * 1024 * 1024
# The log takes whole pages and their checksums: SQLite's own 4,096 bytes make an update of the
# context a seventh slower. A file keeps the size that it was made with.
_PAGE_BYTES: Final = 1024
# 4 MB, then a writer waits for two syncs; SQLite's own 1,000 make the mean update a third slower.
_CHECKPOINT_PAGES: Final = 4000
# SQLite would sleep longer and longer, up to 100 ms, while nobody holds the lock.
_TURN_MS: Final = 1
_RETRY_S: Final = 0.002


class Opened(NamedTuple):
    """A connection, and whether it shows the file as it was when it was opened."""

    connection: sqlite3.Connection
    is_snapshot: bool


OnNew = Callable[[sqlite3.Connection], None]
"""Called inside the transaction that fills a new file."""


def open_file(
    path: Path, *, is_network: bool, wait_s: float, on_new: OnNew | None = None
) -> Opened:
    """Open the store in `path`.

    Args:
        path: The file.
        is_network: True on a file system of the network, where the write-ahead log is unsafe.
        wait_s: How long it waits here for another process.
        on_new: What is to be done once with a new file.

    Returns:
        A connection of the newest version. Its statements wait for another process for a
        millisecond (on the network: `wait_s`). It is a snapshot where nothing can be written:
        SQLite then takes no locks, and what others commit is seen by whoever opens it again.

    Raises:
        StoreError: The file cannot be made.
        StoreTooNew: A newer version wrote it; nothing was touched.
        sqlite3.Error: It is damaged, or cannot be read.
    """
    _make(path)
    _refuse_newer(path, _version_in(path))
    # SQLite makes its log beside the file.
    is_writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    options = "mode=rw" if is_writable else _as_it_is(path)
    connection = sqlite3.connect(
        _uri(path, options),
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    try:
        if is_writable:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            # Before the log is chosen, which a new file otherwise syncs once more.
            connection.execute(f"PRAGMA synchronous={'FULL' if is_network else 'NORMAL'}")
            _choose_log(connection, "DELETE" if is_network else "WAL", wait_s=wait_s)
            connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        _migrate(connection, path, on_new)
        connection.create_function("holds_all", 2, holds_all, deterministic=True)
        if is_writable and not is_network:
            connection.execute(f"PRAGMA busy_timeout={_TURN_MS}")
    except BaseException:
        connection.close()
        raise
    return Opened(connection, options.endswith("immutable=1"))


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection has what is needed, for now."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives its own files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        if not path.exists():
            raise StoreError(f"cannot make {path} ({error.strerror})") from error


def _choose_log(connection: sqlite3.Connection, kind: str, *, wait_s: float) -> None:
    """SQLite itself does not wait where several processes do this to a new file at once."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode={kind}")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def _migrate(connection: sqlite3.Connection, path: Path, on_new: OnNew | None) -> None:
    if _user_version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _user_version(connection)  # another process may have been faster
        _refuse_newer(path, version)
        if 0 < version < VERSION:
            _back_up(path, version)
        for number in NUMBERS:
            for statement in statements(number) if number > version else ():
                connection.execute(statement)
        if version == 0 and on_new is not None:
            on_new(connection)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _back_up(path: Path, version: int) -> None:
    target = path.with_name(f"{path.name}.v{version}.bak")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as to:
        source.backup(to)


def _refuse_newer(path: Path, version: int) -> None:
    if version > VERSION:
        raise StoreTooNew(
            f"{path} was written by a newer flow_kernel (version {version} of its format,"
            f" this one knows {VERSION}); nothing was changed",
            hint="update flow_kernel here",
        )


def _version_in(path: Path) -> int:
    """The version of the file, found without a change to it or to anything beside it.

    Only where a process died as it was writing without a write-ahead log, as it does when it makes
    the file, SQLite first takes back what that one has not finished.
    """
    try:
        with closing(sqlite3.connect(_uri(path, _as_it_is(path)), uri=True)) as connection:
            return _user_version(connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
    with closing(sqlite3.connect(_uri(path, "mode=rw"), uri=True)) as connection:
        return _user_version(connection)


def _user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _uri(path: Path, options: str) -> str:
    return f"{path.absolute().as_uri()}?{options}"


def _as_it_is(path: Path) -> str:
    """How to read a file without making any beside it, unless commits may still lie there."""
    beside = [path.with_name(f"{path.name}-{log}") for log in ("wal", "journal")]
    return "mode=ro" if any(log.exists() for log in beside) else "mode=ro&immutable=1"
