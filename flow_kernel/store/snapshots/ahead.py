"""Work on many pieces, done ahead in threads and handed out in order.

Called by `writer`: hashing a gigabyte takes a second, and nearly all of it without the interpreter.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_THREADS: Final = 2
_A_TASK: Final = 4
"""Pieces: what a thread takes at once costs more than asking it."""
_TASKS_AHEAD: Final = 6
_FEW: Final = 32


def ahead(work: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
    """The results of work on pieces, in their order.

    Args:
        work: Run in other threads where there are many pieces; what it raises is raised here.
        pieces: Drawn in this thread, some of them before the results of the ones before are out.
    """
    drawn = iter(pieces)
    first = list(islice(drawn, _FEW))
    if len(first) < _FEW:
        yield from map(work, first)
        return
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="flow-ahead") as pool:
        try:
            tasks: deque[Future[list[R]]] = deque()
            for group in _groups(first, drawn):
                tasks.append(pool.submit(_all, work, group))
                if len(tasks) > _TASKS_AHEAD:
                    yield from tasks.popleft().result()
            while tasks:
                yield from tasks.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _groups(first: list[T], drawn: Iterator[T]) -> Iterator[list[T]]:
    for start in range(0, len(first), _A_TASK):
        yield first[start : start + _A_TASK]
    while group := list(islice(drawn, _A_TASK)):
        yield group


def _all(work: Callable[[T], R], pieces: list[T]) -> list[R]:
    return [work(piece) for piece in pieces]
