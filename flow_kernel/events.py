"""Reads the events of a Flow kernel out of its output, and believes only the signed ones.

Called by agents: `for event in flow_kernel.events.read(stream, key=key): …`. The key is what the
kernel answers to `register` on its control channel.

A line is an event when its signature is right and its number is higher than that of the one before.
Forged, changed, torn, repeated and foreign lines are never given out; they are counted.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Self

from flow_kernel.errors import NotFound
from flow_kernel.records.agent_events import LINE_BYTES, NAMES, PREFIX, check

__all__ = ["NAMES", "Event", "EventReader", "read", "schema"]

_PREFIX: Final = PREFIX.encode()
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a kernel.

    Attributes:
        name: `task_start`, `need_approval`, …; one of `NAMES`.
        session: The session that said it; 32 hex.
        seq: Its number in that session, from 1. Numbers may be missing, none comes twice.
        fields: Its own facts, as its schema describes them.
    """

    name: str
    session: str
    seq: int
    fields: Mapping[str, Any]


class EventReader:
    """Finds the events in lines of output; iterate over it, or `feed` it text as it comes.

    Args:
        stream: A text or binary file, or any iterable of lines; None to `feed` it.
        key: What `register` gave: 32 bytes, or 64 hex.
        session: Only events of this session; None takes whoever knows the key.
        nonce: Only events with this nonce.
        after: The number of the last event that is known already; it and those before are refused.

    Raises:
        ValueError: That is no key.
    """

    def __init__(
        self,
        stream: Iterable[str] | Iterable[bytes] | None = None,
        *,
        key: bytes | str,
        session: str | None = None,
        nonce: str | None = None,
        after: int = 0,
    ) -> None:
        self._key = bytes.fromhex(key) if isinstance(key, str) else bytes(key)
        if len(self._key) != _KEY_BYTES:
            raise ValueError(f"a key has {_KEY_BYTES} bytes, not {len(self._key)}")
        self._session = session
        self._nonce = nonce
        self._latest: dict[str, int] = {}
        self._after = after
        self._rest = b""
        self._lines = _lines(stream if stream is not None else ())
        self.refused: int = 0
        """Lines that began like an event and were none."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        for line in self._lines:
            event = self._event(line)
            if event is not None:
                return event
        raise StopIteration

    def feed(self, text: str | bytes) -> list[Event]:
        """Take in the next piece of output, cut anywhere; gives the events that it completes."""
        lines = (self._rest + _bytes(text)).split(b"\n")
        # The start is enough to refuse a line that is too long.
        self._rest = lines.pop()[: 2 * LINE_BYTES]
        return [event for line in lines if (event := self._event(line)) is not None]

    def _event(self, line: bytes) -> Event | None:
        line = line.rstrip(b"\r\n")
        if not line.startswith(_PREFIX):
            return None
        found = check(line, self._key)
        if (
            found is None
            or self._session not in (None, found.session)
            or self._nonce not in (None, found.nonce)
            or found.seq <= self._latest.get(found.session, self._after)
        ):
            self.refused += 1
            return None
        self._latest[found.session] = found.seq
        return Event(
            name=found.name,
            session=found.session,
            seq=found.seq,
            fields=MappingProxyType(found.fields),
        )


def read(
    stream: Iterable[str] | Iterable[bytes],
    *,
    key: bytes | str,
    session: str | None = None,
    nonce: str | None = None,
    after: int = 0,
) -> EventReader:
    """The events in a stream, one after the other; see `EventReader` for the arguments.

    Returns:
        An iterator of `Event` whose `refused` counts the lines that were none.

    Raises:
        ValueError: That is no key.
    """
    return EventReader(stream, key=key, session=session, nonce=nonce, after=after)


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of an event, in the form of jupyter_events.

    Raises:
        NotFound: There is no event of that name.
    """
    if name not in NAMES:
        raise NotFound(f"there is no event {name!r}", hint=f"one of: {', '.join(sorted(NAMES))}")
    file = files("flow_kernel.records") / "schemas" / "events" / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def _lines(stream: Iterable[str] | Iterable[bytes]) -> Iterator[bytes]:
    """The lines of `stream`; of a long one in a file only the start, whatever its length."""
    readline = getattr(stream, "readline", None)
    if readline is None:
        for item in stream:
            # One item may hold several lines, as the messages of a kernel do.
            yield from _bytes(item).split(b"\n")
        return
    is_inside = False
    while piece := _bytes(readline(2 * LINE_BYTES)):
        if not is_inside:
            yield piece
        is_inside = not piece.endswith(b"\n")


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
