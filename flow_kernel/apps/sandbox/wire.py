"""The messages of the sandbox: what a client may say, and how each answer is written (pure).

Used by `connection`, which reads, and by `stream` and `task`, which write. The table of all
messages is docs/sandbox.md; their schemas are `schemas/*.json`.

A message with a `seq` of its own belongs to the stream of its task, counted from 1 and kept for
whoever comes back. Answers to a question have `seq` 0 and the `id` of the question, if it had one.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from flow_kernel.errors import UsageError
from flow_kernel.records.plain import one_line
from flow_kernel.workers.limits import LEAST_MEMORY_BYTES, Requirements, requirements_of

DEFAULT_TIMEOUT_MS: Final = 300_000
MOST_TIMEOUT_MS: Final = 7 * 86_400_000
MOST_CHARS: Final = 512 * 1024
"""Of a command, a cell or an input."""
MOST_BYTES: Final = 1 << 20
"""Of a message."""
MOST_PRIORITY: Final = 1000
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_WORKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_MOST_PATH: Final = 4096
_MOST_SEQ: Final = 2**53
_ABOUT_NO_TASK: Final = ("ping", "getHealth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Run something, or go on to hear of what runs.

    Attributes:
        id: Of the message; None where it has none.
        task_id: Chosen by the client; empty for one that we choose.
        source: Of bash or of Python.
        is_command: True for bash.
        workspace: Where it runs; empty for the root of the server.
        worker: The name of a worker that keeps its variables; None for a new one.
        needs: What is promised to it; memory is a limit as well.
        priority: The greatest first.
        timeout_s: It may run so long.
        resume_from: Nothing is run: the first message of the stream that is wanted; None to run.
    """

    id: str | None
    task_id: str = ""
    source: str = ""
    is_command: bool = False
    workspace: str = ""
    worker: str | None = None
    needs: Requirements = field(default_factory=Requirements)
    priority: int = 0
    timeout_s: float = DEFAULT_TIMEOUT_MS / 1000
    resume_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """End a task."""

    id: str | None
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A line for a task that reads; None for the end of its input."""

    id: str | None
    task_id: str
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Answered at once."""

    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetHealth:
    """How the workers are."""

    id: str | None


Request = Execute | Terminate | Input | Ping | GetHealth


class Refused(UsageError):
    """A message that cannot be followed; `reason`, `task_id` and `id` go into the answer."""

    def __init__(
        self, message: str, *, reason: str = "bad_message", task_id: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.task_id = task_id
        self.id: str | None = None


def read(data: str | bytes) -> Request:
    """What a message wants.

    Raises:
        Refused: That cannot be told.
    """
    if len(data) > MOST_BYTES:
        raise Refused(f"a message may have {MOST_BYTES:,} bytes", reason="too_large")
    try:
        said = orjson.loads(data)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise Refused("the message is no JSON") from None
    if not isinstance(said, dict):
        raise Refused("the message is no JSON object")
    try:
        return _request(said)
    except Refused as error:
        error.id = _quoted(said.get("id"))
        error.task_id = error.task_id or _quoted(said.get("taskId")) or ""
        raise


def frame(kind: str, task_id: str | None, worker_id: str | None, seq: int, /, **more: Any) -> bytes:
    """One message, as it is sent.

    Args:
        kind: Its type.
        task_id: That it is about; None for none.
        worker_id: Where that runs; None for nowhere, or nobody knows.
        seq: In the stream of the task; 0 where it is not part of one.
        more: Its own fields.
    """
    told = {
        "type": kind,
        "taskId": task_id,
        "workerId": worker_id,
        "seq": seq,
        "timestamp": time.time_ns() // 1_000_000,
        **more,
    }
    try:
        return orjson.dumps(told)
    except (TypeError, ValueError):  # half a character
        with suppress(TypeError, ValueError, RecursionError):
            return orjson.dumps(_sound(told))
    told.pop("data", None)  # too deep, or a number too great: its other forms are enough
    return orjson.dumps(_sound(told))


def _request(said: Mapping[str, Any]) -> Request:
    kind = said.get("type")
    known = _READERS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise Refused(f"type is none of {', '.join(_READERS)}")
    fields, reader = known
    unknown = next((key for key in said if key not in fields and key not in ("type", "id")), None)
    if unknown is not None:
        raise Refused(f'{kind} has no field "{one_line(unknown, 40)}"')
    null = next((key for key, value in said.items() if value is None), None)
    if null is not None and not (null == "taskId" and kind in _ABOUT_NO_TASK):
        raise Refused(f"{null} is null", hint="leave it out")
    if "id" in said and _quoted(said["id"]) is None:
        raise Refused("id is no text of 1 to 128 characters")
    return reader(said)


def _execute(said: Mapping[str, Any]) -> Execute:
    resume_from = said.get("resumeFrom")
    task_id = _task_id(said, is_needed=resume_from is not None)
    if resume_from is not None:
        others = [key for key in said if key not in ("type", "id", "taskId", "resumeFrom")]
        if others:
            raise Refused("resumeFrom runs nothing: only taskId goes with it")
        first = _whole(said, "resumeFrom", 0, _MOST_SEQ)
        return Execute(id=said.get("id"), task_id=task_id, resume_from=max(first, 1))
    sources = [key for key in ("command", "code") if said.get(key) is not None]
    if len(sources) != 1:
        raise Refused("exactly one of command and code has to be there")
    return Execute(
        id=said.get("id"),
        task_id=task_id,
        source=_text(said, sources[0], MOST_CHARS),
        is_command=sources == ["command"],
        workspace=_text(said, "workspace", _MOST_PATH, may_be_empty=True, default=""),
        worker=_worker(said),
        needs=_needs(said),
        priority=_whole(said, "priority", -MOST_PRIORITY, MOST_PRIORITY, 0),
        timeout_s=_timeout_s(said),
    )


def _needs(said: Mapping[str, Any]) -> Requirements:
    if said.get("requirements") is None:
        return Requirements()
    try:
        needs = requirements_of(said["requirements"])
    except UsageError as error:
        raise Refused(f"requirements: {error.message}", hint=error.hint) from None
    if 0 < needs.memory_bytes < LEAST_MEMORY_BYTES:
        raise Refused(
            f"requirements: memory is less than the {LEAST_MEMORY_BYTES / 1e6:.0f} MB that an"
            " interpreter takes"
        )
    return needs


def _timeout_s(said: Mapping[str, Any]) -> float:
    value = said.get("timeout")
    if value is None:
        return DEFAULT_TIMEOUT_MS / 1000
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 < value <= MOST_TIMEOUT_MS:
        raise Refused(f"timeout is no number of milliseconds above 0 and up to {MOST_TIMEOUT_MS}")
    return float(value) / 1000


def _worker(said: Mapping[str, Any]) -> str | None:
    value = said.get("worker")
    if value is not None and (not isinstance(value, str) or not _WORKER.fullmatch(value)):
        raise Refused("worker is no name of at most 48 letters, digits, dots and dashes")
    return value


def _input(said: Mapping[str, Any]) -> Input:
    task_id = _task_id(said, is_needed=True)
    eof = said.get("eof", False)
    if not isinstance(eof, bool) or eof == (said.get("input") is not None):
        raise Refused('there has to be either a text "input" or "eof": true')
    text = None if eof else _text(said, "input", MOST_CHARS, may_be_empty=True)
    return Input(id=said.get("id"), task_id=task_id, text=text)


def _task_id(said: Mapping[str, Any], *, is_needed: bool) -> str:
    value = said.get("taskId")
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refused("taskId is no text of 1 to 128 letters, digits, dots, colons and dashes")
    return value


def _asked(said: Mapping[str, Any]) -> str | None:
    if not isinstance(said.get("taskId"), str | None):
        raise Refused("taskId is no text")
    return said.get("id")


def _text(
    said: Mapping[str, Any],
    key: str,
    most: int,
    *,
    may_be_empty: bool = False,
    default: str | None = None,
) -> str:
    value = said.get(key, default)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise Refused(f"{key} is no text")
    if len(value) > most:
        raise Refused(f"{key} may have {most:,} characters", reason="too_large")
    return value


def _whole(
    said: Mapping[str, Any], key: str, least: int, most: int, default: int | None = None
) -> int:
    value = said.get(key, default)
    if type(value) is float and value.is_integer():  # some write all numbers so
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"{key} is no whole number between {least} and {most}")
    return value


def _quoted(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_sound(str(key)): _sound(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(each) for each in value]
    return value if isinstance(value, int | float | bool | type(None)) else str(value)


_READERS: Final[dict[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], Request]]]] = {
    "execute_command": (
        frozenset(
            {
                *("taskId", "command", "code", "workspace", "worker", "requirements", "priority"),
                *("timeout", "resumeFrom"),
            }
        ),
        _execute,
    ),
    "terminate_task": (
        frozenset({"taskId"}),
        lambda said: Terminate(id=said.get("id"), task_id=_task_id(said, is_needed=True)),
    ),
    "send_input": (frozenset({"taskId", "input", "eof"}), _input),
    "ping": (frozenset({"taskId"}), lambda said: Ping(id=_asked(said))),
    "getHealth": (frozenset({"taskId"}), lambda said: GetHealth(id=_asked(said))),
}
