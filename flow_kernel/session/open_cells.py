"""The cells that have begun and are not written yet, by the request that they belong to.

Made by `session.recorder`. Of each request the first one is the cell that it asked for, whose reply
writes its record; the others are run by it, or by a thread of the user's beside it:

    request ──▶ cell ──▶ cells that it runs         in its thread, one within the other
                └──────▶ cells that threads run     at the same time, and maybe for longer
"""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.cell import CellRequest, OpenCell

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident


class OpenCells:
    """The open cells of one session.

    Attributes:
        lock: Held while a cell goes from those that are open to those that are remembered.
    """

    def __init__(self) -> None:
        self.lock: AbstractContextManager[bool] = threading.Lock()
        self._of: dict[str, list[OpenCell]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def requests(self) -> list[str]:
        """The requests of which a cell is open."""
        return list(self._of)

    def of(self, key: str) -> Sequence[OpenCell]:
        """Those of one request, the one that it asked for first."""
        return self._of.get(key, ())

    def add(self, cell: OpenCell) -> None:
        """It has begun."""
        with self.lock:
            self._of.setdefault(cell.key, []).append(cell)

    def remove(self, cell: OpenCell) -> None:
        """It is written; to be called with the lock."""
        cells = self._of.get(cell.key, [])
        if cell in cells:
            cells.remove(cell)
        if not cells or not cell.is_nested:
            self._of.pop(cell.key, None)

    def beside(self, request: CellRequest) -> list[OpenCell]:
        """The cell that a thread of the user's runs another one beside, alone; else nothing."""
        if request.is_answered or request.msg_id is None:
            return []
        return list(self.of(request.msg_id)[:1])

    def showing(self, key: str) -> Iterator[OpenCell]:
        """Those that something is displayed in: by themselves, or by a cell that they run."""
        cells = self.of(key)
        for cell in list(cells):
            is_here = cell.thread in (cells[0].thread, _get_ident())
            if not cell.is_nested or (is_here and not cell.has_ended):
                yield cell

    def in_its_thread(self, key: str) -> list[OpenCell]:
        """The cell that was asked for and those that it runs, the innermost last."""
        cells = self.of(key)
        return [cell for cell in list(cells) if cell.thread == cells[0].thread]

    def running(self) -> OpenCell | None:
        """The one that runs now, the outermost and oldest; callable in any thread."""
        for cells in list(self._of.values()):
            cell = cells[0] if cells else None
            if cell is not None and cell.started_ns and not cell.has_ended:
                return cell
        return None

    def left_in(self, thread: int) -> list[OpenCell]:
        """Those that have ended in a thread, and whose reply never left."""
        firsts = [cells[0] for cells in list(self._of.values()) if cells]
        return [cell for cell in firsts if cell.thread == thread and cell.has_ended]
