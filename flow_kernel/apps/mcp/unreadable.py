"""Messages that the SDK cannot read are answered, where they ask for an answer.

Used by `serving`. Text that holds half a character (as JavaScript writes it, escaped) and JSON that
is nested too deep are refused by the SDK's reader, which says so to nobody: the client would wait
for its timeout.
"""

import json
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from flow_kernel.records.plain import one_line

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')
_VALUE: Final = re.compile(r'\s*:\s*(-?[0-9]{1,18}(?![0-9.eE])|"[^"\\]{0,200}")')
_KEY: Final = '"id"'
_REASON_CHARS: Final = 120


class Answered:
    """A stream of messages without those that cannot be read.

    Args:
        read: Of the SDK.
        write: Takes the answers.
        on_end: Called once, when no more messages come.
    """

    def __init__(self, read: Any, write: Any, *, on_end: Callable[[], None]) -> None:
        self._read = read
        self._write = write
        self._on_end: Callable[[], None] | None = on_end

    async def receive(self) -> Any:
        """The next message."""
        while isinstance(item := await self._read.receive(), Exception):
            await self._refuse(item)
        return item

    async def _refuse(self, error: Exception) -> None:
        if not isinstance(error, ValidationError):
            return
        told = error.errors(include_url=False)[0]
        line = told["input"]
        asked_id = id_of(line) if isinstance(line, str) else None
        if asked_id is None:  # no request, or nobody can tell which
            return
        reason = one_line(str(told["msg"]), _REASON_CHARS)
        data = types.ErrorData(
            code=types.PARSE_ERROR,
            message=f"the message cannot be read; nothing was done: {reason}",
        )
        answer = types.JSONRPCError(jsonrpc="2.0", id=asked_id, error=data)
        await self._write.send(SessionMessage(answer))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            while isinstance(item := await self._read.__anext__(), Exception):
                await self._refuse(item)
        except StopAsyncIteration:
            on_end, self._on_end = self._on_end, None
            if on_end is not None:
                on_end()
            raise
        return item

    async def __aenter__(self) -> Self:
        await self._read.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._read.__aexit__(kind, error, traceback)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._read, name)


def id_of(line: str) -> int | str | None:
    """The id of a request that is no good JSON, or too deep; None where there is none (pure)."""
    depth = 0
    for token in _TOKEN.finditer(line):
        text = token[0]
        if text in "[{":
            depth += 1
        elif text in "]}":
            depth -= 1
        elif depth == 1 and text == _KEY and (value := _VALUE.match(line, token.end())):
            found = json.loads(value[1])
            return found if isinstance(found, int | str) else None
    return None
