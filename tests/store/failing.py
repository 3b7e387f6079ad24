"""A disk that refuses at its N-th call, or takes few bytes at a time.

Called by tests of what must survive one. A disk that fails exactly there cannot be had for real, so
the calls of `os` themselves fail.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Failing:
    """What became of the calls."""

    calls: int = 0
    failed: bool = False


@contextmanager
def failing(call: str, fail_at: int, number: int) -> Iterator[Failing]:
    """Let one call of `os` fail.

    Args:
        call: Its name in `os`.
        fail_at: Which call, from 1.
        number: The errno.
    """
    real, seen = getattr(os, call), Failing()

    def calls(*arguments: object, **options: object) -> object:
        seen.calls += 1
        if seen.calls == fail_at:
            seen.failed = True
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    setattr(os, call, calls)
    try:
        yield seen
    finally:
        setattr(os, call, real)


@contextmanager
def short_writes(most_bytes: int) -> Iterator[None]:
    """Let each write take a few bytes only."""
    real = os.write

    def write(fd: int, data: bytes) -> int:
        return real(fd, memoryview(data)[:most_bytes])

    os.write = write  # type: ignore[assignment]  # on purpose
    try:
        yield
    finally:
        os.write = real
