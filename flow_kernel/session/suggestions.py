"""Which values to offer for a key, and in which order (pure).

Called by `session.flow` with the last uses of the key.

The value that was used last comes first: what one does next is mostly what one just did. The others
follow by how many tasks used them, the newer first where two are equal. A task that sets a value
again and again counts once, and counts although it holds another value by now.
"""

from collections.abc import Sequence

import orjson

from flow_kernel.store.contract import Use


def ranked(uses: Sequence[Use], *, limit: int) -> list[object]:
    """The values to offer, the best first.

    Args:
        uses: The newest first.
        limit: How many values at most.
    """
    tasks: dict[str, set[tuple[str, str]]] = {}
    for value, plan_id, task_id in uses:
        tasks.setdefault(value, set()).add((plan_id, task_id))
    # The keys lie newest first, and sorting keeps that order among equals.
    newest_first = [*tasks]
    others = sorted(newest_first[1:], key=lambda value: -len(tasks[value]))
    return [orjson.loads(value) for value in [*newest_first[:1], *others][:limit]]
