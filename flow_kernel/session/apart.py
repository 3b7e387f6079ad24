"""Cells that run in another process while others run here: opened, heard and written.

Called by `recorder`; thread-safe.
"""

import threading
from typing import Final

from flow_kernel.records.cell_changes import Watches
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.long_text import LongText
from flow_kernel.session.cell import Failure, OpenCell
from flow_kernel.session.sealing import RecorderParts, cell_fields, started_fields

globals()["__builtins__"] = FROZEN_BUILTINS

_new_lock: Final = threading.Lock


class Apart:
    """Those of one session.

    Args:
        parts: Of its recorder.
        watches: What its cells are compared with.
    """

    def __init__(self, parts: RecorderParts, watches: Watches) -> None:
        self._parts = parts
        self._watches = watches
        self._lock = _new_lock()
        self._cells: dict[str, OpenCell] = {}

    def open(self, key: str, cell: OpenCell) -> None:
        """Begin one: its `cell_started` record is on disk when this returns.

        Args:
            key: What it says is told with this key.
            cell: New.
        """
        fields = started_fields(cell, self._parts.settings.actor)
        self._append("cell_started", cell, fields)
        cell.key = key
        cell.start_clocks()
        with self._lock:
            self._cells[key] = cell

    def close(self, cell: OpenCell, failure: Failure | None) -> int | None:
        """Write the record of one.

        Returns:
            Its number in the session; None where it is not on the disk.
        """
        cell.stop()
        cell.take_changes(self._watches, self._parts.settings.recorder, self._parts.redactor)
        with self._lock:
            if self._cells.get(cell.key) is cell:
                del self._cells[cell.key]
        fields = cell_fields(cell, failure, self._parts)
        return self._append("cell", cell, fields | {"recorder_us": cell.recorder_ns // 1000})

    # Each of these is True where it was said by one of them.

    def stream(self, key: str, name: str, text: str | LongText) -> bool:
        """Text was sent on `stdout` or `stderr`."""
        with self._lock:
            cell = self._cells.get(key)
            if cell is not None:
                cell.output.stream(name, text)
        return cell is not None

    def display(self, key: str, data: dict[str, object], *, is_result: bool) -> bool:
        """A MIME bundle was displayed."""
        with self._lock:
            cell = self._cells.get(key)
            if cell is not None:
                cell.output.display(data, is_result=is_result)
        return cell is not None

    def failed(self, key: str, error: dict[str, object]) -> bool:
        """A traceback was shown."""
        with self._lock:
            cell = self._cells.get(key)
            if cell is not None:
                cell.output.error = error
        return cell is not None

    def _append(self, kind: str, cell: OpenCell, fields: dict[str, object]) -> int | None:
        place = cell.place
        return self._parts.journal.append(kind, place.plan_id, place.task_id, fields)
