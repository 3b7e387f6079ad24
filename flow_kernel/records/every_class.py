"""All classes of this process, also those that the collector does not know of.

Called by `workers.transfer_known` and by `session.checkpoints.value_reducers`, which look for the
class that something belongs to. The collector does not tell what refers to it where that was
frozen (`gc.freeze`).
"""

from collections.abc import Iterator
from typing import Any, Final

_subclasses: Final = type.__subclasses__


def all_classes() -> Iterator[Any]:
    """All that live here, in milliseconds; no code of theirs runs."""
    todo: list[Any] = [object]
    seen: set[int] = set()
    while todo:
        kind = todo.pop()
        if id(kind) not in seen:
            seen.add(id(kind))
            yield kind
            todo += _subclasses(kind)
