"""Ours among the pools: a live kernel that is asked what the processes of the peers are asked.

Called by `pools.py`.
"""

import json
from typing import Any, Final

from harness import Bench
from live import FLOW, Kernel
from peers import HERE

_ROOT: Final = HERE.parent.parent
_SETUP: Final = "import sys; sys.path.insert(0, {here!r}); import pool_session"
_FRESH: Final = "import numpy as np; big = np.ones({count})"
_KEEP: Final = "%%isolated --in none\nimport numpy as np; kept = np.ones({count})"
_STIR: Final = "big[0] += 1"


class FlowPool:
    """A session of ours, begun anew at each `start`; see `peers/pool_tool.py` for the requests.

    Args:
        bench: Has the folders.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._kernel: Kernel | None = None
        self._has_arrays = False
        self._answers = bench.folder("answers")
        # What a worker has to import is learned once for each user, not for each session.
        self._env = {"PYTHONPATH": str(_ROOT), "JUPYTER_DATA_DIR": str(bench.folder("data"))}

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            RuntimeError: It failed; the message says why.
        """
        if do in ("start", "end"):
            self._end()
        if do == "end":
            return {}
        if do == "start":
            self._begin()
        if do.startswith("array_"):
            self._have_arrays(request.pop("count"))
        if do == "array_in":
            self._execute(_STIR)
        path = self._answers / "answer.json"
        path.unlink(missing_ok=True)
        self._execute(f"pool_session.answer({str(path)!r}, {do!r}, **{request!r})")
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "error" in answer:
            raise RuntimeError(f"flow, {do}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End its kernel."""
        self._end()

    def _begin(self) -> None:
        self._kernel = Kernel(FLOW, self._bench.folder("kernel"), env=self._env)
        self._execute(_SETUP.format(here=str(HERE)))

    def _have_arrays(self, count: int) -> None:
        if not self._has_arrays:
            self._has_arrays = True
            self._execute(_FRESH.format(count=count))
            self._execute(_KEEP.format(count=count))

    def _execute(self, code: str) -> None:
        if self._kernel is None:
            raise RuntimeError("flow is asked before its start")
        self._kernel.execute(code)

    def _end(self) -> None:
        self._has_arrays = False
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
