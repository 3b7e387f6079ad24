"""The names that IPython has in the session, for when a cell has lost them.

Used by `shell.overrides.repairs` before each cell, and before a result is kept.

IPython keeps results under `_oh` of the session itself: after `globals().clear()`, or `_oh = None`,
each further result is an error in stock ipykernel, and `get_ipython` is gone as well. Here what is
missing is put there again. A name that is bound to something else is a variable of the user's, and
stays: only `_oh` is IPython's own. What it is bound to comes from the shell, not from the session.
"""

from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_RESULTS: Final = "_oh"
_NEEDED: Final = frozenset(("_oh", "_ih", "_dh", "In", "Out", "get_ipython", "exit", "quit"))


class KeptNames:
    """Those of one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def mend(self) -> list[str]:
        """Put back what is missing.

        Returns:
            Its names.
        """
        shell = self._shell
        session = shell.user_ns
        history = shell.history_manager
        if history is None:
            return []
        if session.keys() >= _NEEDED and session[_RESULTS] is history.output_hist:
            return []
        names = {
            "_ih": history.input_hist_parsed,
            "_dh": history.dir_hist,
            "In": history.input_hist_parsed,
            "Out": history.output_hist,
            "get_ipython": shell.get_ipython,
            "exit": shell.exiter,
            "quit": shell.exiter,
        }
        lost = {name: value for name, value in names.items() if name not in session}
        if not isinstance(session.get(_RESULTS), dict):
            lost[_RESULTS] = history.output_hist
        session.update(lost)
        session.setdefault("__name__", "__main__")
        shell.user_ns_hidden.update({name: lost[name] for name in lost})
        return sorted(lost)
