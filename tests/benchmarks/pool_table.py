"""The figures of pools as two tables: what they take, and what they say of a death (pure).

Called by `pools.py`, `readme_tables.py` and `results_page.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from documents import packages
from table import grid

FIGURES: Final = {
    "start": "start to first result",
    "round_trip": "round trip",
    "array_in": "100 MB in",
    "array_out": "100 MB back",
}
"""What is only a time, by its name in the results."""
_COLUMNS: Final = ("pool", *FIGURES.values(), "after a SIGSEGV", "`while True: pass`")
_SAID: Final = ("pool", "after", "what it says of the SIGSEGV")
_MOST_SAID: Final = 420


def plain(document: Mapping[str, Any]) -> str:
    """Aligned tables for the screen."""
    return "\n\n".join(_aligned(table) for table in _tables(document["results"]))


def markdown(document: Mapping[str, Any]) -> str:
    """The tables for README between their markers, with the machine and the day below them."""
    machine, marker = document["machine"], document["table"]
    lines = [
        f"<!-- {marker}: start -->",
        *(f"{each}\n" for each in grids(document)),
        "Medians of alternating turns in one run, p25 to p75 in brackets; one worker each, "
        "libraries imported before. After a SIGSEGV: from the next call, or from what has to be "
        "made anew, to its result; of a loop: from the moment when it should stop. "
        f"{document['date'][:10]}, {machine['cpus']} CPUs with a load of {machine['load']:g}, "
        f"{packages(machine)}.",
        *(f"Not measured: {name} ({why})." for name, why in document["failed"].items()),
        f"<!-- {marker}: end -->",
    ]
    return "\n".join(lines)


def grids(document: Mapping[str, Any]) -> list[str]:
    """The tables of Markdown."""
    return [grid(head, rows) for head, *rows in _tables(document["results"])]


def _tables(results: Sequence[Mapping[str, Any]]) -> list[list[Sequence[str]]]:
    figures: list[Sequence[str]] = [_COLUMNS, *map(_row, results)]
    said = [(each["title"], _time(each.get("crash")), _said(each["says"])) for each in results]
    return [figures, [_SAID, *said]]


def _row(result: Mapping[str, Any]) -> tuple[str, ...]:
    crashed, stopped = result.get("after_crash", ()), result.get("run_away", ())
    afterwards = {each["renewal"] for each in result.get("after_run_away", ())} - {None}
    return (
        result["title"],
        *(_time(result.get(name)) for name in FIGURES),
        _ways(crashed, [_usable(each) for each in crashed]),
        _ways(stopped, [_stopped(each, afterwards) for each in stopped]),
    )


def _time(value: Mapping[str, Any] | None) -> str:
    """`12.3 ms (11.9 to 14)`; empty for what was not measured."""
    if value is None or value["value"] is None:
        return ""
    low, high = value["spread"]
    spread = f" ({_number(low)} to {_number(high)})" if value["samples"] > 1 else ""
    return f"{_number(value['value'])} ms{spread}"


def _ways(ways: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> str:
    """The ways that it went, with how often it did where there are several."""
    if len(ways) < 2:
        return "".join(texts)
    total = sum(way["samples"] for way in ways)
    counts = [f"{way['samples']} of {total}" for way in ways]
    return "; ".join(f"{count}: {text}" for count, text in zip(counts, texts, strict=True))


def _usable(way: Mapping[str, Any]) -> str:
    """Whether the pool can be used, or by what, and when the next result is there."""
    if way["value"] is None:
        return f"no: {way['why']}"
    how = "goes on" if way["renewal"] is None else f"{way['why']} until {way['renewal']}"
    return f"{how}: {_time(way)}"


def _stopped(way: Mapping[str, Any], afterwards: Iterable[str]) -> str:
    """What stops it and what does not."""
    tried = " and ".join(f"`{each}`" for each in way["tried"])
    left = f"{tried} {'leaves' if len(way['tried']) == 1 else 'leave'} it running"
    if way["value"] is None:
        return f"no: {left}"
    then = "".join(f", then {each}" for each in sorted(afterwards))
    return f"`{way['how']}`: {_time(way)}{then}" + (f"; {left}" if tried else "")


def _said(text: str | None) -> str:
    if not text:
        return ""
    short = text if len(text) <= _MOST_SAID else text[:_MOST_SAID].rstrip() + " …"
    return f"`{short.replace('`', chr(39))}`"


def _number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
