"""Which files this process opens, told by the interpreter itself.

Used by the tests of what is not to be read again.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_listening: list[list[str]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _listening and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        for heard in _listening:
            heard.append(path)


@contextmanager
def files_opened() -> Iterator[list[str]]:
    """The paths that are opened in the block."""
    _begin()
    heard: list[str] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        _listening.pop()


@cache
def _begin() -> None:
    """There is no way to take a hook back, so there is one for all.

    Each `id()` of a process that has one takes six times as long, and a checkpoint a third longer:
    it begins with the first test that needs it, and not with the collection of all tests.
    """
    sys.addaudithook(_hear)
