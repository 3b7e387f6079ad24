"""Takes the events of a session out of what it prints (pure).

Called by `repl_session` with the text of each message on stdout.

A kernel sends an event as a message of its own: one line, after a newline where the line before was
not at its end. A line counts when it is signed with the key of the session that is listened to and
its number is higher than the last one; whatever else looks like an event stays the text that it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

from flow_kernel.records.agent_events import PREFIX, check


class Told(NamedTuple):
    """One event."""

    name: str
    fields: dict[str, object]


@dataclass(slots=True)
class EventFilter:
    """The events of one session.

    Attributes:
        key: 32 bytes; empty while no session is listened to.
        session: Whose they are.
        nonce: What each of them carries.
        latest: Number of the last one.
    """

    key: bytes = b""
    session: str = ""
    nonce: str = ""
    latest: int = 0

    def split(self, text: str) -> list[str | Told]:
        """`text` in pieces: what is text, and the events that were lines of it, in order."""
        if not self.key or PREFIX not in text:
            return [text] if text else []
        found: list[str | Told] = []
        rest = ""
        for line in _lines(text):
            told = self._told(line)
            if told is None:
                rest += line
                continue
            if rest and rest != "\n":  # the kernel's own newline goes with its event
                found.append(rest)
            rest = ""
            found.append(told)
        return [*found, rest] if rest else found

    def _told(self, line: str) -> Told | None:
        if not line.startswith(PREFIX) or not line.endswith("\n") or not line.isascii():
            return None
        checked = check(line[:-1].encode(), self.key)
        if checked is None or (checked.session, checked.nonce) != (self.session, self.nonce):
            return None
        if checked.seq <= self.latest:
            return None
        self.latest = checked.seq
        return Told(checked.name, checked.fields)


def _lines(text: str) -> list[str]:
    *ended, last = text.split("\n")
    lines = [f"{line}\n" for line in ended]
    return [*lines, last] if last else lines
