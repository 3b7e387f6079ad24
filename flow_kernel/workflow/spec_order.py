"""Which step waits for which: `needs`, `order` and handlers, resolved to needs (pure).

Called by `spec` once all steps were read.

    no order, no needs    each step waits for the one written before it
    order                 a step waits for all steps of the next lower order
    needs                 a step waits for exactly those

A handler takes no part in the first two: it waits for nothing but the failure that it handles, and
nothing waits for it. Where `needs` are written, steps may wait for a handler as for any other.
Steps of one order share one tuple: a hundred layers of a hundred steps are a million edges.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flow_kernel.workers.limits import shown
from flow_kernel.workflow.model import OnError
from flow_kernel.workflow.spec_fields import Problems
from flow_kernel.workflow.spec_step import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the steps of a workflow stand to each other; one entry for each step, as written.

    Attributes:
        needs: Ids, sorted.
        orders: As written or counted, from 1; those of written needs are the graph's to say.
        handlers: Ids of the steps that errors go to.
        failures: For each handler, by position, the steps whose errors go to it.
        has_needs: True where needs were written: these alone can run in a circle.
    """

    needs: list[tuple[str, ...]]
    orders: list[int]
    handlers: frozenset[str]
    failures: Mapping[int, Sequence[int]]
    has_needs: bool


def resolve(drafts: Sequence[Draft], index: Mapping[str, int], problems: Problems) -> Places:
    """Resolve what was written, and note what cannot be.

    Args:
        drafts: In the order in which they were written.
        index: Where the first step of each id stands.
        problems: Gets what is wrong.
    """
    failures = _failures(drafts, index, problems)
    handlers = frozenset(drafts[target].id for target in failures)
    with_order = [draft for draft in drafts if draft.order is not None]
    with_needs = [draft for draft in drafts if draft.needs is not None]
    needs: list[tuple[str, ...]] = [()] * len(drafts)
    orders = [1] * len(drafts)
    if with_order and with_needs:
        for draft in with_needs:
            problems.add(
                f"{draft.place}.needs",
                f"{with_order[0].place} has an order; a workflow has needs or orders, not both",
            )
    elif with_needs:
        needs = _written(drafts, index, problems)
    elif with_order:
        needs = _by_order(drafts, handlers, problems)
        orders = [draft.order or 0 for draft in drafts]
        for target in sorted(failures):
            # A handler without an order of its own stands behind the last step that goes to it.
            orders[target] = orders[target] or 1 + max(orders[each] for each in failures[target])
    else:
        needs = _in_sequence(drafts, handlers)
        orders = list(range(1, len(drafts) + 1))
    return Places(
        needs=needs,
        orders=orders,
        handlers=handlers,
        failures=failures,
        has_needs=bool(with_needs and not with_order),
    )


def _failures(
    drafts: Sequence[Draft], index: Mapping[str, int], problems: Problems
) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for number, draft in enumerate(drafts):
        if draft.on_error is not OnError.GOTO or not draft.handler:
            continue
        place = f"{draft.place}.on_error"
        target = index.get(draft.handler)
        if target is None:
            near = problems.nearest(draft.handler, index)
            problems.add(place, f"there is no step {shown(draft.handler)} to go to{near}")
        elif target <= number:
            where = "is this step itself" if target == number else "is written before this step"
            problems.add(place, f"{shown(draft.handler)} {where}; an error goes forward only")
        else:
            found[target].append(number)
    return dict(found)


def _written(
    drafts: Sequence[Draft], index: Mapping[str, int], problems: Problems
) -> list[tuple[str, ...]]:
    resolved: list[tuple[str, ...]] = []
    # What was found good once is good again, and one tuple then.
    good: dict[tuple[object, ...], tuple[str, ...]] = {}
    for draft in drafts:
        raw = draft.needs or ()
        try:
            known = good.get(raw)
            is_good = known is not None or all(map(index.__contains__, raw))
        except TypeError:  # a list or an object among the ids
            known, is_good = None, False
        if known is None and is_good:
            known = tuple(sorted({need for need in raw if isinstance(need, str)}))
        elif known is None:
            known = _checked(draft, raw, index, problems)
        if is_good:
            good[raw] = known
        if draft.id in known:
            place = f"{draft.place}.needs[{raw.index(draft.id)}]"
            problems.add(place, f"{shown(draft.id)} cannot wait for itself")
            known = tuple(need for need in known if need != draft.id)
        resolved.append(known)
    return resolved


def _checked(
    draft: Draft, raw: tuple[object, ...], index: Mapping[str, int], problems: Problems
) -> tuple[str, ...]:
    """The ids among `raw` that name steps, sorted, each once."""
    found: set[str] = set()
    for position, need in enumerate(raw):
        if not isinstance(need, str):
            place = f"{draft.place}.needs[{position}]"
            problems.add(place, f"must be the id of a step, not {shown(need)}")
        elif need not in index:
            place = f"{draft.place}.needs[{position}]"
            near = problems.nearest(need, index)
            problems.add(place, f"there is no step {shown(need)}{near}")
        else:
            found.add(need)
    return tuple(sorted(found))


def _by_order(
    drafts: Sequence[Draft], handlers: frozenset[str], problems: Problems
) -> list[tuple[str, ...]]:
    layers: defaultdict[int, list[str]] = defaultdict(list)
    for draft in drafts:
        if draft.id in handlers or not draft.id:
            continue
        if draft.order is None:
            problems.add(draft.place, 'has no "order", and other steps of the workflow have one')
        else:
            layers[draft.order].append(draft.id)
    before: dict[int, tuple[str, ...]] = {}
    last: tuple[str, ...] = ()
    for order in sorted(layers):
        before[order] = last
        last = tuple(sorted(layers[order]))
    return [
        () if draft.order is None or draft.id in handlers else before.get(draft.order, ())
        for draft in drafts
    ]


def _in_sequence(drafts: Sequence[Draft], handlers: frozenset[str]) -> list[tuple[str, ...]]:
    needs: list[tuple[str, ...]] = []
    last: tuple[str, ...] = ()
    for draft in drafts:
        if draft.id in handlers:
            needs.append(())
        else:
            needs.append(last)
            last = (draft.id,) if draft.id else last
    return needs
