"""Tells of a worker that does not go on: the person, the log, agents.

Made by `opening`; called by `watchdog` in the thread of the cell.
"""

from collections.abc import Callable, Mapping

from flow_kernel.session.announcer import Emit
from flow_kernel.session.isolation.blocks import Block, text_of
from flow_kernel.workers.lifecycle import State


class BlockTeller:
    """Of one session.

    Args:
        note: Writes a `worker` record: worker id, state, reason, detail.
        say: Tells the person.
        emit: Tells agents.
        redact: Takes secrets out of a text.
        tell: Tells programs that watch its cells, of the document that the log has.
    """

    def __init__(
        self,
        *,
        note: Callable[[str, str, str, dict[str, object]], None],
        say: Callable[[str], None],
        emit: Emit,
        redact: Callable[[str], str],
        tell: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._note = note
        self._say = say
        self._emit = emit
        self._redact = redact
        self._tell = tell

    def blocked(self, block: Block) -> None:
        """A worker does not go on, and somebody has to decide."""
        self._say(text_of(block))
        self.limited(block)

    def limited(self, block: Block) -> None:
        """It has passed a limit, of which the error of the cell will tell the person."""
        told = block.document() | {"stack": [self._redact(line) for line in block.stack]}
        self._note(block.worker_id, str(State.BLOCKED), block.reason, told)
        self._emit("block_detected", **block.event())
        self._tell(told)
