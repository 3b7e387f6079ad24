r"""The lines of `jupyter flow repl`: what a client may say, and how it is answered (pure).

Called by `repl_session`.

    in   {"code":TEXT, "id"?, "isolated"?, "timeout"?, "stream"?}          run a cell
         {"input":TEXT}                                                  to the cell that asks
         {"approve":A-ID, "decision":"yes"|"no", "comment"?}             answer a question
    out  {"id", "success", "stdout", "stderr", "result", "error", "debug_info"}
         {"id", "stream", "text"}   {"event":{"name", …}}   {"input_request":{"prompt"}}
         {"error":{"type", "message", "hint"}}

Each line is one JSON object. A line that is none of these is refused as a whole: a key that is not
known may be a misspelled one that matters.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from flow_kernel.errors import FlowError, UsageError

CHUNK_BYTES: Final = 64 * 1024
"""Most bytes of text in one piece of a stream, as UTF-8."""
LINE_BYTES: Final = 8 * 1024 * 1024
"""Longest line that is read."""
MAX_TIMEOUT_S: Final = 10 * 366 * 86400.0
DECISIONS: Final = {"yes": "approve", "no": "reject"}

_EXACT_INT: Final = 2.0**63
_NAMED: Final = 40

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCell:
    """A cell to run.

    Attributes:
        id: What the client calls it; comes back with the answer.
        code: Its source.
        is_isolated: It is to run in a worker.
        timeout_s: How long it may take; None for ever, or as the session says.
        is_streamed: Output is told as it comes.
        size: Bytes of the line.
    """

    id: Scalar
    code: str
    is_isolated: bool = False
    timeout_s: float | None = None
    is_streamed: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveInput:
    """What the running cell gets for its `input()`."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide:
    """The answer to a question.

    Attributes:
        approval_id: As the client wrote it.
        decision: approve or reject.
        comment: Why, or nothing.
    """

    approval_id: str
    decision: str
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that cannot be followed.

    Attributes:
        error: Why.
        id: Of the request, where it could be read; None otherwise.
    """

    error: FlowError
    id: Scalar = None


Request = RunCell | GiveInput | Decide


def parse(line: bytes) -> Request | Refused | None:
    """What one line asks for; None for a blank one.

    Args:
        line: Without its newline; anything.
    """
    if not line.strip():
        return None
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Refused(error=_no_json(str(error)))
    if not isinstance(said, dict):
        return Refused(error=_no_json("a request is an object"))
    try:
        return _request(said, len(line))
    except UsageError as error:
        return Refused(error=error, id=_id_or_none(said.get("id")))


def too_long() -> Refused:
    """What is said of a line that was not read to its end."""
    return Refused(
        error=UsageError(
            f"a line is longer than {LINE_BYTES // 2**20} MiB; it was skipped",
            hint="put the code into a file and run that",
        )
    )


def _request(said: dict[str, object], size: int) -> Request:
    if "code" in said:
        _only(said, ("id", "code", "isolated", "timeout", "stream"))
        return RunCell(
            id=_scalar(said.get("id")),
            code=_text(said, "code"),
            is_isolated=_flag(said, "isolated"),
            timeout_s=None if said.get("timeout") is None else checked_timeout(said["timeout"]),
            is_streamed=_flag(said, "stream"),
            size=size,
        )
    if "input" in said:
        _only(said, ("input",))
        return GiveInput(text=_text(said, "input"))
    if "approve" in said:
        _only(said, ("approve", "decision", "comment"))
        decision = said.get("decision")
        if not isinstance(decision, str) or decision not in DECISIONS:
            raise UsageError('"decision" is yes or no')
        comment = _text(said, "comment") if "comment" in said else ""
        return Decide(
            approval_id=_text(said, "approve"), decision=DECISIONS[decision], comment=comment
        )
    raise UsageError("a request has code, input or approve", hint="see: jupyter flow repl --help")


def checked_timeout(value: object) -> float:
    """A timeout in seconds.

    Raises:
        UsageError: It is no number, or no time that can be waited.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(value) <= MAX_TIMEOUT_S:  # type: ignore[arg-type]  # a number
        raise UsageError('"timeout" is a number of seconds, more than none')
    return float(value)  # type: ignore[arg-type]  # checked above


def _only(said: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in said:
        if key not in known:
            raise UsageError(
                f"such a request has no key {key[:_NAMED]!r}",
                hint=f"its keys are {', '.join(known)}",
            )


def _text(said: Mapping[str, object], key: str) -> str:
    value = said[key]
    if not isinstance(value, str):
        raise UsageError(f'"{key}" is text')
    return value


def _flag(said: Mapping[str, object], key: str) -> bool:
    value = said.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f'"{key}" is true or false')
    return value


def _scalar(value: object) -> Scalar:
    if isinstance(value, float) and abs(value) >= _EXACT_INT:
        raise UsageError('"id" is a number that would not come back exactly', hint="use text")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise UsageError('"id" is text, a number, true, false or null')


def _id_or_none(value: object) -> Scalar:
    try:
        return _scalar(value)
    except UsageError:
        return None


def _no_json(why: str) -> UsageError:
    return UsageError(f"a line is no request: {why}", hint="each line is one JSON object")


# -- what is said ----------------------------------------------------------------------------------


def line_of(said: Mapping[str, object]) -> bytes:
    """One object as a line, with its newline; lone surrogates and odd numbers are told as text."""
    try:
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a cell has printed what is no Unicode
        return orjson.dumps(clean(said), option=orjson.OPT_APPEND_NEWLINE)


def clean(value: object) -> object:
    """`value` as JSON that every reader takes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    return value if value is None else str(value)


def chunk(request_id: Scalar, stream: str, text: str) -> dict[str, object]:
    """A piece of a stream."""
    return {"id": request_id, "stream": stream, "text": text}


def event(name: str, fields: Mapping[str, object]) -> dict[str, object]:
    """An event; none has a field of its own that is called `name`."""
    return {"event": {"name": name, **fields}}


def input_request(prompt: str, *, is_password: bool) -> dict[str, object]:
    """A cell waits for `input`."""
    asked: dict[str, object] = {"prompt": prompt}
    return {"input_request": {**asked, "password": True} if is_password else asked}


def error(failure: FlowError, request_id: Scalar = None) -> dict[str, object]:
    """A line that could not be followed; with the id of its request, where there is one."""
    facts = {
        "type": type(failure).__name__,
        "message": failure.message,
        "hint": failure.hint,
    }
    return {"error": facts} if request_id is None else {"id": request_id, "error": facts}


def chunks(text: str) -> Iterator[str]:
    """`text` in pieces of `CHUNK_BYTES` at most; no character is split."""
    if len(text) * 4 <= CHUNK_BYTES:
        if text:
            yield text
        return
    data = text.encode("utf-8", "surrogatepass")
    start = 0
    while start < len(data):
        end = min(start + CHUNK_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield data[start:end].decode("utf-8", "surrogatepass")
        start = end
