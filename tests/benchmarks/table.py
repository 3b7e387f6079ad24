"""The results as a table: for the screen, and for README (pure).

Called by `run.py` and `peers.py`, with results as they stand in the JSON file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_COLUMNS: Final = ("what", "flow", "p25 to p75", "beside", "its value", "ratio", "target", "")
_VERDICTS: Final = {True: "met", False: "MISSED", None: ""}


def row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one result."""
    unit = result["unit"]
    peer, ratio = result["peer_value"], result["ratio"]
    return (
        str(result["title"]),
        f"{_number(result['value'])} {unit}",
        " to ".join(_number(edge) for edge in result["spread"]),
        result["peer"] or "",
        "" if peer is None else f"{_number(peer)} {unit}",
        "" if ratio is None else f"{ratio:.2f}x" if abs(ratio) >= 0.1 else f"{ratio:.1g}x",
        result["target"] or "",
        _VERDICTS[result["meets"]],
    )


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
    machine, marker = document["machine"], document["table"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"<!-- {marker}: start -->",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
        *(_line(row(result)) for result in document["results"]),
        "",
        f"Medians of alternating turns in one run; p25 to p75 is the spread of our figure. "
        f"{document['date'][:10]}, {machine['cpus']} CPUs, Python {machine['python']}, {packages}.",
        *(f"Not measured: {name} ({why})." for name, why in document["failed"].items()),
        f"<!-- {marker}: end -->",
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
