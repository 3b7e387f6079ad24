"""Whether a checkpoint fits the Python and the libraries that are here (pure).

Called by `rollback`, by the magics and by `jupyter flow checkpoints restore`.

Functions and classes of a notebook are saved as compiled code, which another minor version of
Python would misread or crash on. Everything else is restored by the libraries themselves, which
mostly read what an older version of theirs wrote: that is worth a warning, and no refusal.
"""

import pickletools
from collections.abc import Callable
from typing import Final

from flow_kernel.session.checkpoints.checkpoint import Checkpoint

_MAKERS: Final = (b"flow_kernel.session.checkpoints.rebuild", b"cloudpickle")
_COMPILED: Final = frozenset({"function", "CodeType", "_make_function"})


def warnings_of(
    checkpoint: Checkpoint, *, python: str, version_of: Callable[[str], str | None]
) -> list[str]:
    """What is another here than where the checkpoint was taken, as sentences.

    Args:
        checkpoint: To be restored.
        python: The version that runs here.
        version_of: The version of a package that is installed here; None where there is none.
    """
    found = []
    if (reason := python_reason(checkpoint.python, python)) is not None:
        found.append(reason)
    for name, taken in checkpoint.libraries.items():
        here = version_of(name)
        if here is None:
            found.append(f"{name} {taken} is not installed here")
        elif here != taken:
            found.append(f"{name} was {taken}, here it is {here}")
    return found


def python_reason(taken: str, here: str) -> str | None:
    """Why compiled code cannot be taken over; None when it can."""
    if minor_of(taken) == minor_of(here):
        return None
    return (
        f"it was taken on Python {minor_of(taken)}, this is Python {minor_of(here)}: functions and"
        " classes of the notebook cannot be restored"
    )


def code_reason(stream: bytes, *, taken: str, here: str) -> str | None:
    """Why a group of variables must not be loaded here; None when it may.

    Reads what the pickle names, and loads nothing.

    Args:
        stream: The pickle of the group.
        taken: The version of Python that saved it.
        here: The one that would load it.
    """
    if minor_of(taken) == minor_of(here) or not holds_code(stream):
        return None
    return f"holds a function compiled by Python {minor_of(taken)}, this is Python {minor_of(here)}"


def holds_code(stream: bytes) -> bool:
    """True when a pickle makes functions out of compiled code."""
    if not any(maker in stream for maker in _MAKERS):
        return False
    last: object = None
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STACK_GLOBAL" and last in _COMPILED:
            return True
        if opcode.name != "MEMOIZE":
            last = argument
    return False


def minor_of(version: str) -> str:
    """`3.11.9` as `3.11`."""
    return ".".join(version.split(".")[:2])
