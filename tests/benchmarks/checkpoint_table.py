"""The figures of checkpoint tools as a table: a row a figure, a column a tool (pure).

Called by `checkpoints.py`, `readme_tables.py` and `results_page.py`.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from documents import packages
from harness import spread
from table import grid

OURS: Final = "flow"
_MIDDLE: Final = "_240"
_OTHER_SIZES: Final = frozenset(["60", "1000"])
_VERDICTS: Final = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of several tools.

    Attributes:
        name: For programs.
        title: For people.
        unit: Of the values.
        samples: By the name of the tool; several are shown as their median.
        at_most: What our value may be; None without a target.
        of: The tool whose value `at_most` is multiplied with; None for a plain value.
        note: What has to be known to read it.
    """

    name: str
    title: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    at_most: float | None = None
    of: str | None = None
    note: str = ""
    ours: str = field(default=OURS)

    def as_json(self) -> dict[str, Any]:
        """With medians, spreads and the verdict."""
        values = {
            name: {
                "value": _short(statistics.median(taken)),
                "spread": [_short(edge) for edge in spread(taken)],
                "samples": len(taken),
            }
            for name, taken in self.samples.items()
            if taken
        }
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "values": values,
            "target": self._target(),
            "meets": self._meets(values),
            "note": self.note,
        }

    def _target(self) -> str | None:
        if self.at_most is None:
            return None
        if self.of is None:
            return f"≤ {self.at_most:g} {self.unit}"
        return f"≤ {self.at_most:g}x {self.of}"

    def _meets(self, values: Mapping[str, Mapping[str, Any]]) -> bool | None:
        ours = values.get(self.ours)
        if self.at_most is None or ours is None:
            return None
        limit = self.at_most
        if self.of is not None:
            if self.of not in values:
                return None
            limit *= values[self.of]["value"]
        return bool(ours["value"] <= limit)


def plain(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """An aligned table for the screen."""
    lines = [_head(titles, first="name"), *(_cells(row, titles, first="name") for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(document: Mapping[str, Any]) -> str:
    """The table for README between its markers, with the machine and the day below it."""
    machine, marker = document["machine"], document["table"]
    rows = _of_one_size(document["results"])
    lines = [
        f"<!-- {marker}: start -->",
        grid(
            _head(document["tools"], first="title"),
            [_cells(row, document["tools"], first="title") for row in rows],
        ),
        "",
        "Medians of alternating turns in one run, in brackets how many where there are fewer than "
        f"five. {document['date'][:10]}, {machine['cpus']} CPUs, {packages(machine)}.",
        *(f"Not measured: {name} ({why})." for name, why in document["failed"].items()),
        f"<!-- {marker}: end -->",
    ]
    return "\n".join(lines)


def grids(document: Mapping[str, Any]) -> list[str]:
    """One table of Markdown with all sizes and the spread of each value."""
    titles = document["tools"]
    rows = [
        [
            row["title"],
            *(_with_spread(row["values"].get(name), row["unit"]) for name in titles),
            *_verdict(row),
        ]
        for row in document["results"]
    ]
    return [grid(_head(titles, first="title"), rows)]


def value_of(row: Mapping[str, Any], tool: str) -> str:
    """`12.3 ms`; empty for a tool that was not measured."""
    return _value(row["values"].get(tool), row["unit"])


def _of_one_size(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the other sizes, where the middle one was measured: README shows that alone."""
    sizes = {row["name"].rpartition("_")[2] for row in rows} & _OTHER_SIZES
    has_middle = any(row["name"].endswith(_MIDDLE) for row in rows)
    left_out = sizes if has_middle else set()
    return [row for row in rows if row["name"].rpartition("_")[2] not in left_out]


def _head(titles: Mapping[str, str], *, first: str) -> list[str]:
    return ["what" if first == "title" else "name", *titles.values(), "target", ""]


def _cells(row: Mapping[str, Any], titles: Mapping[str, str], *, first: str) -> list[str]:
    return [
        str(row[first]),
        *(_value(row["values"].get(name), row["unit"]) for name in titles),
        *_verdict(row),
    ]


def _verdict(row: Mapping[str, Any]) -> list[str]:
    return [row["target"] or "", _VERDICTS[row["meets"]]]


def _value(value: Mapping[str, Any] | None, unit: str) -> str:
    if value is None:
        return ""
    few = f" ({value['samples']})" if value["samples"] < 5 else ""
    return f"{_number(value['value'])} {unit}{few}"


def _with_spread(value: Mapping[str, Any] | None, unit: str) -> str:
    """`12.3 ms (11.9 to 14, 3)`: p25 to p75, and how many."""
    if value is None:
        return ""
    low, high = map(_number, value["spread"])
    return f"{_number(value['value'])} {unit} ({low} to {high}, {value['samples']})"


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(number: float) -> float:
    return float(f"{number:.5g}")
