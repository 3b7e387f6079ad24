"""Records that are numbered but not in their file yet, bounded in bytes (pure).

Called by `journal`: kept here while the disk refuses them, written first when it works again.
"""

from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_OVERHEAD_BYTES: Final = 200  # of an entry and its line, beside the text


class Entry:
    """One record on its way into a file.

    Attributes:
        seq: Its number in the session.
        line: Its bytes without the newline, written after `prev`.
        prev: The link that `line` holds.
        is_in_doubt: A write may have begun, and its outcome is not known.
        is_written: The line is in the file; set in one step with the file's new state.
    """

    __slots__ = ("is_in_doubt", "is_written", "line", "prev", "seq")

    def __init__(self, seq: int, line: bytes, prev: str, *, is_in_doubt: bool = False) -> None:
        self.seq: int = seq
        self.line: bytes = line
        self.prev: str = prev
        self.is_in_doubt: bool = is_in_doubt
        self.is_written: bool = False


class Backlog:
    """Entries by file, each file's in the order of their numbers; the oldest are dropped.

    Attributes:
        queues: Waiting entries by path and number; a path without any is not in it.
        dropped: How many entries were given up.

    Putting an entry twice keeps it once, so an interrupted caller simply tries again.
    """

    __slots__ = ("_bytes", "_limit_bytes", "dropped", "queues")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.queues: dict[str, dict[int, Entry]] = {}
        self._bytes = 0
        self.dropped: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def oldest(self, path: str) -> Entry | None:
        """The entry to write next to that file."""
        return next(iter(self.queues.get(path, {}).values()), None)

    def put(self, path: str, entry: Entry) -> None:
        """Keep `entry` for `path`, at the price of the oldest ones where there is no room."""
        queue = self.queues.setdefault(path, {})
        if entry.seq not in queue:
            size = len(entry.line) + _OVERHEAD_BYTES
            queue[entry.seq], self._bytes = entry, self._bytes + size
        while self._bytes > self._limit_bytes and self.queues:
            self._drop_oldest()

    def remove(self, path: str, entry: Entry) -> None:
        """Forget an entry that was written or dropped."""
        queue = self.queues.get(path)
        if queue is None:
            return
        size = len(entry.line) + _OVERHEAD_BYTES
        if queue.pop(entry.seq, None) is not None:
            self._bytes -= size
        if not queue:
            del self.queues[path]
        if not self.queues:
            # An interrupt between a removal and its account shows up here at the latest.
            self._bytes = 0

    def _drop_oldest(self) -> None:
        path = min(self.queues, key=lambda path: next(iter(self.queues[path]), 1 << 62))
        queue = self.queues[path]
        if queue:
            self.dropped += 1
            self.remove(path, queue[next(iter(queue))])
        else:
            del self.queues[path]
