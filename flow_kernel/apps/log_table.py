"""The table of a log: entries of a timeline as aligned lines.

Called by `log` and by `demo`.

    Sat 21 Nov 2026 · session 3f2a91c0
        time  seq     elapsed  cell                              changed
    01:02:03    2  ✓    41 ms  df = pd.read_csv("sales.csv")     +df · +pandas
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Final

from flow_kernel.apps.tables import Cell, Column, Painted, Painter, Table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.timeline import Entry, Mark
from flow_kernel.apps.when import parse_stamp
from flow_kernel.records.plain import human_ms

_SAMPLE: Final = 500
_NARROW: Final = 64
# Sign, sign where the encoding has no other, style of the sign, style of the code.
_SIGNS: Final = {
    Mark.OK: ("✓", "+", "green", ""),
    Mark.ERROR: ("✗", "x", "red", ""),
    Mark.INTERRUPTED: ("✗", "x", "yellow", ""),
    Mark.ABORTED: ("-", "-", "dim", "dim"),
    Mark.DEATH: ("†", "#", "fatal", ""),
    Mark.RUNNING: ("▸", ">", "cyan", ""),
    Mark.LOST: ("?", "?", "yellow", ""),
    Mark.HIDDEN: ("·", ".", "dim", "dim"),
}
_NOTE_STYLES: Final = {
    Mark.ERROR: "red",
    Mark.INTERRUPTED: "yellow",
    Mark.DEATH: "red",
    Mark.LOST: "yellow",
}


@dataclass(frozen=True, slots=True)
class _Row:
    cells: Sequence[Cell]
    note: Cell


class LogTable:
    """Prints entries; the widths are settled by the first ones, so that later ones may follow."""

    def __init__(self, terminal: Terminal, *, shows_task: bool) -> None:
        """Prepare a table.

        Args:
            terminal: Where to print.
            shows_task: True to give the task a column, because there are several.
        """
        self._terminal = terminal
        self._is_unicode = terminal.has_unicode
        self._dot = "·" if self._is_unicode else "-"
        self._painter = Painter.of(terminal)
        self._shows_task = shows_task
        self._table: Table | None = None
        self._heading = ("", "")
        self.count: int = 0

    def print(self, entries: Iterable[Entry]) -> None:
        """Print `entries` below what was printed before."""
        waiting = iter(entries)
        first = list(islice(waiting, _SAMPLE))
        if not first:
            return
        if self._table is None:
            sample = [self._row(entry).cells for entry in first]
            self._table = Table(self._columns(), sample, width=self._terminal.columns)
        for entry in chain(first, waiting):
            self._print_one(entry, self._table)

    def _print_one(self, entry: Entry, table: Table) -> None:
        self._print_heading(entry, table)
        row = self._row(entry)
        self._terminal.print(table.row(row.cells, self._painter))
        if row.note:
            column = [column.title for column in table.columns].index("cell")
            self._terminal.print(table.note(row.note, column, self._painter))
        self.count += 1

    def _print_heading(self, entry: Entry, table: Table) -> None:
        began = parse_stamp(entry.timestamp)
        day = f"{began.astimezone():%a %d %b %Y}" if began else "no date"
        heading = (day, entry.session)
        if heading == self._heading:
            return
        if self._heading != ("", ""):
            self._terminal.print()
        titles = self._heading == ("", "")
        self._heading = heading
        text = [
            Painted(day, "bold"),
            Painted(f" {self._dot} session {entry.session[:8]}", "dim"),
        ]
        self._terminal.print(self._painter.cell(text, table.width).rstrip())
        if titles:
            self._terminal.print(table.head(self._painter))

    def _columns(self) -> list[Column]:
        columns = [
            Column(title="time", floor=8),
            Column(title="seq", align=">", floor=4),
            Column(title="task"),
            Column(title=""),
            Column(title="elapsed", align=">"),
            Column(title="cell", share=3, floor=14),
            Column(title="changed", share=2, floor=8),
        ]
        return [column for column in columns if self._shows(column.title)]

    def _row(self, entry: Entry) -> _Row:
        sign, plain_sign, sign_style, code_style = _SIGNS[entry.mark]
        indent = "  " * entry.depth
        took = "" if entry.mark is Mark.ABORTED else _elapsed(entry.elapsed_ms)
        cells: dict[str, Cell] = {
            "time": [Painted(_clock(parse_stamp(entry.timestamp)), "dim")],
            "seq": [Painted(str(entry.seq), "dim")],
            "task": [Painted(f"{entry.plan_id}/{entry.task_id}", "dim")],
            "": [Painted(sign if self._is_unicode else plain_sign, sign_style)],
            "elapsed": took,
            "cell": [Painted(indent + entry.text, code_style)],
            "changed": self._changes(entry),
        }
        note = [Painted(indent + entry.note, _NOTE_STYLES.get(entry.mark, "dim"))]
        shown = [cell for title, cell in cells.items() if self._shows(title)]
        return _Row(shown, note if entry.note else "")

    def _shows(self, title: str) -> bool:
        if title == "task":
            return self._shows_task
        # Little is left for the code on a narrow screen.
        return title not in ("seq", "changed") or self._terminal.columns >= _NARROW

    def _changes(self, entry: Entry) -> Cell:
        pieces = [
            *(Painted(f"+{name} ", "green") for name in entry.added),
            *(Painted(f"~{name} ", "yellow") for name in entry.changed),
            *(Painted(f"-{name} ", "red") for name in entry.removed),
        ]
        if entry.imports:
            if pieces:
                pieces.append(Painted(f"{self._dot} ", "dim"))
            pieces.extend(Painted(f"+{name} ", "cyan") for name in entry.imports)
        return pieces


def _elapsed(elapsed_ms: float | None) -> str:
    return "" if elapsed_ms is None else human_ms(elapsed_ms)


def _clock(when: datetime | None) -> str:
    return f"{when.astimezone():%H:%M:%S}" if when else "--:--:--"
