"""The cells that run now, as the logs of a home say: begun, not ended, in a session that lives.

Made by `live`: found once at the ends of the logs, then from each record that follows. It is told
as a whole whenever it is another one, so whoever missed a message knows all again with the next.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from flow_kernel.apps.server.rows import row_of
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home
from flow_kernel.records.lease import living

MOST_CELLS: Final = 100
_END_BYTES: Final = 2 * 2**20
_MOST_FILES: Final = 16
_LIVES_EVERY_S: Final = 0.5
"""How long the death of a kernel goes unseen; it leaves no record before another one begins."""
_HEAD_BYTES: Final = 200
_MARKS: Final = tuple(b'"kind":"%b"' % kind for kind in (b"cell_started", b"cell", b"death"))

Record = Mapping[str, object]
Row = dict[str, object]
_Key = tuple[object, object]


class RunningCells:
    """Those of one home; belongs to one thread.

    Args:
        home: Whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._cells: dict[_Key, Row] = {}
        self._told: list[Row] | None = None
        self._looked_s = 0.0

    def find(self) -> None:
        """Look for them at the ends of the logs that were written last; some milliseconds."""
        sessions = self._living()
        if not sessions:
            return
        records = [
            record
            for path in _newest(self._home.log_files())
            for record in _last_records(path)
            if record.get("session") in sessions
        ]
        # A task that was begun in a cell leaves its end in another file than its beginning.
        self.follow(record for record in records if record.get("kind") == "cell_started")
        self.follow(record for record in records if record.get("kind") != "cell_started")

    def follow(self, records: Iterable[Record]) -> None:
        """What was written since."""
        for record in records:
            kind, session = record.get("kind"), record.get("session")
            if kind == "cell_started":
                self._cells[session, record.get("span_id")] = row_of(record)
            elif kind == "cell":
                self._cells.pop((session, record.get("span_id")), None)
            elif kind == "death":
                self._cells = {key: row for key, row in self._cells.items() if key[0] != session}

    def news(self) -> list[Row] | None:
        """The newest `MOST_CELLS` of them, oldest first; None where they are those told last."""
        now_s = time.monotonic()
        if self._cells and now_s - self._looked_s >= _LIVES_EVERY_S:
            self._looked_s = now_s
            sessions = self._living()
            self._cells = {key: row for key, row in self._cells.items() if key[0] in sessions}
        found = [*self._cells.values()][-MOST_CELLS:]
        if found == self._told:
            return None
        self._told = found
        return found

    def _living(self) -> set[object]:
        folder = self._home.run_dir
        return {lease.session for lease in living(folder)} if folder.is_dir() else set()


def _newest(paths: Iterable[Path]) -> list[Path]:
    """The files that were written last."""
    found: list[tuple[int, Path]] = []
    for path in paths:
        try:
            found.append((path.stat().st_mtime_ns, path))
        except OSError:  # pruned meanwhile
            continue
    return [path for _, path in sorted(found, reverse=True)[:_MOST_FILES]]


def _last_records(path: Path) -> Iterator[Record]:
    """Of the kinds that begin and end cells."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:  # pruned meanwhile
        return
    try:
        size = os.fstat(fd).st_size
        content = os.pread(fd, _END_BYTES, max(0, size - _END_BYTES))
    finally:
        os.close(fd)
    for line in content.split(b"\n"):
        head = line[:_HEAD_BYTES]
        if any(mark in head for mark in _MARKS):
            try:
                yield decode(line)
            except LineDamaged:  # the first of them is mostly half a line
                continue
