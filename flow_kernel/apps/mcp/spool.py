"""The output of one run: its two ends at hand, all of it on the disk, within bounds.

Used by `cell_run`, which fills it, and by `resources`, which gives pages of it. All spools of a
server share a budget: where it is spent, the oldest let go of what they kept.
"""

import tempfile
from typing import IO, Final

ENDS_CHARS: Final = 4000
"""Kept of the beginning and of the end."""
_CHUNK_CHARS: Final = 256 * 1024
"""Written at once, and read at once for a page."""
MOST_CHARS: Final = 32 * 2**20
"""Kept in all; what comes later is counted, and its end is still kept."""
BUDGET_BYTES: Final = 256 * 2**20


class Budget:
    """What the spools of one server may take on the disk.

    Args:
        most_bytes: In all.
    """

    def __init__(self, most_bytes: int = BUDGET_BYTES) -> None:
        self._most_bytes = most_bytes
        self._spools: dict[Spool, int] = {}

    def add(self, spool: "Spool", nbytes: int) -> None:
        """Count what `spool` has written; others let go of theirs where that is too much."""
        self._spools[spool] = self._spools.get(spool, 0) + nbytes
        for oldest in [*self._spools]:
            if sum(self._spools.values()) <= self._most_bytes:
                return
            if oldest is not spool:
                oldest.close()

    def remove(self, spool: "Spool") -> None:
        """It takes nothing any more."""
        self._spools.pop(spool, None)


class Spool:
    """Text that grows; what is longer than fits in memory lies in a file without a name.

    Args:
        budget: That it shares with others.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.chars: int = 0
        self.head: str = ""
        self.tail: str = ""
        self.is_let_go: bool = False
        self._budget = budget or Budget()
        self._held: list[str] = []
        self._held_chars = 0
        self._kept_chars = 0
        self._ends = [0]  # in the file, of each chunk: they have as many characters, not bytes
        self._file: IO[bytes] | None = None

    @property
    def is_cut(self) -> bool:
        """True when not all of it was kept."""
        return self._kept_chars < self.chars

    def add(self, text: str) -> None:
        """Take in a piece.

        Raises:
            OSError: The disk refuses it.
        """
        if len(self.head) < ENDS_CHARS:
            self.head += text[: ENDS_CHARS - len(self.head)]
        self.tail = (self.tail + text[-ENDS_CHARS:])[-ENDS_CHARS:]
        self.chars += len(text)
        if self.is_let_go:
            return
        kept = text[: max(MOST_CHARS - self._kept_chars, 0)]
        self._kept_chars += len(kept)
        self._held.append(kept)
        self._held_chars += len(kept)
        if self._held_chars >= _CHUNK_CHARS:
            self._spill()

    def page(self, start: int, chars: int) -> str:
        """Characters from `start` on, of what was kept; reads no more than that range."""
        written = len(self._ends) - 1
        first = min(start // _CHUNK_CHARS, written)
        last = min((start + chars) // _CHUNK_CHARS + 1, written)
        text = ""
        if self._file is not None and first < last:
            self._file.seek(self._ends[first])
            read = self._file.read(self._ends[last] - self._ends[first])
            text = read.decode("utf-8", "surrogatepass")
        if last == written and len(text) < start + chars - first * _CHUNK_CHARS:
            text += "".join(self._held)
        start -= first * _CHUNK_CHARS
        return text[start : start + chars]

    def close(self) -> None:
        """Let go of all but the ends."""
        self.is_let_go = True
        self._held = []
        self._kept_chars = self._held_chars = 0
        self._ends = [0]
        self._budget.remove(self)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile("w+b", prefix="flow-run-")  # noqa: SIM115 - `close` ends it
        text = "".join(self._held)
        whole = len(text) - len(text) % _CHUNK_CHARS
        self._held, self._held_chars = [text[whole:]], len(text) - whole
        began = self._ends[-1]
        self._file.seek(began)
        for at in range(0, whole, _CHUNK_CHARS):
            chunk = text[at : at + _CHUNK_CHARS].encode("utf-8", "surrogatepass")
            self._file.write(chunk)
            self._ends.append(self._ends[-1] + len(chunk))
        self._file.flush()
        self._budget.add(self, self._ends[-1] - began)
