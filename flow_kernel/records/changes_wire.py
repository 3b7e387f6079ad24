"""What a cell did, as JSON from the process that ran it to the one that records it.

Called by a worker at the end of a cell (`to_wire`), and by the session that reads its answer.

Nothing that comes from a worker is believed: the user's code runs there and can write anything.
What is ill-formed is left out, and the rest is kept.
"""

from collections.abc import Callable
from typing import Final

from flow_kernel.records.cell_changes import Changes, clean_names, imports_of
from flow_kernel.records.codec import clean, clean_text
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_COUNT: Final = 2**63
_MAX_TEXT: Final = 400
"""No text of a summary is half as long; characters."""


def to_wire(changes: Changes) -> dict[str, object]:
    """`changes` as JSON can carry it, with the versions of what was imported in this process."""
    return {
        "added_vars": changes.added,
        "changed_vars": changes.changed,
        "removed_vars": changes.removed,
        "mutated_vars": changes.mutated,
        "added_imports": changes.imports,
        "loads": changes.loads,
        "stores": changes.stores,
        "vars": clean(changes.summaries),
        "vars_left_out": changes.summaries_left_out,
        "imports": clean(imports_of(changes)),
    }


def from_wire(data: object) -> Changes | None:
    """The changes in the answer of another process; never raises.

    Args:
        data: What `to_wire` made there, after JSON; or anything else.

    Returns:
        What of it is well-formed, the names sorted and unique; None when it is no dict.
    """
    if type(data) is not dict:
        return None
    return Changes(
        added=_names(data.get("added_vars")),
        changed=_names(data.get("changed_vars")),
        removed=_names(data.get("removed_vars")),
        mutated=_names(data.get("mutated_vars")),
        imports=_names(data.get("added_imports")),
        loads=_names(data.get("loads")),
        stores=_names(data.get("stores")),
        summaries=_summaries(data.get("vars")),
        summaries_left_out=_count(data.get("vars_left_out")),
    )


def versions_from_wire(data: object) -> dict[str, str | None]:
    """The versions beside the changes, by top-level package; never raises."""
    found = data.get("imports") if type(data) is dict else None
    if type(found) is not dict:
        return {}
    return {
        clean_text(name): clean_text(version) if type(version) is str else None
        for name, version in found.items()
        if type(name) is str and (version is None or _is_text(version))
    }


def _count(found: object) -> int:
    return found if type(found) is int and 0 <= found < _MAX_COUNT else 0


def _names(found: object) -> list[str]:
    if type(found) is not list:
        return []
    return sorted(set(clean_names([name for name in found if type(name) is str])))


def _summaries(found: object) -> dict[str, dict[str, object]]:
    if type(found) is not dict:
        return {}
    read = {
        clean_text(name): _summary(summary)
        for name, summary in found.items()
        if type(name) is str and type(summary) is dict
    }
    return {name: summary for name, summary in read.items() if "type" in summary}


def _summary(found: dict[object, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for name, value in found.items():
        is_right = _FACTS.get(name) if type(name) is str else None
        if is_right is not None and is_right(value):
            kept[name] = clean(value)  # type: ignore[index]  # a str
    return kept


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= _MAX_TEXT


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_COUNT


def _is_shape(value: object) -> bool:
    return type(value) is list and len(value) <= _MAX_TEXT and all(map(_is_count, value))


_FACTS: Final[dict[str, Callable[[object], bool]]] = {
    "type": _is_text,
    "summary": _is_text,
    "dtype": _is_text,
    "shape": _is_shape,
    "len": _is_count,
    "nbytes": _is_count,
}
