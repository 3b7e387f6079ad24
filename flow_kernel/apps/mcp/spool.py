"""The output of one run: its two ends at hand, all of it on the disk, within bounds.

Used by `cell_run`, which fills it, and by `reading`, which gives pages of it.
"""

import tempfile
from typing import IO, Final

ENDS_CHARS: Final = 4000
"""Kept of the beginning and of the end."""
_HELD_CHARS: Final = 256 * 1024
MOST_CHARS: Final = 32 * 2**20
"""Kept in all; what comes later is counted, and its end is still kept."""


class Spool:
    """Text that grows; what is longer than fits in memory lies in a file without a name."""

    def __init__(self) -> None:
        self.chars: int = 0
        self.head: str = ""
        self.tail: str = ""
        self._held: list[str] = []
        self._held_chars = 0
        self._kept_chars = 0
        self._file: IO[str] | None = None

    @property
    def is_cut(self) -> bool:
        """True when not all of it was kept."""
        return self._kept_chars < self.chars

    def add(self, text: str) -> None:
        """Take in a piece."""
        if len(self.head) < ENDS_CHARS:
            self.head += text[: ENDS_CHARS - len(self.head)]
        self.tail = (self.tail + text[-ENDS_CHARS:])[-ENDS_CHARS:]
        self.chars += len(text)
        kept = text[: max(MOST_CHARS - self._kept_chars, 0)]
        self._kept_chars += len(kept)
        self._held.append(kept)
        self._held_chars += len(kept)
        if self._held_chars > _HELD_CHARS:
            self._spill()

    def page(self, start: int, chars: int) -> str:
        """Characters from `start` on, of what was kept."""
        return self._whole()[start : start + chars]

    def close(self) -> None:
        """Let go of all but the ends."""
        self._held = []
        self._kept_chars = self._held_chars = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - `close` ends it
                "w+", encoding="utf-8", errors="surrogatepass", newline="", prefix="flow-run-"
            )
        self._file.writelines(self._held)
        self._held, self._held_chars = [], 0

    def _whole(self) -> str:
        if self._file is None:
            return "".join(self._held)
        self._spill()
        self._file.seek(0)
        text = self._file.read()
        self._file.seek(0, 2)
        return text
