"""Which forks of itself this process makes, told by the interpreter; git is none.

Used by the tests of what is to be done without one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_listening: list[list[str]] = []


def _hear(event: str, _: tuple[object, ...]) -> None:
    if event in ("os.fork", "os.forkpty"):
        for heard in _listening:
            heard.append(event)


@contextmanager
def forks_of_this_process() -> Iterator[list[str]]:
    """What was forked in the block."""
    heard: list[str] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        _listening.remove(heard)


sys.addaudithook(_hear)  # there is no way to take one back, so there is one for all
