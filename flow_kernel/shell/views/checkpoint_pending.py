"""The answer of `%checkpoint` while a large checkpoint is still on its way to the disk.

Called by `shell.magics.checkpoint_answers`. A notebook's card is drawn again in its place once it
is there; a terminal is told at the next cell.
"""

from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import Any

from IPython.display import display

from flow_kernel.records.plain import one_line
from flow_kernel.session.checkpoints.taking import Taking
from flow_kernel.shell.views.checkpoint_display import CheckpointCard


class PendingCard:
    """A checkpoint that is being written; `checkpoint` waits for it.

    Args:
        taking: The checkpoint on its way.
        say: Tells the person at the next cell; None where the card is drawn again.
    """

    def __init__(self, taking: Taking, say: Callable[[str], object] | None) -> None:
        self.taking = taking
        self._say = say
        taking.then(self._failed)

    @property
    def checkpoint(self) -> Any:
        """The checkpoint; waits until it is on the disk."""
        return self.taking.wait()

    def __repr__(self) -> str:
        taking = self.taking
        if not taking.is_done:
            name = one_line(taking.name, 60)
            return f"checkpoint {name}  [{taking.checkpoint_id}]  is being written; go on"
        return _text_of(taking)

    def _repr_html_(self) -> str:
        if self.taking.is_done and self.taking.error is None:
            return CheckpointCard(self.taking.wait())._repr_html_()
        return f"<div>{escape(repr(self))}</div>"

    def _ipython_display_(self) -> None:
        """Show it, and once more in the same place when it is on the disk."""
        if self._say is not None:
            print(repr(self))  # noqa: T201 - a terminal has no place to draw again
            self.taking.then(self._said)
            return
        handle = display(self._bundle(), raw=True, display_id=True)

        def again(_: Taking) -> None:
            with suppress(Exception):  # the session may be over; the checkpoint is safe
                handle.update(self._bundle(), raw=True)

        self.taking.then(again)

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _said(self, done: Taking) -> None:
        if self._say is not None and done.error is None:
            self._say(_text_of(done))

    def _failed(self, done: Taking) -> None:
        if self._say is not None and done.error is not None:
            self._say(_text_of(done))


def _text_of(taking: Taking) -> str:
    if taking.error is not None:
        return f"checkpoint {one_line(taking.name, 60)} was not kept: {taking.error}"
    return repr(CheckpointCard(taking.wait()))
