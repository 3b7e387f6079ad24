"""One log file as its writer sees it: opened, locked, checked, appended to, rotated.

Called by `journal`, which owns one of these for each task.

Each write takes the lock, looks whether the path still leads to the open file, and appends one line
with one `write`:

    found under the lock              what happens
    path gone or another file         open that one (the home is made anew where it was deleted)
    file full                         rename it to `<task>.<n>.jsonl`, go on in a new one
    size not as left behind           another writer; a newline first if the last byte is none
    a line of ours begun by a         only the rest of the line is written
      disk that was full
    lock not to be had in time        a newline first, then the line; afterwards a look whether the
                                      file was deleted or replaced meanwhile

Nothing here truncates a file. Every state change is one assignment after the system call it follows,
so an interrupt leaves either the old state with `Entry.is_in_doubt`, or the new one.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import Final

from flow_kernel.records.backlog import Entry
from flow_kernel.records.backward import last_line_of
from flow_kernel.records.codec import NO_PREVIOUS, link, relink
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.locks import lock, unlock

globals()["__builtins__"] = FROZEN_BUILTINS

_open: Final = os.open
_close: Final = os.close
_write: Final = os.write
_stat: Final = os.stat
_fstat: Final = os.fstat
_lseek: Final = os.lseek
_read: Final = os.read
_rename: Final = os.rename
_listdir: Final = os.listdir
_is_regular: Final = stat.S_ISREG
_SEEK_SET: Final = os.SEEK_SET
# O_NONBLOCK: a FIFO planted at the path must not block the cell.
_OPEN_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_HIGH_FD: Final = 500
_strerror: Final = os.strerror
_RETIRED_FDS: Final = 8
_TRIES: Final = 8
_UNKNOWN: Final = -1
_SUFFIX: Final = ".jsonl"


class LogFile:
    """Appends the lines of one session to one path.

    Args:
        path: Absolute.
        session: Whose lines.
        first_link: The `prev` of the session's first line here; None when the file may hold earlier
            lines of the session and has to be read for it.
        is_shared: False where only this session writes to the file; it is then not locked.
        rotate_bytes: Size from which the file is renamed.
        lock_timeout_s: How long to wait for another writer.
        make_parents: Makes the directories of `path`; raises OSError.
        retired: Takes a few closed descriptors whose bytes are not synced yet.
    """

    __slots__ = (
        "_device",
        "_first_link",
        "_inode",
        "_is_shared",
        "_lock_timeout_s",
        "_make_parents",
        "_rotate_at",
        "_rotate_bytes",
        "_session",
        "_size",
        "_torn_size",
        "_wait_s",
        "_is_dirty",
        "_retired",
        "fd",
        "link",
        "path",
    )

    def __init__(  # noqa: PLR0913 - one plain fact each, passed in one place
        self,
        path: str,
        *,
        session: str,
        first_link: str | None,
        is_shared: bool,
        rotate_bytes: int,
        lock_timeout_s: float,
        make_parents: Callable[[], None],
        retired: list[int],
    ) -> None:
        self.path = path
        self.fd = -1
        self.link = first_link or NO_PREVIOUS
        self._first_link = first_link
        self._session = session
        self._is_shared = is_shared
        self._rotate_bytes = rotate_bytes
        self._rotate_at = rotate_bytes
        self._lock_timeout_s = lock_timeout_s
        self._wait_s = lock_timeout_s
        self._make_parents = make_parents
        self._retired = retired
        self._is_dirty = False
        self._device = self._inode = self._size = self._torn_size = _UNKNOWN

    def append(self, entry: Entry) -> None:
        """Put the line of `entry` into the file unless it is there; then `entry.is_written`.

        Raises:
            OSError: The file system refuses; the entry is unchanged but for what it says itself.
        """
        for _ in range(_TRIES):
            if entry.is_written:
                return
            try:
                self._try_append(entry)
            except FileNotFoundError:
                self.close()
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                # A cell closed our descriptor; the number may be somebody else's by now.
                self.fd = -1
        if not entry.is_written:
            raise OSError(errno.EAGAIN, "the log file is replaced again and again", self.path)

    def close(self) -> None:
        """Close the descriptor if it is still ours; the next append opens the file again."""
        fd, self.fd = self.fd, -1
        if fd < 0 or not self._is_ours(fd):
            return
        if self._is_dirty and len(self._retired) < _RETIRED_FDS:
            self._retired.append(fd)
        else:
            _close(fd)
        self._is_dirty = False

    def unsynced(self) -> list[int]:
        """A descriptor to sync and close if something was written since the last call."""
        if not self._is_dirty or self.fd < 0:
            return []
        self._is_dirty = False
        try:
            return [_duplicate(self.fd)]
        except OSError:
            return []

    def _is_ours(self, fd: int) -> bool:
        try:
            status = _fstat(fd)
        except OSError:
            return False
        return status.st_ino == self._inode and status.st_dev == self._device

    def _try_append(self, entry: Entry) -> None:
        if self.fd < 0:
            self._open()
        fd = self.fd
        has_lock = self._is_shared and lock(fd, self._wait_s)
        try:
            # A holder that does not move costs the full wait once, not at every cell.
            self._wait_s = self._lock_timeout_s if has_lock else 0.0
            if entry.is_in_doubt and self._resolve(entry):
                return
            is_alone = has_lock or not self._is_shared
            status = _stat(self.path)
            if (
                status.st_ino == self._inode
                and status.st_dev == self._device
                and not (is_alone and status.st_size >= self._rotate_at and self._rotate(status))
                and self._put(entry, status.st_size, is_alone=is_alone)
            ):
                return
        finally:
            if has_lock:
                unlock(fd)
        self.close()

    def _open(self) -> None:
        try:
            fd = _open(self.path, _OPEN_FLAGS, 0o600)
        except FileNotFoundError:
            self._make_parents()
            fd = _open(self.path, _OPEN_FLAGS, 0o600)
        fd = _move_up(fd)
        try:
            status = _fstat(fd)
            if not _is_regular(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", self.path)
            # The size too: an inode number is given again once the file it belonged to is gone.
            if (status.st_ino, status.st_dev, status.st_size) != (
                self._inode,
                self._device,
                self._size,
            ):
                self._adopt(fd, status)
        except BaseException:
            _close(fd)
            raise
        self.fd = fd

    def _adopt(self, fd: int, status: os.stat_result) -> None:
        # A file that this object has not written to: new, repaired by a copy, or of an earlier life.
        first, self._first_link = self._first_link, None
        if first is None:
            last = last_line_of(fd, self._session) if status.st_size else None
            first = NO_PREVIOUS if last is None else link(last)
        self._inode, self._device, self._size, self._torn_size, self.link = (
            status.st_ino,
            status.st_dev,
            _UNKNOWN,
            _UNKNOWN,
            first,
        )

    def _resolve(self, entry: Entry) -> bool:
        # An earlier write of this entry was interrupted, or went into a file that was replaced.
        if not _fstat(self.fd).st_nlink:
            return False
        last = last_line_of(self.fd, self._session)
        self._size = self._torn_size = _UNKNOWN
        self.link = NO_PREVIOUS if last is None else link(last)
        entry.done, entry.is_in_doubt, entry.is_written = 0, False, last == entry.line
        return entry.is_written

    def _rotate(self, status: os.stat_result) -> bool:
        directory, _, name = self.path.rpartition("/")
        stem = name[: -len(_SUFFIX)]
        try:
            number = 1 + max([_part_number(other, stem) for other in _listdir(directory)])
            _rename(self.path, f"{directory}/{stem}.{number}{_SUFFIX}")
        except OSError:
            # A log that is too large is better than none; tried again after as many bytes.
            self._rotate_at = status.st_size + self._rotate_bytes
            return False
        self._rotate_at = self._rotate_bytes
        return True

    def _put(self, entry: Entry, size: int, *, is_alone: bool) -> bool:
        if entry.prev != self.link:
            entry.line, entry.prev, entry.done = relink(entry.line, self.link), self.link, 0
        if entry.done and is_alone and size == self._torn_size:
            return self._continue(entry)
        is_clean = is_alone and (size in (self._size, 0) or self._ends_with_newline(size))
        start = b"" if is_clean else b"\n"
        line, next_link = entry.line, link(entry.line)
        entry.done, entry.is_in_doubt = 0, True
        try:
            written = _write(self.fd, start + line + b"\n")
        except OSError:
            entry.is_in_doubt = False
            raise
        if written <= len(start) + len(line):
            return self._keep_torn(entry, size + written, written - len(start), is_alone=is_alone)
        if not is_alone and not _fstat(self.fd).st_nlink:
            return False
        # Without the lock the size may be that of another writer's line.
        size = size + written if is_alone else _UNKNOWN
        self._size, self.link, entry.is_written, entry.is_in_doubt = size, next_link, True, False
        self._is_dirty = True
        return True

    def _keep_torn(self, entry: Entry, size: int, done: int, *, is_alone: bool) -> bool:
        self._size, self._torn_size, entry.done, entry.is_in_doubt = _UNKNOWN, size, max(0, done), False
        if not is_alone:
            raise OSError(errno.ENOSPC, _strerror(errno.ENOSPC), self.path)
        return self._continue(entry)

    def _continue(self, entry: Entry) -> bool:
        # The file ends with the first `done` bytes of this line: the disk was full, or still is.
        entry.is_in_doubt = True
        try:
            while entry.done <= len(entry.line):
                written = _write(self.fd, entry.line[entry.done :] + b"\n")
                entry.done, self._torn_size = entry.done + written, self._torn_size + written
        except OSError:
            if entry.done < len(entry.line):
                entry.is_in_doubt = False
                raise
        # A writer without the lock may have come between the parts: look.
        return self._resolve(entry)

    def _ends_with_newline(self, size: int) -> bool:
        _lseek(self.fd, size - 1, _SEEK_SET)
        return _read(self.fd, 1) == b"\n"


if sys.platform == "win32":
    _duplicate: Final = os.dup

else:
    import fcntl

    _fcntl: Final = fcntl.fcntl
    _DUPLICATE: Final = fcntl.F_DUPFD_CLOEXEC

    def _duplicate(fd: int) -> int:
        # A cell that closes our descriptors and opens its own files gets the lowest numbers: with
        # a high one, what we write next meets EBADF and not the cell's file.
        return _fcntl(fd, _DUPLICATE, _HIGH_FD)


def _move_up(fd: int) -> int:
    try:
        high = _duplicate(fd)
    except OSError:
        return fd
    _close(fd)
    return high


def _part_number(name: str, stem: str) -> int:
    middle = name[len(stem) + 1 : -len(_SUFFIX)]
    is_part = name.startswith(f"{stem}.") and name.endswith(_SUFFIX) and middle.isdecimal()
    # Eight digits are a session of a network file system.
    return int(middle) if is_part and len(middle) < 8 else 0
