"""What a client says of its own request, beside how the cell is to run (pure).

Used by `shell.attach` for the record of a cell, and by `shell.taps.gate` before it runs.

    {"flow": {"actor": "mcp:agent", "expect_rev": 41, "once": "0f3a…"}}

`actor` is told and believed: whoever can send a request has the key of the connection. It changes
nothing but the name in the records. `expect_rev` is the number of the last record that the client
knows: where a cell has ended since, this one does not run. It is looked at in the kernel, so that
no cell of another client can slip in between. `once` is a name under which one cell runs: a second
one does not, whoever sends it and whatever became of the first.
"""

from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.plain import one_line

globals()["__builtins__"] = FROZEN_BUILTINS

ACTOR_CHARS: Final = 80
_MOST: Final = 2**53


def actor_of(metadata: object) -> str:
    """Who runs the cell, as plain text; empty where the client does not say."""
    flow = metadata.get("flow") if type(metadata) is dict else None
    actor = flow.get("actor") if type(flow) is dict else None
    return one_line(actor, ACTOR_CHARS) if type(actor) is str else ""


def once_of(metadata: object) -> str:
    """The name under which the cell may run once; empty where it may run as often as it comes."""
    flow = metadata.get("flow") if type(metadata) is dict else None
    name = flow.get("once") if type(flow) is dict else None
    return name if type(name) is str and len(name) <= ACTOR_CHARS else ""


def has_expectation(metadata: object) -> bool:
    """True where the client says what it knows of the session."""
    flow = metadata.get("flow") if type(metadata) is dict else None
    return type(flow) is dict and flow.get("expect_rev") is not None


def staleness_of(metadata: object, *, cells_seq: int, last_seq: int) -> str:
    """Why the cell is not to run; empty where its client knows the session as it is.

    Args:
        metadata: Of the request.
        cells_seq: Number of the last record that a cell has left.
        last_seq: Number of the last record of the session.
    """
    flow = metadata.get("flow") if type(metadata) is dict else None
    expected = flow.get("expect_rev") if type(flow) is dict else None
    if expected is None:
        return ""
    if type(expected) is not int or not 0 <= expected <= _MOST:
        return f"expect_rev is a whole number, not {one_line(repr(expected), 60)}"
    if expected > last_seq:
        return f"expect_rev {expected} is of another session: this one is at rev {last_seq}"
    if expected < cells_seq:
        return f"other cells ran since rev {expected}: the session is at rev {last_seq}"
    return ""
