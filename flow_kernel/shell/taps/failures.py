"""How a cell failed, from what IPython and ipykernel say, without running the error's own code.

Called by `shell.attach`. `str(error)` is code of the user's class, so the text is taken from the
reply or the traceback message that ipykernel made anyway; attributes are read through the
descriptors of the builtin exceptions.
"""

from collections.abc import Mapping, Set
from types import TracebackType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.cell import Failure

globals()["__builtins__"] = FROZEN_BUILTINS

_type_name: Final = type.__dict__["__name__"].__get__
_traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
_syntax_line: Final = SyntaxError.__dict__["lineno"].__get__
_SYNTAX_TYPES: Final = (SyntaxError, IndentationError, TabError)


def failure_of_result(result: Any) -> tuple[Failure | None, BaseException | None]:
    """The failure that an `ExecutionResult` tells of, and the exception itself."""
    if result is None:
        return Failure(ename="Unknown", evalue="the cell did not end in order", traceback=()), None
    error = result.error_before_exec
    if error is None:
        error = result.error_in_exec
    if error is None:
        return None, None
    kind = error if type(error) is type else type(error)
    return Failure(ename=_type_name(kind), evalue="", traceback=()), error


def failure_of_reply(reply: Mapping[str, Any]) -> Failure | None:
    """The failure that the content of an `execute_reply` tells of."""
    if reply.get("status") != "error":
        return None
    return Failure(
        ename=_text(reply.get("ename")) or "Error",
        evalue=_text(reply.get("evalue")),
        traceback=tuple(_text(line) for line in reply.get("traceback") or ()),
    )


def line_in_cell(error: BaseException, filenames: Set[str]) -> int | None:
    """The line of the cell that failed: of its deepest frame, or where the syntax is wrong."""
    if type(error) in _SYNTAX_TYPES:
        line = _syntax_line(error)
        return line if type(line) is int else None
    found = None
    step = _traceback_of(error)
    while type(step) is TracebackType:
        if step.tb_frame.f_code.co_filename in filenames:
            found = step.tb_lineno
        step = step.tb_next
    return found


def _text(value: object) -> str:
    return value if type(value) is str else ""
