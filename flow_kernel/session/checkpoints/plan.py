"""Which variables have to be saved again, and what they were found to be (pure).

Called by `service`.

What no cell could have reached since the last capture is as it was then, and so are the bytes that
it was saved as.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flow_kernel.session.checkpoints.checkpoint import Checkpoint, Part, StoredGroup
from flow_kernel.session.checkpoints.reach_facts import SaveFacts
from flow_kernel.session.checkpoints.reach_walk import Status

CULPRIT: Final = "saving it "
"""Begins the reason of a variable whose saving hung, or ended its process."""

Scope = frozenset[str] | None
"""Names that may have changed; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the variables of a session were at its last capture.

    Attributes:
        groups: As the manifest lists them.
        summaries: Type and summary by name.
        not_saved: Name, type and reason of what could not be saved.
        idents: `id` of each value, saved or not. No value is held.
        statuses: What is known of the values; see `reach_walk.Status`.
        loose: Names of values that change when something is looked at; see `reach_facts`.
        doubt: Why no cell can be judged by that; None when they can.
    """

    groups: Sequence[Mapping[str, Any]]
    summaries: Mapping[str, Mapping[str, Any]]
    not_saved: Sequence[Sequence[str]]
    idents: Mapping[str, int]
    statuses: Mapping[str, str]
    loose: frozenset[str]
    doubt: str | None


class Plan(NamedTuple):
    """What a capture saves again, and what it takes over.

    Attributes:
        again: Names.
        groups: Those of the base that still hold.
        not_saved: Likewise.
    """

    again: frozenset[str]
    groups: Sequence[Mapping[str, Any]]
    not_saved: Sequence[Sequence[str]]


def planned(base: Base | None, idents: Mapping[str, int], scope: Scope) -> Plan:
    """What to save again.

    Args:
        base: The last capture; None when there is none.
        idents: `id` of each variable now.
        scope: What may have changed in place.
    """
    if base is None:
        return Plan(frozenset(idents), (), ())
    before = base.idents
    if scope is None:
        # What hung or killed its writer would do so again, and every checkpoint would wait for it.
        hopeless = [
            left
            for left in base.not_saved
            if left[2].startswith(CULPRIT) and idents.get(left[0]) == before.get(left[0], 0)
        ]
        return Plan(frozenset(idents) - {left[0] for left in hopeless}, (), hopeless)
    again = {name for name, ident in idents.items() if before.get(name) != ident}
    again |= scope & idents.keys()
    gone = before.keys() - idents.keys()
    groups = []
    for group in base.groups:
        names = group["names"]
        if again.isdisjoint(names) and gone.isdisjoint(names):
            groups.append(group)
        else:  # what is left of them may share memory still, with what is new as well
            again.update(name for name in names if name in idents)
    # A group that was taken over before a later one drew in names of its own is none of theirs:
    # no name is in two groups.
    return Plan(
        frozenset(again),
        groups,
        [left for left in base.not_saved if left[0] not in again and left[0] in idents],
    )


def merged(
    base: Base | None, plan: Plan, found: Mapping[str, Any], idents: Mapping[str, int]
) -> Base:
    """What the variables are now.

    Args:
        base: The capture before.
        plan: What was saved again.
        found: What came out of it; a document of `capture`.
        idents: `id` of each variable at the moment of the capture.
    """
    taken_over = [name for group in plan.groups for name in group["names"]]
    summaries, statuses, loose = {}, {}, frozenset[str]()
    doubt = None
    if base is not None:
        summaries = {name: base.summaries[name] for name in taken_over if name in base.summaries}
        statuses = {name: base.statuses[name] for name in taken_over if name in base.statuses}
        loose = base.loose.intersection(taken_over)
        doubt = base.doubt
    return Base(
        groups=sorted([*plan.groups, *found["groups"]], key=_names),
        summaries=dict(sorted({**summaries, **found["summaries"]}.items())),
        not_saved=sorted([*plan.not_saved, *found["not_saved"]]),
        idents=dict(idents),
        statuses={**statuses, **found["statuses"]},
        loose=loose.union(found["loose"]),
        doubt=found.get("doubt", doubt),
    )


def base_of(target: Checkpoint, idents: Mapping[str, int], now: Base) -> Base:
    """What the variables are after a way back.

    Args:
        target: Where it went.
        idents: `id` of each variable that is there after it.
        now: What they were before it.
    """
    same = same_names(now, target)
    groups = [_group(group) for group in target.groups if idents.keys() >= {*group.names}]
    kept = [left for left in target.not_saved if idents.get(left.name) == left.ident]
    known = {name for group in groups for name in group["names"]} | {left.name for left in kept}
    return Base(
        groups=groups,
        summaries=target.variables,
        not_saved=[[left.name, left.type, left.reason] for left in kept],
        # Without those that stand for what could not be kept: they are new.
        idents={name: ident for name, ident in idents.items() if name in known},
        # Loaded from the same bytes, a value is what it was; of old manifests nothing is known.
        statuses={
            **target.statuses,
            **{name: status for name, status in now.statuses.items() if name in same},
        },
        loose=target.loose.difference(same) | now.loose.intersection(same),
        doubt=now.doubt,
    )


def facts_for_cells(base: Base) -> SaveFacts:
    """What a capture says of the variables, for the cells that come after it."""
    return SaveFacts(
        statuses={name: Status(value) for name, value in base.statuses.items()},
        groups=[tuple(group["names"]) for group in base.groups],
        loose=base.loose,
        doubt=base.doubt,
    )


def same_names(base: Base, target: Checkpoint) -> frozenset[str]:
    """Names whose values are what they were at a checkpoint."""
    old, new = _by_name(base.groups), _by_name([_group(group) for group in target.groups])
    return frozenset(name for name in old.keys() & new.keys() if old[name] == new[name])


def noticed_late(base: Base | None, scope: Scope, now: Base) -> list[str]:
    """Names that changed in place although no cell since `base` was thought to reach them.

    A capture of everything finds what threads, callbacks and foreign code have changed; such a name
    says that the scope was judged too small.
    """
    if base is None or scope is None:
        return []
    old, new = _by_name(base.groups), _by_name(now.groups)
    return sorted(
        name
        for name in old.keys() & new.keys() - scope
        if base.idents.get(name) == now.idents.get(name)
        and old[name]["names"] == new[name]["names"]
        and scope.isdisjoint(old[name]["names"])
        and old[name] != new[name]
    )


def is_same(base: Base | None, now: Base) -> bool:
    """True when nothing that can be saved differs."""
    return base is not None and base.groups == now.groups and base.not_saved == now.not_saved


def _names(group: Mapping[str, Any]) -> list[str]:
    names: list[str] = group["names"]
    return names


def _by_name(groups: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name: group for group in groups for name in group["names"]}


def _group(group: StoredGroup) -> dict[str, Any]:
    return {
        "names": list(group.names),
        "stream": _part(group.stream),
        "buffers": [_part(part) for part in group.buffers],
        "filled_in": list(group.filled_in),
    }


def _part(part: Part) -> dict[str, Any]:
    if part.chunk_list is not None:
        return {"nbytes": part.nbytes, "list": part.chunk_list}
    return {"nbytes": part.nbytes, "chunks": list(part.chunks)}
