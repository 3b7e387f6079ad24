"""What a forked child must not have of us, and how to fork without minding.

Used by `sqlite` for its stores, by `snapshots.collect` for its lock and by the keeper of a
checkpoint.

A child that a cell forks may live as long as the session: with a copy of a descriptor it would keep
a lock, or a pipe, that nobody knows of. Hooks of the process cannot be taken back, so there is one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_forking: Final = threading.local()
"""Says to the hooks that the fork of this thread is one that `left_open` is about."""
_ours: Final[set[int]] = set()


def is_apart() -> bool:
    """True in a fork that `left_open` is about, before and after it."""
    return getattr(_forking, "is_apart", False)


@contextmanager
def left_open() -> Iterator[None]:
    """Leave all as it is over a fork in the block: the child never uses a store.

    What it inherits is of no use to it and refuses to be used; it ends with `os._exit`, so nothing
    of SQLite runs in it. Closing and opening a store takes milliseconds.
    """
    _forking.is_apart = True
    try:
        yield
    finally:
        _forking.is_apart = False


def keep_from_children(fd: int) -> int:
    """No child of the user's shall have this descriptor; to be closed by `close`."""
    _ours.add(fd)
    return fd


def close(fd: int) -> None:
    """Close a descriptor that is kept from children; harmless in one of them."""
    if fd in _ours:
        _ours.discard(fd)  # first: its number may be another's at once
        os.close(fd)


def _after_fork() -> None:
    if not is_apart():
        while _ours:
            with suppress(OSError):
                os.close(_ours.pop())


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_after_fork)
