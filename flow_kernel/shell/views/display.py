"""Answers of the magics: text in a terminal, HTML in a notebook, a Python value in code.

Called by `shell.magics.flow_magics`. Everything from a record is escaped: it is what a user's code
made.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final, overload

from flow_kernel.records.bytecode import words
from flow_kernel.records.plain import human_ms, one_line, strip_controls
from flow_kernel.session.history import Touch

_MARKS: Final = {"ok": "✓", "error": "✗", "interrupted": "■", "aborted": "-"}
_STYLE: Final = (
    # The class is named twice to win over the style sheet that JupyterLab has for tables.
    "<style>table.flow-t.flow-t{border-collapse:collapse;font-size:12px;margin:0}"
    "table.flow-t.flow-t th,table.flow-t.flow-t td{padding:2px 12px 2px 4px;text-align:left;"
    "border:0;vertical-align:top;white-space:nowrap}"
    "table.flow-t.flow-t th{font-weight:600;opacity:.7}"
    "table.flow-t.flow-t td.n{text-align:right}"
    ".flow-t.flow-t td code{background:none;padding:0;font-size:12px;white-space:pre}"
    ".flow-t .ok{color:#2a8a5c}.flow-t .error{color:#c4472f}.flow-t .interrupted{color:#b7791f}"
    "</style>"
)


def changes_of(cell: Mapping[str, object], *, limit: int = 8) -> str:
    """`+df ~x -tmp · imports numpy`: added, changed in any way, removed, brought in."""
    parts = []
    for sign, fields in (("+", ("added",)), ("~", ("changed", "mutated")), ("-", ("removed",))):
        for field in fields:
            names = cell.get(f"{field}_vars")
            if isinstance(names, list):
                parts += [f"{sign}{strip_controls(str(name))}" for name in names]
    if len(parts) > limit:
        parts = [*parts[: limit - 1], f"… {len(parts) - limit + 1} more"]
    told = [" ".join(parts)] if parts else []
    imports = cell.get("imports")
    if isinstance(imports, dict):
        named = words(str(cell.get("code", "")))  # IPython imports for itself as well
        shown = [strip_controls(name) for name in imports if name in named]
        if shown:
            told.append(f"imports {', '.join(shown)}")
    return " · ".join(told)


class Table:
    """Rows of text under a header, as text and as HTML."""

    def __init__(self, header: Sequence[str], rows: list[list[str]], *, empty: str) -> None:
        self._header = header
        self._rows = rows
        self._empty = empty

    def __repr__(self) -> str:
        if not self._rows:
            return self._empty
        lines = [list(self._header), *self._rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self._header))]
        text = []
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            text.append("  ".join(cells).rstrip())
        return "\n".join(text)

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<em>{escape(self._empty)}</em>"
        head = "".join(f"<th>{escape(name)}</th>" for name in self._header)
        body = "".join(
            "<tr>" + "".join(_html_cell(name, cell) for name, cell in self._pair(row)) + "</tr>"
            for row in self._rows
        )
        return f'{_STYLE}<table class="flow-t"><tr>{head}</tr>{body}</table>'

    def _pair(self, row: list[str]) -> Iterator[tuple[str, str]]:
        return zip(self._header, row, strict=True)


class CellTable(Table, Sequence[dict[str, object]]):
    """Cells of a session; a sequence of their records."""

    def __init__(self, cells: list[dict[str, object]]) -> None:
        self._cells = cells
        rows = [_cell_row(cell) for cell in cells]
        super().__init__(("In", "", "time", "cell", "changes"), rows, empty="no cells recorded yet")

    @overload
    def __getitem__(self, index: int) -> dict[str, object]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, object]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, object] | list[dict[str, object]]:
        return self._cells[index]

    def __len__(self) -> int:
        return len(self._cells)


class TouchTable(Table, Sequence[Touch]):
    """The cells that touched one name, newest first."""

    def __init__(self, name: str, touches: list[Touch]) -> None:
        self._touches = touches
        rows = [
            [
                "" if touch.execution_count is None else str(touch.execution_count),
                _local_time(touch.timestamp),
                touch.how,
                one_line(touch.code, 60),
                one_line(touch.summary, 60),
            ]
            for touch in touches
        ]
        header = ("In", "when", "how", "cell", strip_controls(name))
        super().__init__(header, rows, empty=f"no recorded cell touched {strip_controls(name)}")

    @overload
    def __getitem__(self, index: int) -> Touch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Touch]: ...
    def __getitem__(self, index: int | slice) -> Touch | list[Touch]:
        return self._touches[index]

    def __len__(self) -> int:
        return len(self._touches)


class Facts(Table, Mapping[str, object]):
    """Names with values, one a line."""

    def __init__(self, title: str, facts: dict[str, object]) -> None:
        self._facts = facts
        rows = [[name, strip_controls(str(value))] for name, value in facts.items()]
        super().__init__((title, ""), rows, empty="")

    def __getitem__(self, name: str) -> object:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


def _cell_row(cell: dict[str, object]) -> list[str]:
    count, elapsed = cell.get("execution_count"), cell.get("elapsed_ms")
    changes = changes_of(cell)
    error = cell.get("error")
    if isinstance(error, dict):
        text = one_line(f"{error.get('ename')}: {error.get('evalue')}", 70)
        changes = f"{text}  {changes}".rstrip()
    return [
        "" if count is None else str(count),
        _MARKS.get(str(cell.get("status")), "?"),
        human_ms(elapsed) if isinstance(elapsed, int | float) else "",
        one_line(str(cell.get("code", "")), 60),
        changes,
    ]


def _html_cell(column: str, text: str) -> str:
    if column == "":
        name = next((status for status, mark in _MARKS.items() if mark == text), "")
        return f'<td class="{name}">{escape(text)}</td>'
    if column in ("In", "time"):
        return f'<td class="n">{escape(text)}</td>'
    if column == "cell":
        return f"<td><code>{escape(text)}</code></td>"
    return f"<td>{escape(text)}</td>"


def _local_time(timestamp: str) -> str:
    from datetime import datetime  # only when a table is shown

    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""
