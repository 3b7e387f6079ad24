"""The page of all results: what was measured, beside what, and which targets are missed (pure).

Called by `kept.py` with the documents that are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import checkpoint_table
import pool_table
import table
import workflow_table
from documents import PROGRAMS, Document, packages, unmeasured

_RUNS: Final = ("taken (UTC)", "by", "machine", "load", "versions")
_TITLES: Final = {
    "peers": "What other recorders add to a cell of stock ipykernel, beside what ours adds",
    "checkpoints": "Checkpoints beside other tools",
    "pools": "Isolated cells beside pools of processes",
    "workflows": "Workflows",
}
_COUNT: Final = {"checkpoints": " and the number of turns", "pools": ""}
_INTRO: Final = """# Results

Written by the benchmarks (`make bench`, `make bench-peers`, `make bench-checkpoints`,
`make bench-pools`, `make bench-workflows`) from `results/*.json`; `make bench ARGS=--page` writes
it again. A run replaces the rows that it was asked for; each row has its day.

Two things are measured turn by turn in one run, who goes first is drawn anew for each turn. A value
is the median of the turns, a ratio the median of the ratios of the turns, and what stands in
brackets or as p25 to p75 is the range from the 25th to the 75th percentile. *Beside itself* is that
range for each turn of the peer over the peer's turn before: what chance alone does to a ratio."""


def render(documents: Mapping[str, Document], *, profiles: str) -> str:
    """The page as Markdown.

    Args:
        documents: By the name of their table.
        profiles: Why targets are out of reach, written by hand; empty for none.
    """
    parts = [_INTRO, _machines(documents), _targets(documents)]
    for name in PROGRAMS:
        if name in documents:
            parts += _sections(documents[name])
    parts.append(_not_measured(documents))
    if profiles:
        parts.append(f"## Out of reach\n\n{profiles.strip()}")
    return "\n\n".join(parts) + "\n"


def _machines(documents: Mapping[str, Document]) -> str:
    rows = []
    for name, program in PROGRAMS.items():
        if name in documents:
            document = documents[name]
            machines = document.get("machines") or {document["date"]: document["machine"]}
            for date, machine in sorted(machines.items()):
                when = f"{date[:10]} {date[11:16]}"
                load = f"{machine['load']:g}"
                rows.append((when, f"`{program}`", _machine(machine), load, packages(machine)))
    return "## Machine\n\n" + table.grid(_RUNS, rows)


def _machine(machine: Mapping[str, Any]) -> str:
    """`2 CPUs (AMD EPYC), 24 GB, Linux 6.1`; what is not known is left out."""
    model = f" ({machine['model']})" if machine.get("model") else ""
    memory = [f"{machine['memory_gb']:g} GB"] if machine.get("memory_gb") else []
    return ", ".join([f"{machine['cpus']} CPUs{model}", *memory, machine["system"]])


def _targets(documents: Mapping[str, Document]) -> str:
    rows = list(_rows(documents))
    has_target = [row for row in rows if row["meets"] is not None]
    missed = [row for row in has_target if not row["meets"]]
    met = len(has_target) - len(missed)
    text = f"## Targets\n\n{met} of {len(has_target)} targets are met."
    if missed:
        lines = [f"- {row['title']}: {_found(row)}, target {row['target']}" for row in missed]
        text += " MISSED:\n\n" + "\n".join(lines)
    return text


def _rows(documents: Mapping[str, Document]) -> Iterator[Mapping[str, Any]]:
    """All rows that can have a target."""
    for name in PROGRAMS:
        if name in documents and name != "pools":
            yield from documents[name]["results"]


def _found(row: Mapping[str, Any]) -> str:
    """What was measured, as the target speaks of it."""
    if "values" in row:
        return checkpoint_table.value_of(row, checkpoint_table.OURS)
    return table.ratio(row) if row["target"].endswith("x") else table.value(row)


def _sections(document: Document) -> list[str]:
    """A heading and its tables for each part of a document."""
    name = document["table"]
    if name == "benchmarks":
        return [
            f"## {title}\n\n{_pairs(rows)}"
            for family, title in document["families"].items()
            if (rows := [row for row in document["results"] if row["family"] == family])
        ]
    heading = f"## {_TITLES[name]}\n\n"
    if name == "peers":
        return [heading + _pairs(document["results"])]
    if name == "workflows":
        pairs = [_pairs(document["results"])] if document["results"] else []
        return [heading + "\n\n".join([*pairs, *workflow_table.grids(document)])]
    taken = f"In brackets p25 to p75{_COUNT[name]}. Taken on {document['date'][:10]}."
    module = {"checkpoints": checkpoint_table, "pools": pool_table}[name]
    return [heading + "\n\n".join([*module.grids(document), taken])]


def _pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    return table.grid(table.LONG_HEAD, [table.long_row(row) for row in rows])


def _not_measured(documents: Mapping[str, Document]) -> str:
    lines = [
        f"- {failed} (`{PROGRAMS[name]}`): {why}"
        for name, document in documents.items()
        for failed, why in document["failed"].items()
    ]
    lines += [
        f"- `{PROGRAMS[name]}` was not run for {', '.join(missing)}."
        for name, document in documents.items()
        if (missing := unmeasured(document))
    ]
    lines += [
        f"- `{program}` was not run." for name, program in PROGRAMS.items() if name not in documents
    ]
    return "## Not measured\n\n" + ("\n".join(lines) or "Nothing: all that there is was measured.")
