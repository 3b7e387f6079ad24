"""The figures of workflows as tables: ours beside their targets, and the engines (pure).

Called by `workflows.py`, for the screen and for README, and by `results_page.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import table

_COSTS: Final = (
    "engine",
    "finished steps survive",
    "ms per step",
    "flow, fork",
    "flow, inline",
    "flow, inline, `--durable`",
    "1 MB × 100 steps on disk",
)
_HABITS: Final = (
    "engine",
    "a step has a process of its own",
    "after kill -9: finished steps run again",
    "taken up by",
    "processes left",
    "waits for a person",
)
_OURS: Final = ("flow", "flow-inline", "flow-durable")


def plain(document: Mapping[str, Any]) -> str:
    """The tables, aligned for the screen."""
    parts = [table.plain(document["results"])] if document["results"] else []
    return "\n\n".join([*parts, *map(_aligned, _engines(document["engines"]))])


def markdown(document: Mapping[str, Any]) -> str:
    """The tables for README between their markers, with what they were taken on."""
    head, *_ = table.markdown({**document, "failed": {}}).rpartition("\n<!--")
    lines = [
        f"{head}\n",
        *(f"{each}\n" for each in grids(document)),
        "Steps add one to a number; a chain of 100 of them where nothing else is said, the start "
        "and the end of the run included. The figures of ours in a row were taken turn by turn "
        "with the engine of that row. Compare what survives the same: a kill (it is with the "
        "system) or a power loss (it is on the disk), which is mostly the price of a fsync. "
        f"The load of the machine was {document['machine']['load']:g} before and "
        f"{document['load_after']:g} after.",
        *(f"Not measured: {name} ({why})." for name, why in document["failed"].items()),
        f"<!-- {document['table']}: end -->",
    ]
    return "\n".join(lines)


def grids(document: Mapping[str, Any]) -> list[str]:
    """The tables of engines as Markdown."""
    return [table.grid(head, rows) for head, *rows in _engines(document["engines"])]


def _engines(entries: Sequence[Mapping[str, Any]]) -> list[list[Sequence[str]]]:
    if not entries:
        return []
    return [[_COSTS, *map(_cost, entries)], [_HABITS, *map(_habit, entries)]]


def _cost(entry: Mapping[str, Any]) -> tuple[str, ...]:
    chain = "" if entry["length"] == 100 else f" (chain of {entry['length']})"
    return (
        f"{entry['title']} {entry['version']}".strip() + chain,
        entry["survives"],
        _time(entry),
        *(_time(entry["ours"].get(name)) for name in _OURS),
        _storage(entry),
    )


def _habit(entry: Mapping[str, Any]) -> tuple[str, ...]:
    killed = entry["killed"]
    if killed is None:
        found = ("", f"not measured: {entry['killed_why']}", entry["resumed_by"], "")
    else:
        again = f"{killed['again']} of {killed['finished']}"
        found = (killed["isolation"], again, entry["resumed_by"], str(killed["left"]))
    return (entry["title"], *found, entry["approval"])


def _time(value: Mapping[str, Any] | None) -> str:
    """`0.92 (0.9 to 1.1)`."""
    if value is None:
        return ""
    low, high = value["spread"]
    return f"{_number(value['value'])} ({_number(low)} to {_number(high)})"


def _storage(entry: Mapping[str, Any]) -> str:
    if entry["storage_bytes"] is None:
        return ""
    steps = entry["storage_length"]
    return f"{_number(entry['storage_bytes'] / 1e6)} MB" + ("" if steps == 100 else f" ({steps})")


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
