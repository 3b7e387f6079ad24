"""Our side of the comparison of pools: a session asks a worker, by its own clock.

Imported in a live kernel by `pool_kernel`; it answers what `peers/pool_tool.py` answers. A time is
that of `%%isolated` where it is called, without the cell around it: peers are called from code too.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from IPython.core.getipython import get_ipython
from pool_looks import is_quiet_within, pid_in, said_by

_DEADLINE_S: Final = 120.0
_ONE_PLUS_ONE: Final = "1 + 1"
_CRASH: Final = "import ctypes\nctypes.string_at(0)"
_RUN_AWAY: Final = """
import os, pathlib
_ = pathlib.Path({path!r}).write_text(str(os.getpid()))
while True: pass
"""


def answer(path: str, do: str, **request: Any) -> None:
    """Write what `do_…` finds where the driver reads it."""
    try:
        found = globals()[f"do_{do}"](**request)
    except Exception as error:  # noqa: BLE001 - the one who asked decides what to do
        found = {"error": said_by(error)}
    Path(path).write_text(json.dumps(found), encoding="utf-8")


def do_start() -> dict[str, Any]:
    """The first isolated cell of a session, which begins all that there is for others."""
    return _timed(_ONE_PLUS_ONE)


def do_round_trip() -> dict[str, Any]:
    return _timed(_ONE_PLUS_ONE)


def do_array_in() -> dict[str, Any]:
    return _timed("float(big[0])", "--in big")


def do_array_out() -> dict[str, Any]:
    return _timed("kept[0] += 1", "--in none --out kept")


def do_crash() -> dict[str, Any]:
    began = time.perf_counter()
    try:
        _isolated(_CRASH)
    except Exception as error:  # noqa: BLE001 - it is what is measured
        return {**_since(began), "says": said_by(error)}
    raise ValueError("the worker has lived on")


def do_run_away(timeout_s: float, patience_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pid")
        began = time.perf_counter()
        try:
            _isolated(_RUN_AWAY.format(path=str(path)), f"--in none --timeout {timeout_s:g}")
        except Exception:  # noqa: BLE001 - that it took too long
            found = _since(began + timeout_s)
        pid = pid_in(path, within_s=_DEADLINE_S)
    how = f"--timeout {timeout_s:g}"
    if is_quiet_within(pid, patience_s):
        return {**found, "how": how, "tried": []}
    return {"ms": None, "how": None, "tried": [how]}


def do_after(within_s: float) -> dict[str, Any]:
    try:
        found = _timed(_ONE_PLUS_ONE, f"--in none --timeout {within_s:g}")
    except Exception as error:  # noqa: BLE001 - it is what is measured
        return {"ms": None, "why": said_by(error), "renewal": None}
    return {**found, "why": None, "renewal": None}


def _timed(code: str, options: str = "--in none") -> dict[str, Any]:
    began = time.perf_counter()
    _isolated(code, options)
    return _since(began)


def _isolated(code: str, options: str = "--in none") -> None:
    get_ipython().run_cell_magic("isolated", options, code)


def _since(began: float) -> dict[str, Any]:
    return {"ms": (time.perf_counter() - began) * 1000}
