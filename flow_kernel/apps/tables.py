"""Aligned tables for people: widths as a terminal counts them, colours, nothing unsafe (pure).

Called by every verb that prints a table.

A cell is a text or a list of painted pieces. Columns with a `share` give way when the screen is
narrow; all others keep the width of their widest cell.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.plain import strip_controls

# What strip_controls leaves and a table cannot place: joiners, fillers, variation selectors.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180b-\u180e\u200c\u200d\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_BLANK: Final = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]+")
_STYLES: Final[Mapping[str, str]] = {
    "dim": "2",
    "bold": "1",
    "green": "32",
    "red": "31",
    "yellow": "33",
    "cyan": "36",
    "fatal": "1;31",
}
GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Painted:
    """A piece of a cell in one style (a key of the palette, or empty)."""

    text: str
    style: str = ""


Cell = str | Sequence[Painted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        title: Its head; empty for none.
        align: Which side the text leans on.
        share: Its part of the room that is left, 0 for a column that never shrinks.
        floor: The least width that it takes.
    """

    title: str
    align: Literal["<", ">"] = "<"
    share: int = 0
    floor: int = 0


def plain(text: str) -> str:
    """`text` on one line, without escape sequences, control, bidi or invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", strip_controls(_BLANK.sub(" ", text)))


def display_width(text: str) -> int:
    """How many columns a terminal gives to `text`, which is plain."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def clip(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` within `width` columns, with an ellipsis where it was cut."""
    if display_width(text) <= width:
        return text
    room = width - display_width(ellipsis)
    kept = []
    for char in text:
        room -= _char_width(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + ellipsis if width > 0 else ""


class Painter:
    """Turns styles into escape sequences, or into nothing."""

    def __init__(self, *, colours: bool, ellipsis: str = "…") -> None:
        self._colours = colours
        self.ellipsis = ellipsis

    @classmethod
    def of(cls, terminal: Terminal) -> "Painter":
        """What `terminal` can show."""
        ellipsis = "…" if terminal.has_unicode else "..."
        return cls(colours=terminal.has_colours, ellipsis=ellipsis)

    def paint(self, text: str, style: str) -> str:
        """`text`, which is plain, in `style`."""
        if not self._colours or not style or not text:
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    def cell(self, cell: Cell, width: int, align: str = "<") -> str:
        """`cell` cut and padded to exactly `width` columns."""
        pieces = _pieces(cell)
        missing = width - _size(pieces)
        if missing < 0:
            pieces = _cut(pieces, width, self.ellipsis)
            missing = width - _size(pieces)
        body = "".join(self.paint(piece.text, piece.style) for piece in pieces)
        pad = " " * missing
        return pad + body if align == ">" else body + pad


class Table:
    """Columns with settled widths; rows are rendered one by one, so a table may grow for ever."""

    def __init__(
        self, columns: Sequence[Column], sample: Iterable[Sequence[Cell]], *, width: int
    ) -> None:
        """Settle the widths.

        Args:
            columns: The columns.
            sample: Rows that tell how much room the texts want; all of them, or the first ones.
            width: Columns of the screen.
        """
        self.columns = columns
        self.width = width
        self.widths: list[int] = _settle(columns, sample, width)

    def head(self, painter: Painter) -> str:
        """The line of titles."""
        return self.row([[Painted(column.title, "dim")] for column in self.columns], painter)

    def row(self, cells: Sequence[Cell], painter: Painter) -> str:
        """One line, without trailing blanks."""
        self._make_room(cells)
        last = max((i for i, cell in enumerate(cells) if cell), default=0)
        parts = [
            painter.cell(cell, width, column.align)
            for cell, width, column in zip(cells, self.widths, self.columns, strict=True)
        ][:last]
        # Nothing stands to the right of the last cell: it may run to the edge of the screen.
        used = sum(self.widths[:last]) + len(GAP) * last
        column = self.columns[last]
        room = self.width - used if column.align == "<" else self.widths[last]
        parts.append(painter.cell(cells[last], max(room, self.widths[last]), column.align))
        return GAP.join(parts).rstrip()

    def _make_room(self, cells: Sequence[Cell]) -> None:
        """A number that grew past the sample takes its room from the widest text."""
        for index, column in enumerate(self.columns):
            if column.share or not cells[index]:
                continue
            missing = _size(_pieces(cells[index])) - self.widths[index]
            if missing > 0:
                self.widths[index] += missing
                texts = [i for i, column in enumerate(self.columns) if column.share]
                if texts:
                    widest = max(texts, key=lambda i: self.widths[i])
                    self.widths[widest] = max(self.widths[widest] - missing, 1)

    def note(self, cell: Cell, column: int, painter: Painter) -> str:
        """A line below a row that starts in `column` and may run to the edge of the screen."""
        indent = sum(self.widths[:column]) + len(GAP) * column
        return " " * indent + painter.cell(cell, max(self.width - indent, 10)).rstrip()


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    terminal: Terminal,
    *,
    like: Sequence[Sequence[Cell]] = (),
) -> None:
    """Print a whole table below an empty line.

    Args:
        columns: The columns.
        rows: The rows.
        terminal: Where to print.
        like: Rows of another table that this one should align with.
    """
    painter = Painter.of(terminal)
    table = Table(columns, [*rows, *like], width=terminal.columns)
    terminal.print()
    terminal.print(table.head(painter))
    for row in rows:
        terminal.print(table.row(row, painter))


def _pieces(cell: Cell) -> list[Painted]:
    if isinstance(cell, str):
        return [Painted(plain(cell))]
    return [Painted(plain(piece.text), piece.style) for piece in cell]


def _size(pieces: Iterable[Painted]) -> int:
    return sum(display_width(piece.text) for piece in pieces)


def _cut(pieces: Sequence[Painted], width: int, ellipsis: str) -> list[Painted]:
    kept: list[Painted] = []
    for piece in pieces:
        size = display_width(piece.text)
        if size + len(ellipsis) > width:
            # Made too wide, so that the ellipsis shows even where the piece itself would fit.
            text = clip(piece.text + " " * len(ellipsis), width, ellipsis)
            kept.append(Painted(text, piece.style))
            break
        kept.append(piece)
        width -= size
    return kept


def _settle(columns: Sequence[Column], sample: Iterable[Sequence[Cell]], width: int) -> list[int]:
    wanted = [max(column.floor, display_width(column.title)) for column in columns]
    for row in sample:
        for index, cell in enumerate(row):
            wanted[index] = max(wanted[index], _size(_pieces(cell)))
    room = width - len(GAP) * (len(columns) - 1)
    room -= sum(want for want, column in zip(wanted, columns, strict=True) if not column.share)
    flexible = [index for index, column in enumerate(columns) if column.share]
    # The least hungry column first: what it does not need is left to the others.
    flexible.sort(key=lambda index: wanted[index] / columns[index].share)
    shares = sum(columns[index].share for index in flexible)
    for index in flexible:
        part = max(room * columns[index].share // shares, columns[index].floor, 1)
        wanted[index] = min(wanted[index], part)
        room -= wanted[index]
        shares -= columns[index].share
    return wanted


def _char_width(char: str) -> int:
    if char < "\u0300":
        return 1
    code = ord(char)
    if 0x1160 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FF:  # vowels that join the Hangul before
        return 0
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
