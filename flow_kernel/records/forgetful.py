"""What a forked child is to forget of this process: locks, and what other threads hold or wait for.

Used by `quick_turns` and by `session.approval_waits`.
"""

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """Has something that is not true in a child."""

    def forget(self) -> None:
        """Called in the child, in its only thread."""


def forget_in_children(one: Forgetful) -> None:
    """Have `one` forget in each child that is forked while it is in use here."""
    if not hasattr(os, "register_at_fork"):  # Windows forks nothing
        return
    known = weakref.ref(one)  # a hook cannot be taken back

    def forget() -> None:
        if (found := known()) is not None:
            found.forget()

    os.register_at_fork(after_in_child=forget)
