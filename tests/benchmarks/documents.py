"""The documents that the programs of benchmarks leave: what they have in common (pure).

Called by `run.py`, `peers.py`, `checkpoints.py`, `pools.py` and `workflows.py` to begin one, by
`kept.py` to add a run to what is kept, and by the tables for what stands below them.

A document of many benchmarks names those that exist (`known`) and those that this run was asked for
(`asked`). A run replaces what it was asked for, also where that failed, and leaves the rest with
the date and the machine that it was taken on. Other documents are replaced as a whole.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Document = dict[str, Any]

FORMAT: Final = 2
PROGRAMS: Final = {
    "benchmarks": "make bench",
    "peers": "make bench-peers",
    "checkpoints": "make bench-checkpoints",
    "pools": "make bench-pools",
    "workflows": "make bench-workflows",
}
"""What writes a document, by the name of its table; in the order of the page."""
_LISTS: Final = ("results", "engines")
_FOLDERS: Final = re.compile(r"(?<![\w.])/(?:[^\s/'\",:;()]+/)+")
_MOST_SAID: Final = 300


class OldDocumentError(ValueError):
    """A document is of a format that is not read any more."""


def begin(table: str, machine: Mapping[str, Any], *, quick: bool) -> Document:
    """The head of a document whose figures are taken from now on."""
    return {
        "format": FORMAT,
        "table": table,
        "machine": dict(machine),
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "quick": quick,
    }


def checked(document: Any, name: str) -> Document:
    """The document, if it can be read.

    Raises:
        OldDocumentError: It is of another format; the message says what to do.
    """
    found = document.get("format", 1) if isinstance(document, dict) else None
    if found == FORMAT:
        return dict(document)
    table = document.get("table") if isinstance(document, dict) else None
    again = f" and run `{PROGRAMS[table]}` again" if table in PROGRAMS else ""
    raise OldDocumentError(
        f"{name} is of format {found}, this program reads format {FORMAT}: remove it{again}"
    )


def merged(old: Document | None, new: Document) -> Document:
    """What is kept after a run: `new`, and from `old` what it was not asked for."""
    new = {**new, "failed": {name: _short(why) for name, why in new["failed"].items()}}
    if "asked" not in new:
        return new
    if old is None:
        old = {"date": new["date"], "machines": {}, "failed": {}}
    left = set(new["known"]) - set(new["asked"])
    found = {**new, "failed": {**_only(old["failed"], left), **new["failed"]}}
    for name in _LISTS:
        if name in new:
            fresh = [{**entry, "date": new["date"]} for entry in new[name]]
            stale = [entry for entry in old.get(name, ()) if entry["benchmark"] in left]
            found[name] = sorted(
                [*stale, *fresh], key=lambda entry: new["known"].index(entry["benchmark"])
            )
    dates = {entry["date"] for name in _LISTS for entry in found.get(name, ())}
    machines = {**old["machines"], new["date"]: new["machine"]}
    found["machines"] = _only(machines, dates | {new["date"]})
    del found["asked"]
    return found


def unmeasured(document: Mapping[str, Any]) -> list[str]:
    """The benchmarks that exist, and of which neither a figure nor a failure is kept."""
    found = {entry["benchmark"] for name in _LISTS for entry in document.get(name, ())
             if "benchmark" in entry}  # fmt: skip
    return [name for name in document.get("known", ()) if name not in found | {*document["failed"]}]


def days(document: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> str:
    """The day on which they were taken, or the first and the last."""
    found = sorted({entry.get("date", document["date"])[:10] for entry in entries})
    return " to ".join(dict.fromkeys(found[:1] + found[-1:])) or document["date"][:10]


def packages(machine: Mapping[str, Any]) -> str:
    """`Python 3.11.7, ipykernel 7.4.0, …`."""
    versions: Sequence[tuple[str, str]] = [("Python", machine["python"])]
    return ", ".join(
        f"{name} {version}" for name, version in [*versions, *machine["versions"].items()]
    )


def _only(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    wanted = set(names)
    return {name: value for name, value in values.items() if name in wanted}


def _short(why: str) -> str:
    """A reason without the folders of this machine, in one line."""
    line = " ".join(_FOLDERS.sub("", why).split())
    return line if len(line) <= _MOST_SAID else line[:_MOST_SAID].rstrip() + " …"
