"""How scripts of bash end that do not end well, in words (pure).

Called by `service` with what `shell.worker.script` has told, which is another process: anything.

    128 + n    of a command that signal n has ended: so says bash
    126, 127   the command is no program, or there is none
"""

import signal
from collections.abc import Mapping
from typing import Final

from flow_kernel.errors import IsolationUnavailable, ScriptFailed
from flow_kernel.records.process import signal_name

_SIGNALS: Final = 128
_SEEN_BY_BASH: Final = {
    126: ": a command cannot be executed",
    127: ": a command was not found",
}


class ScriptInterrupted(KeyboardInterrupt):
    """A script that a person has stopped; shown without a traceback, of which it has none."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt"]  # IPython asks for the lines to show


# Clients, and the record of the cell, know it by this name.
ScriptInterrupted.__name__ = ScriptInterrupted.__qualname__ = "KeyboardInterrupt"


def script_error(ended: object) -> BaseException | None:
    """What a cell raises whose script has failed; None where nothing tells how."""
    told = ended if isinstance(ended, Mapping) else {}
    if told.get("is_missing"):
        return IsolationUnavailable(
            "the worker found no bash to run the script with; nothing was run",
            hint="install bash, or put it on the PATH",
        )
    code = told.get("returncode")
    if type(code) is not int:
        return None
    if told.get("was_interrupted"):
        return ScriptInterrupted()
    if code < 0:
        return ScriptFailed(f"the script was ended by {signal_name(-code)}", returncode=code)
    meant = _SEEN_BY_BASH.get(code, "")
    if code > _SIGNALS and _is_known(code - _SIGNALS):
        meant = f": {signal_name(code - _SIGNALS)} has ended its last command"
    return ScriptFailed(f"the script ended with exit code {code}{meant}", returncode=code)


def left_running(ended: object) -> str:
    """What is told of processes that a script left behind; empty where it left none."""
    told = ended if isinstance(ended, Mapping) else {}
    left, code = told.get("left"), told.get("returncode")
    if type(left) is not int or left < 1 or type(code) is not int or told.get("was_interrupted"):
        return ""
    what = "a process that the script left running was" if left == 1 else (
        f"{left} processes that the script left running were"
    )  # fmt: skip
    return f"{what} ended: nothing of a script outlives its cell"


def _is_known(number: int) -> bool:
    return number in {each.value for each in signal.Signals}
