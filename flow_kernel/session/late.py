"""Output that arrives when the record of its cell is written already.

Used by `session.recorder`; each piece is a record of its own, as long as the cell had room left.
"""

from collections import OrderedDict
from typing import Final

from flow_kernel.records.codec import clean_text
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.place import Place
from flow_kernel.session.sealing import RecorderParts

globals()["__builtins__"] = FROZEN_BUILTINS

_RECENT: Final = 128


class Sealed:
    """What is remembered of a written cell."""

    __slots__ = ("key", "place", "room", "span_id")

    def __init__(self, key: str, place: Place, span_id: str, room: int) -> None:
        self.key: str = key
        self.place: Place = place
        self.span_id: str = span_id
        self.room: int = room


class LateOutput:
    """Of the cells of one session that were written last."""

    def __init__(self, parts: RecorderParts) -> None:
        self._parts = parts
        self._recent: OrderedDict[str, Sealed] = OrderedDict()

    def remember(self, cell: OpenCell) -> None:
        """A cell is about to be written."""
        room = self._parts.settings.recorder.stream_chars
        self._recent[cell.key] = Sealed(cell.key, cell.place, cell.span_id, room)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def find(self, key: str) -> Sealed | None:
        """The written cell of a request; None where it is forgotten."""
        return self._recent.get(key)

    def write(self, sealed: Sealed, name: str, text: str) -> bool:
        """Write what came of a stream. Returns False where there is no room for more of it."""
        if sealed.room <= 0:
            return False
        clean, redacted = self._parts.redactor.text(text)
        full, clean = len(clean), clean[: sealed.room]
        sealed.room -= len(clean)
        fields: dict[str, object] = {
            "msg_id": sealed.key,
            "span_id": sealed.span_id,
            "stream": name,
            "text": clean_text(clean),
            "redacted": redacted,
        }
        if len(clean) < full:
            fields["truncated"] = {"text": full}
        place = sealed.place
        self._parts.journal.append("late", place.plan_id, place.task_id, fields)
        return True
