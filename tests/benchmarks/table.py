"""The results as a table: for the screen, for README and for the page of all results (pure).

Called by `run.py`, `peers.py`, `readme_tables.py` and `results_page.py`, with results as they stand
in the JSON file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from documents import days, packages

LONG_HEAD: Final = (
    "what",
    "flow",
    "p25 to p75",
    "turns",
    "beside",
    "its value",
    "beside itself",
    "ratio",
    "target",
    "",
    "taken",
)
"""Of the page of all results."""
_COLUMNS: Final = ("what", "flow", "p25 to p75", "beside", "its value", "ratio", "target", "")
_VERDICTS: Final = {True: "met", False: "MISSED", None: ""}


def row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one result."""
    return (
        str(result["title"]),
        f"{_number(result['value'])} {result['unit']}",
        " to ".join(_number(edge) for edge in result["spread"]),
        result["peer"] or "",
        _peer_value(result),
        _times(result["ratio"]),
        result["target"] or "",
        _VERDICTS[result["meets"]],
    )


def long_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one result on the page, under `LONG_HEAD`."""
    note = f" ({result['note']})" if result["note"] else ""
    itself = result["peer_beside_itself"]
    return (
        f"{result['title']}{note}",
        f"{_number(result['value'])} {result['unit']}",
        " to ".join(_number(edge) for edge in result["spread"]),
        f"{result['samples']:,}",
        result["peer"] or "",
        _peer_value(result),
        "" if itself is None else " to ".join(_times(edge) for edge in itself),
        ratio(result),
        result["target"] or "",
        _VERDICTS[result["meets"]],
        result["date"][:10],
    )


def value(result: Mapping[str, Any]) -> str:
    """`12.3 ms (11.9 to 14)`."""
    low, high = map(_number, result["spread"])
    return f"{_number(result['value'])} {result['unit']} ({low} to {high})"


def ratio(result: Mapping[str, Any]) -> str:
    """`0.52x (0.50 to 0.55)`; empty for what stands alone."""
    edges = result["ratio_spread"]
    spread = "" if edges is None else f" ({_times(edges[0])} to {_times(edges[1])})"
    return f"{_times(result['ratio'])}{spread}"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, rows)])


def plain(results: Sequence[Mapping[str, Any]]) -> str:
    """An aligned table for the screen."""
    table = [("name", *_COLUMNS), *((str(result["name"]), *row(result)) for result in results)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in table
    )


def markdown(document: Mapping[str, Any]) -> str:
    """The table for README between its markers, with the machine and the day below it."""
    machine, marker, results = document["machine"], document["table"], document["results"]
    lines = [
        f"<!-- {marker}: start -->",
        grid(_COLUMNS, [row(result) for result in results]),
        "",
        f"Medians of alternating turns in one run; p25 to p75 is the spread of our figure. "
        f"{days(document, results)}, {machine['cpus']} CPUs, {packages(machine)}.",
        *(f"Not measured: {name} ({why})." for name, why in document["failed"].items()),
        f"<!-- {marker}: end -->",
    ]
    return "\n".join(lines)


def _peer_value(result: Mapping[str, Any]) -> str:
    found = result["peer_value"]
    return "" if found is None else f"{_number(found)} {result['unit']}"


def _times(ratio: float | None) -> str:
    """`1.05x`, and `0.004x` for little."""
    if ratio is None:
        return ""
    return f"{ratio:.2f}x" if abs(ratio) >= 0.1 else f"{ratio:.1g}x"


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
