"""Calls of a worker to its session as text: what is wanted, what came of it (pure).

Called by `shell.worker.calls` in the worker and by `shell.isolated.calls` in the session.

    call    {"op": name, "args": {…}}
    answer  {"value": JSON}  |  {"shown": {"text", "html", "is_true"}}  |  {"error": {…}}

The text is ASCII, so that a lone surrogate passes every layer between. An error of ours arrives as
its own class with its message, its hint and its data.
"""

import json
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError

from flow_kernel import errors
from flow_kernel.errors import FlowError, IsolationUnavailable, UsageError
from flow_kernel.session.checkpoints.errands import Wish
from flow_kernel.session.context_values import strict_json
from flow_kernel.shell.worker.relayed import relayed

_DATA: Final = (str, int, float, bool, tuple, type(None))


class Shown(str):
    """An answer of the session that is no JSON: its text, as true as what it stands for."""

    __slots__ = ("_html", "_is_true")

    def __new__(cls, text: str, html: str = "", is_true: bool = True) -> "Shown":
        """The text of the answer, how a notebook shows it, and its truth."""
        shown = super().__new__(cls, text)
        shown._html = html
        shown._is_true = is_true
        return shown

    _html: str
    _is_true: bool

    def __bool__(self) -> bool:
        return self._is_true

    def __repr__(self) -> str:
        return str.__str__(self)

    def _repr_html_(self) -> str | None:
        return self._html or None

    def __reduce__(self) -> tuple[Any, ...]:
        return Shown, (str.__str__(self), self._html, self._is_true)


def call_text(op: str, args: Mapping[str, object]) -> str:
    """A call.

    Args:
        op: What is wanted.
        args: By name.

    Raises:
        UsageError: An argument is not JSON; the message names it.
    """
    for name, value in args.items():
        if type(value) is str:  # also one that is not UTF-8: the session knows what to do with it
            continue
        try:
            strict_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"{name} is not JSON ({error}); nothing was done") from None
    return json.dumps({"op": op, "args": dict(args)})


def read_call(text: str) -> tuple[str, dict[str, Any]]:
    """What is wanted, and its arguments.

    Raises:
        UsageError: That is no call.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    op = found.get("op") if isinstance(found, dict) else None
    args = found.get("args") if isinstance(found, dict) else None
    if not isinstance(op, str) or not isinstance(args, dict):
        raise UsageError("a worker sent a call that is none")
    return op, args


def value_text(value: object) -> str:
    """An answer: JSON as it is, anything else as it shows itself."""
    if type(value) in (str, bool, int, float, dict, list, type(None)):
        return json.dumps({"value": value})
    # What stands below the cell already is said in one line.
    is_there = getattr(value, "is_shown", None) is True
    html = None if is_there else getattr(type(value), "_repr_html_", None)
    shown = {"text": repr(value), "html": html(value) if html else "", "is_true": bool(value)}
    return json.dumps({"shown": shown})


def error_text(error: BaseException) -> str:
    """An answer: the call has failed."""
    known = next((kind for kind in type(error).__mro__ if _is_ours(kind)), None)
    told: dict[str, object] = {"ename": type(error).__name__, "evalue": _said(error)}
    if known is not None and isinstance(error, FlowError):
        data = {k: v for k, v in vars(error).items() if k not in ("message", "hint")}
        told |= {
            "flow": known.__name__,
            "message": error.message,
            "hint": error.hint,
            "data": {k: v for k, v in data.items() if type(v) in _DATA},
        }
    elif isinstance(error, IPythonUsageError):
        told["is_usage"] = True
    return json.dumps({"error": told})


def with_wishes(answer: str, wishes: Sequence[Wish]) -> str:
    """An answer that has the worker take checkpoints first."""
    return json.dumps({**json.loads(answer), "wishes": wishes}) if wishes else answer


def wishes_of(text: str) -> list[Wish]:
    """The checkpoints that the worker is to take before it looks at the answer."""
    if '"wishes": ' not in text:
        return []
    return [Wish(*wish) for wish in json.loads(text).get("wishes", ())]


def value_of(text: str) -> object:
    """What came of a call.

    Raises:
        BaseException: What the session raised.
        IsolationUnavailable: It did not take the call.
    """
    if not text:
        raise IsolationUnavailable("the session did not take the call: its cell has ended")
    answer = json.loads(text)
    if "error" in answer:
        raise _error_of(answer["error"])
    if "shown" in answer:
        return Shown(**answer["shown"])
    return answer["value"]


def _error_of(told: dict[str, Any]) -> BaseException:
    kind = getattr(errors, told.get("flow", ""), None)
    if kind is not None:
        data = {k: tuple(v) if isinstance(v, list) else v for k, v in told["data"].items()}
        known = {"message": told["message"], "hint": told["hint"], **data}
        # What its class takes is what it keeps, under the same names.
        error: FlowError = kind(**{name: known.get(name) for name in signature(kind).parameters})
        vars(error).update(known)
        return error
    if told.get("is_usage"):
        usage: BaseException = IPythonUsageError(told["evalue"])
        return usage
    return relayed(told)


def _is_ours(kind: type) -> bool:
    return kind.__module__ == errors.__name__ and issubclass(kind, FlowError)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the code of its class may raise anything
        return ""
