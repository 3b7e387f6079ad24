"""An error that a worker has raised, as the cell of the session raises it again (pure).

Raised by `shell.isolated.cell`. `except` and clients see the class that the worker named, where
that is one of Python's own and no `SyntaxError`; the traceback is the worker's, line by line.
"""

import builtins
from typing import Any


class RelayedError(Exception):
    """Raised in a worker; its traceback shows where."""

    _lines: tuple[str, ...] = ()

    def _render_traceback_(self) -> list[str]:
        return list(self._lines)  # IPython asks for the lines to show


def relayed(reply: dict[str, Any]) -> BaseException:
    """The error that an execute reply tells of.

    Args:
        reply: Its content, from another process: anything.
    """
    name, value = str(reply.get("ename") or "Error"), str(reply.get("evalue") or "")
    lines = reply.get("traceback")
    shown = tuple(str(line) for line in lines) if isinstance(lines, list) else ()
    error: Any = _made(name, value)
    error._lines = shown or (f"{name}: {value}",)
    found: BaseException = error
    return found


def _made(name: str, value: str) -> Any:
    known = getattr(builtins, name, None)
    bases: tuple[type, ...] = (RelayedError,)
    # IPython shows an error of syntax in its own way: our frames, and no line of the worker's.
    if isinstance(known, type) and issubclass(known, BaseException):
        if issubclass(known, Exception) and not issubclass(known, SyntaxError):
            bases = (RelayedError, known)
        elif not issubclass(known, Exception):
            bases = (known,)
    for chosen in (bases, (RelayedError,)):
        try:
            kind = type(
                name, chosen,
                {"__module__": "builtins", "__str__": lambda _: value, "_lines": (),
                 "_render_traceback_": RelayedError._render_traceback_},
            )  # fmt: skip
            return kind(value)
        except (TypeError, ValueError):  # its class wants more than a text, or its name is none
            continue
    return RelayedError(value)
