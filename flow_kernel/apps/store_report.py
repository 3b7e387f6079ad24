"""What a repair of the store did, and what it could not do, for people.

Called by `check`.
"""

from collections.abc import Iterator
from typing import Final

from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session.store_repair import Repaired

_SHOWN: Final = 20


def tell(repaired: Repaired, terminal: Terminal) -> None:
    """Say it on stderr, so that stdout stays one document or one table."""
    for line in _lines(repaired):
        terminal.remark(plain(line))


def _lines(repaired: Repaired) -> Iterator[str]:
    state = repaired.state
    made = [
        _many(len(state.tasks), "task"),
        _many(len(state.steps), "step"),
        _many(sum(map(len, state.context.values())), "value"),
        _many(len(state.approvals), "approval"),
    ]
    yield f"rebuilt flow.db from the logs: {', '.join(made)}"
    if repaired.salvaged:
        yield f"{_many(repaired.salvaged, 'change')} came from the damaged file alone"
    if repaired.moved_to is not None:
        yield f"the old file is {repaired.moved_to}"
    if repaired.damaged_lines:
        lines = _many(repaired.damaged_lines, "line")
        yield f"{lines} of the logs could not be read"
    for what, where, name, reason in repaired.lost[:_SHOWN]:
        yield " ".join(filter(None, ("not rebuilt:", what, where, name))) + f" ({reason})"
    if len(repaired.lost) > _SHOWN:
        yield f"and {len(repaired.lost) - _SHOWN} more; --json lists all"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
