"""Calls of code in a worker to its session: one at a time, each answered exactly once.

Made by `worker` of what arrives; answered by `shell.isolated.calls` in the thread of the cell.

    worker   IOPub  flow_call {id, call} ─────▶ Called ─▶ the cell's thread ─▶ answer
             IOPub  flow_call {id} ───────────▶ given up: it was interrupted ─▶ an empty answer
    session  stdin  input_reply {flow_call: id, value} ◀─ whichever of them was first

A call comes on IOPub: behind all that the cell has said before, as in one process. The worker waits
for the one answer also where it has given up, so that none is left for an `input()` of the cell.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

KIND: Final = "flow_call"
"""Of the message, and the key of the answer that names the call."""


class Caller(Protocol):
    """A worker, as far as its calls go."""

    died: Any
    """None while it lives."""

    def say(self, channel: str, kind: str, content: Mapping[str, Any]) -> None:
        """Send it a message; from any thread."""


class Called:
    """One call.

    Args:
        caller: Whose it is.
        call_id: As the worker counts.
        text: What is wanted; what it says is up to those who wrote it.
    """

    def __init__(self, caller: Caller, call_id: str, text: str) -> None:
        self.call_id: str = call_id
        self.text: str = text
        self._caller = caller
        self._lock = threading.Lock()
        self._is_answered = False

    @property
    def is_wanted(self) -> bool:
        """True as long as somebody waits for the answer."""
        return not self._is_answered and self._caller.died is None

    def answer(self, text: str) -> None:
        """Send the answer; the second one goes nowhere."""
        with self._lock:
            was_answered, self._is_answered = self._is_answered, True
        if not was_answered:
            self._caller.say("stdin", "input_reply", {"value": text, KIND: self.call_id})


class Calls:
    """The calls of one worker.

    Args:
        caller: Whose they are.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._latest: Called | None = None

    def take(self, content: Mapping[str, Any], put: Callable[[Called], None] | None) -> None:
        """Take in a message of that kind.

        Args:
            content: Of the message, from another process: anything.
            put: Hands the call to the cell that it is of; None where that runs no more.
        """
        call_id, text = str(content.get("id")), content.get("call")
        if isinstance(text, str):
            called = Called(self._caller, call_id, text)
            if put is None:
                called.answer("")
            else:
                self._latest = called
                put(called)
        elif self._latest is not None and self._latest.call_id == call_id:
            self._latest.answer("")
