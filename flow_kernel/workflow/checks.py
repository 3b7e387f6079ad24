"""Whether the steps of a workflow fit together: circles, variables that nobody sets (pure).

Called by `spec` before a definition is accepted, and by the runner (`missing_variables`) once it is
known which variables a run is given.

What runs before what is a matter of the whole graph, so it is looked at only where a step takes
something from further back than the steps that it waits for, or where two steps set one variable.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from flow_kernel.workers.limits import shown
from flow_kernel.workflow import conditions
from flow_kernel.workflow.check_graph import MOST_CIRCLES, Graph
from flow_kernel.workflow.model import OnError, Step, Workflow
from flow_kernel.workflow.spec_fields import Problems, at

_MOST_OF_A_CIRCLE: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """A name that a step takes, which further steps set or have as their id."""

    place: str
    name: str
    sources: Set[int]
    is_step: bool


def index_of(steps: Sequence[Step]) -> dict[str, int]:
    """Where each step stands; the first one of an id that is there twice."""
    found: dict[str, int] = {}
    for position, step in enumerate(steps):
        found.setdefault(step.id, position)
    return found


def failures_of(steps: Sequence[Step], index: Mapping[str, int]) -> dict[int, list[int]]:
    """For each handler, by position, the steps whose errors go to it."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for position, step in enumerate(steps):
        if step.on_error is OnError.GOTO and step.handler in index:
            target = index[step.handler]
            if target != position:
                found[target].append(position)
    return found


def graph_of(steps: Sequence[Step]) -> Graph:
    """What each step waits for; a handler for the failures that go to it as well."""
    index = index_of(steps)
    return Graph.of([step.needs for step in steps], index, failures_of(steps, index))


def check_circles(steps: Sequence[Step], graph: Graph, problems: Problems) -> None:
    """Note each circle once, as a path in which each step waits for the next."""
    for circle in graph.circles:
        ids = [steps[position].id for position in circle]
        if len(ids) > _MOST_OF_A_CIRCLE:
            cut = len(ids) - _MOST_OF_A_CIRCLE
            ids[_MOST_OF_A_CIRCLE // 2 : -_MOST_OF_A_CIRCLE // 2] = [f"… {cut} more …"]
        path = " -> ".join((*ids, ids[0]))
        problems.add(f"steps[{circle[0]}]", f"runs in a circle, each waits for the next: {path}")
    if len(graph.circles) >= MOST_CIRCLES:
        problems.add("steps", f"there may be more circles; the first {MOST_CIRCLES} are listed")


def check_hidden(steps: Sequence[Step], variables: Collection[str], problems: Problems) -> None:
    """Note variables that nobody could read: the output of a step has their name."""
    ids = index_of(steps)
    for name in variables:
        if name in ids:
            problems.add(at("variables", name), _hidden_by(name))
    for position, step in enumerate(steps):
        for name in step.output_mapping:
            if name in ids:
                place = at(f"steps[{position}].output_mapping", name)
                problems.add(place, _hidden_by(name))


def _hidden_by(name: str) -> str:
    return f"the output of step {shown(name)} hides a variable of that name; give it another one"


def check_variables(
    steps: Sequence[Step], variables: Collection[str], graph: Graph, problems: Problems
) -> None:
    """Note what no variable that a run is given could mend.

    These are outputs of steps that do not run before, and variables that two steps set at once.
    Handlers are not held to the second: they run in place of others. Nor are two steps that both
    have a condition: one of them may run only where the other does not.
    """
    doubts = [
        (position, doubt) for position, doubt, _ in _taken(steps, variables, graph) if doubt.is_step
    ]
    twice = {name: found for name, found in _writers(steps).items() if len(found) > 1}
    if not doubts and not twice:
        return
    asked: defaultdict[int, list[_Doubt]] = defaultdict(list)
    for position, doubt in doubts:
        asked[position].append(doubt)
    rivals = _Rivals(steps, twice, graph.order)
    bit = _bits(graph.order)
    for position, earlier in graph.walk():
        for doubt in asked.get(position, ()):
            source = min(doubt.sources)
            if source == position:
                problems.add(doubt.place, f"{shown(doubt.name)} is the output of this step itself")
            elif not earlier >> bit[source] & 1:
                wrong = f"step {shown(steps[source].id)} does not run before this one"
                problems.add(doubt.place, f"{shown(doubt.name)}: {wrong}")
        for name, rival in rivals.met(position, earlier):
            other = shown(steps[rival].id)
            problems.add(
                at(f"steps[{position}].output_mapping", name),
                f"{other} sets {shown(name)} too, and neither runs before the other",
            )


def missing_variables(workflow: Workflow, given: Collection[str]) -> list[str]:
    """What steps take and nobody sets before them, each with its place.

    Args:
        workflow: A checked one.
        given: Names of the variables that the run is given beyond those of the workflow.

    Returns:
        Problems as those of `WorkflowInvalid`; nothing where the run can begin.
    """
    steps = workflow.steps
    graph = graph_of(steps)
    known = {*workflow.variables, *given}
    missing: dict[int, list[str]] = {}
    asked: defaultdict[int, list[_Doubt]] = defaultdict(list)
    problems = Problems()
    names: set[str] = set()
    for position, doubt, is_set in _taken(steps, known, graph):
        if is_set:
            asked[position].append(doubt)
            continue
        # Looked up here and not before: most workflows have none of these.
        names = names or known.union(index_of(steps), _writers(steps))
        near = problems.nearest(doubt.name, names)
        text = f"{doubt.place}: there is no variable {shown(doubt.name)}{near}"
        missing.setdefault(position, []).append(text)
    if asked:
        bit = _bits(graph.order)
        masks: dict[str, int] = {}
        for position, earlier in graph.walk():
            for doubt in asked.get(position, ()):
                if doubt.name not in masks:
                    masks[doubt.name] = _mask([bit[source] for source in doubt.sources])
                if not masks[doubt.name] & earlier:
                    missing.setdefault(position, []).append(_said(doubt, position, steps))
    return [text for position in sorted(missing) for text in missing[position]]


def _said(doubt: _Doubt, position: int, steps: Sequence[Step]) -> str:
    others = [steps[source].id for source in sorted(doubt.sources) if source != position]
    if not others:
        return f"{doubt.place}: {shown(doubt.name)} is set by this step itself only"
    who = "is the output of" if doubt.is_step else "is set by"
    return f"{doubt.place}: {shown(doubt.name)} {who} {shown(others[0])}, which does not run before"


def _taken(
    steps: Sequence[Step], known: Collection[str], graph: Graph
) -> Iterator[tuple[int, _Doubt, bool]]:
    """What steps take that neither a variable nor a step which they wait for gives.

    The last part is False where no step at all gives it.
    """
    index = index_of(steps)
    writers = _writers(steps)
    groups: dict[int, frozenset[int]] = {}
    conditional: dict[str, list[str]] = {"": []}
    for position, step in enumerate(steps):
        if not step.input_mapping and not step.when:
            continue
        group = graph.before[position]
        before = groups.get(id(group))
        if before is None:
            before = groups[id(group)] = frozenset(group)
        if step.when not in conditional:
            conditional[step.when] = sorted(conditions.names(step.when))
        for place, name in _references(step, position, conditional[step.when]):
            if name in known:
                continue
            setters = writers.get(name)
            is_step = setters is None and name in index
            sources: Set[int] = {index[name]} if is_step else setters or frozenset()
            if before.isdisjoint(sources):
                doubt = _Doubt(place=place, name=name, sources=sources, is_step=is_step)
                yield position, doubt, bool(sources)


def _references(step: Step, position: int, conditional: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The place and the first part of each name that a step takes."""
    for parameter, source in step.input_mapping.items():
        yield f"steps[{position}].input_mapping.{parameter}", source.partition(".")[0]
    for name in conditional:
        yield f"steps[{position}].when", name


def _writers(steps: Sequence[Step]) -> dict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for position, step in enumerate(steps):
        for name in step.output_mapping:
            found[name].add(position)
    # A plain one: asking for a name must not make it known.
    return dict(found)


def _bits(order: Sequence[int]) -> list[int]:
    bits = [0] * len(order)
    for place, position in enumerate(order):
        bits[position] = place
    return bits


def _mask(bits: Sequence[int]) -> int:
    """A number with these bits set; or-ing them one by one would copy it each time."""
    octets = bytearray(max(bits) // 8 + 1)
    for bit in bits:
        octets[bit // 8] |= 1 << bit % 8
    return int.from_bytes(octets, "little")


class _Rivals:
    """Steps that set a variable which another step may set at the same time."""

    __slots__ = ("_all", "_names", "_order", "_place", "_steps", "_unconditional")

    def __init__(
        self, steps: Sequence[Step], twice: Mapping[str, Set[int]], order: Sequence[int]
    ) -> None:
        self._steps = steps
        self._order = order
        self._place = _bits(order)
        self._names: defaultdict[int, list[str]] = defaultdict(list)
        for name, setters in twice.items():
            for position in setters:
                if not steps[position].is_handler:
                    self._names[position].append(name)
        # Bits of the steps that were met so far, by variable.
        self._all: dict[str, int] = {}
        self._unconditional: dict[str, int] = {}

    def met(self, position: int, earlier: int) -> Iterator[tuple[str, int]]:
        """For each variable that this step sets a step that sets it too and is not before it."""
        for name in self._names.get(position, ()):
            others = self._unconditional if self._steps[position].when else self._all
            rivals = others.get(name, 0) & ~earlier
            if rivals:
                lowest = (rivals & -rivals).bit_length() - 1
                yield name, self._order[lowest]
            mine = 1 << self._place[position]
            self._all[name] = self._all.get(name, 0) | mine
            if not self._steps[position].when:
                self._unconditional[name] = self._unconditional.get(name, 0) | mine
