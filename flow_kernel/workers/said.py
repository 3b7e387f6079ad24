"""What one worker has said so far: how much of each stream, the end of it, stacks of a signal.

Made by `worker`; called in the relay's thread but for `take_stacks`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flow_kernel.records.long_text import HELD_BYTES, LongText
from flow_kernel.workers.glimpses import Glimpses
from flow_kernel.workers.last_words import STREAMS, TAIL_BYTES, LastWords, Tail
from flow_kernel.workers.messages import Long, Message

_FAULT_BYTES: Final = 65536


class Said:
    """See the module.

    Args:
        words: What it wrote last, also once it is dead; None where there is no such memory.
        glimpses: What its sampler sees, where that is elsewhere than in `words`.
    """

    def __init__(self, words: LastWords | None, glimpses: Glimpses | None = None) -> None:
        self._words = words
        self._glimpses = glimpses or (None if words is None else words.glimpses)
        self._tail = Tail()
        self._long: LongText | None = None
        """Said last, and long enough for the end of it."""
        self._fault = bytearray()
        self._seen = [0] * len(STREAMS)
        self._seen_before: list[int | None] = [None] * len(STREAMS)
        """Where the end of a cell has counted more than was heard: what was."""

    @property
    def last_output(self) -> str:
        """The end of it."""
        long = self._long
        return self._tail.text if long is None else _end(long).decode("utf-8", "replace")

    @property
    def glimpses(self) -> Glimpses | None:
        """What its sampler sees; None where there is none."""
        return self._glimpses

    @property
    def fault(self) -> str:
        """The stacks at a fatal signal; empty where there was none."""
        return bytes(self._fault).decode("utf-8", "replace")

    def take_stacks(self) -> str:
        """The stacks at a signal that was sent for them; what comes later is of another one."""
        taken, self._fault = self._fault, bytearray()
        return bytes(taken).decode("utf-8", "replace")

    def add_fault(self, data: bytes) -> None:
        """More of the stacks."""
        if len(self._fault) < _FAULT_BYTES:
            self._fault += data

    def add(self, data: bytes) -> None:
        """Bytes that native code wrote."""
        self._settle()
        self._tail.add(data)

    def heard(self, message: Message, *, is_late: bool = False) -> int:
        """Text of a stream: count it, keep its end. Returns how many bytes.

        Args:
            message: What was said.
            is_late: Not by the cell that runs: the end of the last one may have counted it.
        """
        if message.long is not None:
            return self._heard_long(message.long)
        name, text = message.content.get("name"), message.content.get("text")
        if name not in STREAMS or not isinstance(text, str):
            return 0
        self._settle()
        stream = STREAMS.index(name)
        nbytes = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if is_late:
            self._count_back(stream, text, nbytes)
        self._count(stream, nbytes)
        self._tail.add(text[-TAIL_BYTES:].encode("utf-8", "surrogatepass"))
        return nbytes

    def _heard_long(self, long: Long) -> int:
        self._long, nbytes = long.text, long.text.utf8_bytes
        self._count(STREAMS.index(long.name), nbytes)
        if nbytes > HELD_BYTES:
            self._settle()
        return nbytes

    def _count(self, stream: int, nbytes: int) -> None:
        """More of a stream was heard; what `catch_up` has counted by then is no more of it."""
        seen, self._seen_before[stream] = self._seen[stream], None
        if self._words is not None:
            nbytes = max(0, min(nbytes, self._words.count(stream) - seen))
        self._seen[stream] = seen + nbytes

    def _count_back(self, stream: int, text: str, nbytes: int) -> None:
        """What was not heard at the end of the cell was on its way, if this is where it begins."""
        before = self._seen_before[stream]
        if self._words is not None and before is not None:
            unheard = self._words.since(stream, before)[:nbytes]
            if unheard == text.encode("utf-8", "surrogatepass"):
                self._seen[stream] = before

    def _settle(self) -> None:
        """Keep no more of a long text than its end."""
        if self._long is not None:
            self._tail.add(_end(self._long))
            self._long = None

    def whole(self, frames: Sequence[Any]) -> Sequence[Any]:
        """The frames of a message, of which it may have left the content in memory."""
        return frames if self._words is None else self._words.deposit.whole(frames)

    def take(self, spent: object) -> None:
        """It may say more."""
        if self._words is not None and type(spent) is int and spent >= 0:
            self._words.take(spent)

    def catch_up(self) -> None:
        """All that it wrote has arrived: whatever did not was taken back by the user's own code."""
        self._settle()
        if self._words is not None:
            for number, seen in enumerate(self._seen):
                self._seen[number] = count = self._words.count(number)
                self._seen_before[number] = seen if count > seen else None

    def last_words(self) -> Iterator[tuple[str, bytes]]:
        """What it wrote and could not send any more, by stream; nothing comes after that."""
        if self._words is None:
            return
        for number, name in enumerate(STREAMS):
            if data := self._words.since(number, self._seen[number]):
                self._settle()
                self._tail.add(data)
                yield name, data
        self._words.close()


def _end(long: LongText) -> bytes:
    return long.tail(TAIL_BYTES).encode("utf-8", "surrogatepass")
