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
        done: How many bytes of `line` a full disk has taken; they lie at the end of the file.
        is_in_doubt: A write was begun and its outcome is not known.
        is_written: The line is in the file; set in one step with the file's new state.
    """

    __slots__ = ("done", "is_in_doubt", "is_written", "line", "prev", "seq")

    def __init__(self, seq: int, line: bytes, prev: str) -> None:
        self.seq = seq
        self.line = line
        self.prev = prev
        self.done = 0
        self.is_in_doubt = False
        self.is_written = False


class Backlog:
    """Entries by file, each file's in the order of their numbers; the oldest are dropped.

    Putting an entry twice keeps it once, so an interrupted caller simply tries again.
    """

    __slots__ = ("_bytes", "_limit_bytes", "_queues", "dropped")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._queues: dict[str, dict[int, Entry]] = {}
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return sum([len(queue) for queue in self._queues.values()])

    def __bool__(self) -> bool:
        return bool(self._queues)

    def paths(self) -> list[str]:
        """Files with waiting entries."""
        return list(self._queues)

    def oldest(self, path: str) -> Entry | None:
        """The entry to write next to that file."""
        return next(iter(self._queues.get(path, {}).values()), None)

    def has(self, path: str) -> bool:
        """True when an entry waits for that file."""
        return path in self._queues

    def put(self, path: str, entry: Entry) -> None:
        """Keep `entry` for `path`, at the price of the oldest ones where there is no room."""
        queue = self._queues.setdefault(path, {})
        if entry.seq not in queue:
            size = len(entry.line) + _OVERHEAD_BYTES
            queue[entry.seq], self._bytes = entry, self._bytes + size
        while self._bytes > self._limit_bytes and self._queues:
            self._drop_oldest()

    def remove(self, path: str, entry: Entry) -> None:
        """Forget an entry that was written or dropped."""
        queue = self._queues.get(path)
        if queue is None:
            return
        size = len(entry.line) + _OVERHEAD_BYTES
        if queue.pop(entry.seq, None) is not None:
            self._bytes -= size
        if not queue:
            del self._queues[path]
        if not self._queues:
            # An interrupt between a removal and its account shows up here at the latest.
            self._bytes = 0

    def _drop_oldest(self) -> None:
        path = min(self._queues, key=lambda path: next(iter(self._queues[path]), 1 << 62))
        queue = self._queues[path]
        if queue:
            self.dropped += 1
            self.remove(path, queue[next(iter(queue))])
        else:
            del self._queues[path]
