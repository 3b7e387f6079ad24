"""One log file as its writer sees it: opened, locked, checked, appended to, rotated.

Called by `journal`, which owns one of these for each task.

Each write takes the lock, looks whether the path still leads to the open file, and appends one line
with one `write`:

    found under the lock               what happens
    path gone or another file          open that one (the home is made anew where it was deleted)
    file full                          rename it to `<task>.<n>.jsonl`, go on in a new one
    size not as left behind            somebody wrote; a newline first if the last byte is none
    our line begun, and the disk full  write the rest of the line
    lock not to be had in time         a newline first; afterwards a look whether the file was
                                       deleted or replaced meanwhile: then once more
    file about to be replaced          the lock's holder says so: the record waits in memory

The path is looked at no more often than every tenth of a millisecond, less than any cell takes. In
between a file as large as we left it is taken for ours, so who replaces or deletes a log (`repair`,
`prune`) changes the size of the old one afterwards, under its lock.

Nothing here truncates a file. The outcome of each write is stored in one step, so an interrupt
leaves either all of it or an entry in doubt, which the next call looks up in the file.
"""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from typing import Final

from flow_kernel.records.backlog import Entry
from flow_kernel.records.backward import last_line_of
from flow_kernel.records.codec import NO_PREVIOUS, decode, link, relink
from flow_kernel.records.descriptors import duplicate, open_to_append
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.locks import EXCLUSIVE, REPLACING, UNLOCK, flock, lock

globals()["__builtins__"] = FROZEN_BUILTINS

_close: Final = os.close
_write: Final = os.write
_read: Final = os.read
_lseek: Final = os.lseek
_stat: Final = os.stat
_fstat: Final = os.fstat
_fchmod: Final = getattr(os, "fchmod", os.chmod)
_rename: Final = os.rename
_listdir: Final = os.listdir
_strerror: Final = os.strerror
_sha256: Final = hashlib.sha256
_monotonic: Final = time.monotonic
_SEEK_SET: Final = os.SEEK_SET
_SEEK_END: Final = os.SEEK_END
_EBADF: Final = errno.EBADF
_EAGAIN: Final = errno.EAGAIN
_EBUSY: Final = errno.EBUSY
_ENOSPC: Final = errno.ENOSPC
_RETIRED_FDS: Final = 8
_PATH_HOLDS_S: Final = 0.0001
_TRIES: Final = range(50)
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
        "_is_dirty",
        "_is_link_known",
        "_is_shared",
        "_lock_timeout_s",
        "_make_parents",
        "_path_holds_until",
        "_retired",
        "_rotate_at",
        "_rotate_bytes",
        "_session",
        "_size",
        "_torn_line",
        "_torn_size",
        "_torn_start",
        "_wait_s",
        "fd",
        "link",
        "path",
    )

    def __init__(  # noqa: PLR0913 - plain facts, passed in one place, each by name
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
        self.path: str = path
        self.fd: int = -1
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
        self._is_link_known = False
        self._path_holds_until = 0.0
        # Of the open file: which it is, its size after our last whole line; where a torn one lies.
        self._device = self._inode = self._size = self._torn_start = self._torn_size = _UNKNOWN
        self._torn_line = b""

    def append_at_once(self, line: bytes, prev: str) -> bool:
        """Write `line` if nothing has happened to the file since our last one.

        The ordinary case in one frame: `append` would do the same.

        Returns:
            False where a closer look is needed: give the line to `append`.

        Raises:
            OSError: Whether the line was written is not known.
        """
        fd, size = self.fd, self._size
        if fd < 0 or prev != self.link or size >= self._rotate_at or not self._is_shared:
            return False
        data = line + b"\n"
        next_link = _sha256(line).hexdigest()[:16]
        now = _monotonic()
        try:
            flock(fd, EXCLUSIVE)
            if _lseek(fd, 0, _SEEK_END) != size:
                return False
            if now >= self._path_holds_until:
                status = _stat(self.path)
                if status.st_ino != self._inode or status.st_dev != self._device:
                    return False
                self._path_holds_until = now + _PATH_HOLDS_S
            written = _write(fd, data)
            if written != len(data):
                self._size, self._torn_line = _UNKNOWN, line
                self._torn_start, self._torn_size = size, size + written
                return False
            self._size, self.link, self._is_dirty = size + written, next_link, True
            return True
        except OSError:
            return False
        finally:
            flock(fd, UNLOCK)

    def append(self, entry: Entry) -> None:
        """Put the line of `entry` into the file unless it is there; then `entry.is_written`.

        Raises:
            OSError: The file system refuses; the line is not in the file, or `entry` is in doubt.
        """
        for _ in _TRIES:
            if entry.is_written:
                return
            try:
                self._try_append(entry)
            except FileNotFoundError:
                self.close()
            except OSError as error:
                if error.errno != _EBADF:
                    raise
                # A cell closed our descriptor; the number may be somebody else's by now.
                self.fd = -1
        if not entry.is_written:
            raise OSError(_EAGAIN, "the log file is replaced again and again", self.path)

    def close(self) -> None:
        """Close the descriptor if it is still ours; the next append opens the file again."""
        # Forgotten last: a closed descriptor that is used once more meets EBADF, a lost one stays.
        fd = self.fd
        if fd >= 0 and self._is_ours(fd):
            if self._is_dirty and len(self._retired) < _RETIRED_FDS:
                self._retired.append(fd)
            else:
                _close(fd)
        self.fd, self._is_dirty = -1, False

    def unsynced(self) -> list[int]:
        """A descriptor to sync and close if something was written since the last call."""
        if not self._is_dirty or self.fd < 0:
            return []
        self._is_dirty = False
        try:
            return [duplicate(self.fd)]
        except OSError:
            return []

    def _is_ours(self, fd: int) -> bool:
        try:
            status = _fstat(fd)
        except OSError:
            return False
        return status.st_ino == self._inode and status.st_dev == self._device

    def _try_append(self, entry: Entry) -> None:
        fd = self.fd if self.fd >= 0 else self._open()
        has_lock = self._is_shared and lock(fd, self._wait_s)
        try:
            # A holder that does not move costs the full wait once, not at every cell.
            self._wait_s = self._lock_timeout_s if has_lock else 0.0
            is_open = self._append_after_a_look(entry, has_lock=has_lock)
        finally:
            if has_lock:
                flock(fd, UNLOCK)
        if not is_open:
            self.close()

    def _append_after_a_look(self, entry: Entry, *, has_lock: bool) -> bool:
        # False: the open file is not that of the path any more.
        is_alone = has_lock or not self._is_shared
        if entry.is_in_doubt and self._resolve(entry, is_alone=is_alone):
            return True
        if not self._is_link_known:
            self._find_link()
        status = _stat(self.path)
        size = status.st_size
        if status.st_ino != self._inode or status.st_dev != self._device:
            return False
        if status.st_mode & REPLACING:
            self._check_mark(status.st_mode, is_alone=is_alone)
        if not is_alone:
            return self._put(entry, _UNKNOWN, b"\n")
        if size >= self._rotate_at and self._rotate(size):
            return False
        self._path_holds_until = _monotonic() + _PATH_HOLDS_S
        if entry.line is self._torn_line and size == self._torn_size:
            return self._continue(entry)
        is_clean = size in (self._size, 0) or self._ends_with_newline(size)
        return self._put(entry, size, b"" if is_clean else b"\n")

    def _put(self, entry: Entry, size: int, start: bytes) -> bool:
        # The size is _UNKNOWN without the lock. False: the file was deleted or replaced meanwhile.
        if entry.prev != self.link:
            entry.line, entry.prev = relink(entry.line, self.link), self.link
        line = entry.line
        next_link = link(line)
        data = b"%b%b\n" % (start, line)
        entry.is_in_doubt = True
        try:
            written = _write(self.fd, data)
        except OSError:
            entry.is_in_doubt = False
            raise
        if written < len(data):
            return self._keep_torn(entry, size, written, len(start))
        if size == _UNKNOWN:
            status = _fstat(self.fd)
            if not status.st_nlink:
                return False
            self._check_mark(status.st_mode, is_alone=False)
            written = 0
        self._size, self.link, entry.is_written, self._is_dirty = (
            size + written,
            next_link,
            True,
            True,
        )
        return True

    def _keep_torn(self, entry: Entry, size: int, written: int, before: int) -> bool:
        entry.is_in_doubt = False
        if size == _UNKNOWN or written < before:
            raise OSError(_ENOSPC, _strerror(_ENOSPC), self.path)
        self._size, self._torn_line = _UNKNOWN, entry.line
        self._torn_start, self._torn_size = size + before, size + written
        return self._continue(entry)

    def _continue(self, entry: Entry) -> bool:
        # The file ends with the beginning of this line: the disk was full, or still is.
        rest = entry.line[self._torn_size - self._torn_start :] + b"\n"
        entry.is_in_doubt = True
        try:
            while rest:
                written = _write(self.fd, rest)
                rest, self._torn_size = rest[written:], self._torn_size + written
        except OSError:
            if rest != b"\n":
                entry.is_in_doubt = False
                raise
        # A writer without the lock may have come between the parts: look.
        return self._resolve(entry, is_alone=True)

    def _resolve(self, entry: Entry, *, is_alone: bool) -> bool:
        # What the file says of a write that was interrupted, or made in parts, or into a file that
        # was replaced. False: the file is gone, or the line is not in it.
        status = _fstat(self.fd)
        if not status.st_nlink:
            return False
        self._check_mark(status.st_mode, is_alone=is_alone)
        last = self._find_link()
        is_there = last is not None and decode(last).get("seq") == entry.seq
        self._size = self._torn_size = _UNKNOWN
        entry.is_in_doubt, entry.is_written, self._is_dirty = False, is_there, True
        return is_there

    def _check_mark(self, mode: int, *, is_alone: bool) -> None:
        # Whether a file that is about to be replaced holds a line is known when it has been.
        if mode & REPLACING:
            if not is_alone:
                raise OSError(_EBUSY, "it is being repaired", self.path)
            # Nobody repairs it while we hold the lock: a repair was killed.
            _fchmod(self.fd, mode & 0o777)

    def _open(self) -> int:
        fd = -1
        try:
            try:
                fd = open_to_append(self.path)
            except FileNotFoundError:
                self._make_parents()
                fd = open_to_append(self.path)
            self._adopt(fd)
            self.fd = fd
        except BaseException:
            if fd >= 0 and self.fd != fd:
                _close(fd)
            raise
        return fd

    def _adopt(self, fd: int) -> None:
        status = _fstat(fd)
        inode, device, size = status.st_ino, status.st_dev, status.st_size
        # The size too: an inode number is given again once the file that had it is gone.
        if (inode, device, size) == (self._inode, self._device, self._size):
            return
        # New, or not as we left it.
        first, self._first_link = self._first_link, None
        self._wait_s = self._lock_timeout_s
        self._inode, self._device, self._size, self._torn_size, self._is_link_known = (
            inode,
            device,
            _UNKNOWN,
            _UNKNOWN,
            first is not None,
        )

    def _find_link(self) -> bytes | None:
        # Under the lock, as whoever repairs the file may still be adding a line of ours.
        last = last_line_of(self.fd, self._session)
        self.link, self._is_link_known = link(last) if last else NO_PREVIOUS, True
        return last

    def _rotate(self, size: int) -> bool:
        directory, _, name = self.path.rpartition("/")
        stem = name[: -len(_SUFFIX)]
        try:
            number = 1 + max(_part_number(other, stem) for other in _listdir(directory))
            _rename(self.path, f"{directory}/{stem}.{number}{_SUFFIX}")
        except OSError:
            # A log that is too large is better than none; tried again after as many bytes.
            self._rotate_at = size + self._rotate_bytes
            return False
        self._rotate_at = self._rotate_bytes
        return True

    def _ends_with_newline(self, size: int) -> bool:
        _lseek(self.fd, size - 1, _SEEK_SET)
        return _read(self.fd, 1) == b"\n"


def _part_number(name: str, stem: str) -> int:
    middle = name[len(stem) + 1 : -len(_SUFFIX)]
    is_part = name.startswith(f"{stem}.") and name.endswith(_SUFFIX) and middle.isdecimal()
    # Eight digits are the session of a log on a network file system.
    return int(middle) if is_part and len(middle) < 8 else 0
