"""Checkpoints that a session wants of variables that a worker holds.

Where every cell is isolated, the session itself has none. Wanted by `automatic`; taken by
`shell.worker.checkpoints` in the worker.

    a cell calls its session ─▶ collected ─▶ they go to the worker with the answer
    no cell runs there       ─▶ sent      ─▶ the worker takes them at once
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Wish(NamedTuple):
    """A checkpoint that is to be taken.

    Attributes:
        reason: Why.
        name: For lists and for the way back; made of the reason by default.
        tag: True to give the commit of the files a tag as well.
        only_if_changed: True for none where nothing differs from the last one.
    """

    reason: str
    name: str | None
    tag: bool = False
    only_if_changed: bool = False


class Errands:
    """What is wanted of the worker of one session.

    Attributes:
        send: Has the worker take one and waits for it; says whether there is a worker. None where
            the session holds its variables itself.
    """

    __slots__ = ("_collected", "send")

    def __init__(self) -> None:
        self.send: Callable[[Wish], bool] | None = None
        self._collected: list[Wish] | None = None

    def want(self, wish: Wish) -> bool:
        """Have it taken there.

        Returns:
            False where the session has to take it.

        Raises:
            FlowError: It could not be taken.
        """
        if self._collected is not None:
            self._collected.append(wish)
            return True
        return self.send is not None and self.send(wish)

    @contextmanager
    def collected(self) -> Iterator[list[Wish]]:
        """What is wanted in the block waits for whoever has begun it."""
        before, self._collected = self._collected, []
        try:
            yield self._collected
        finally:
            self._collected = before
