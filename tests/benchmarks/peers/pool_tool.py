"""What every pool of processes answers, over lines of JSON: the same requests, the same clock.

Run inside the process of a peer: the files `pool_*.py` beside this one implement `Pool` and call
`serve`. Times are from a call to its result, in the process that calls.

    {"do": "start"}                    a new pool of one worker, until it has added one and one
    {"do": "round_trip"}               one and one, once more
    {"do": "array_in", "count": N}     an array of N numbers to the worker, which reads one of them
    {"do": "array_out", "count": N}    such an array back from it, after one of them was changed
    {"do": "crash"}                    a worker that dies of SIGSEGV, until that is said
    {"do": "run_away", "timeout_s": S, "patience_s": P}
                                       a loop without an end, to be stopped after S seconds
    {"do": "after", "within_s": S}     one and one, in what is left of the pool
    {"do": "end"}                      nothing of the pool is left
"""

import ctypes
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import line_answers
import pool_work
from pool_looks import is_busy, is_quiet_within, pid_in, said_by

_DEADLINE_S: Final = 120.0
_PR_SET_CHILD_SUBREAPER: Final = 36


class Stop(NamedTuple):
    """A way to stop a call that does not end: as it is written, and what does it."""

    text: str
    stop: Callable[[Any], object]


class Pool(Protocol):
    """A pool of one worker.

    Attributes:
        has_timeout: `submit` takes a time after which the pool stops the call by itself.
        stops: Ways to stop a call by hand, the gentlest first.
        renewal: What is done to have a pool that works after one that does not, in few words.
    """

    has_timeout: bool
    renewal: str

    @property
    def stops(self) -> Sequence[Stop]: ...

    def begin(self) -> None:
        """Make the pool."""

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        """Begin a call; what comes back has `result(timeout)`."""

    def renew(self) -> None:
        """Have a pool that works, in place of one that does not."""

    def end(self) -> None:
        """Leave nothing running."""


class _Desk:
    """Answers for one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._is_begun = False
        self._array: Any = None
        self._has_array_there = False

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request.pop("do")
        gc.collect()
        found: dict[str, Any] = getattr(self, f"do_{do}")(**request)
        return found

    def do_start(self) -> dict[str, Any]:
        self.do_end()
        began = time.perf_counter()
        self._pool.begin()
        self._is_begun = True
        self._call(pool_work.one_plus_one)
        return _since(began)

    def do_round_trip(self) -> dict[str, Any]:
        began = time.perf_counter()
        self._call(pool_work.one_plus_one)
        return _since(began)

    def do_array_in(self, count: int) -> dict[str, Any]:
        if self._array is None:
            import numpy as np  # none of the starts has to wait for it

            self._array = np.ones(count)
        self._array[0] += 1
        began = time.perf_counter()
        read = self._call(pool_work.first_of, self._array)
        found = _since(began)
        if read != self._array[0]:
            raise ValueError(f"{read} came instead of {self._array[0]}")
        return found

    def do_array_out(self, count: int) -> dict[str, Any]:
        if not self._has_array_there:
            self._call(pool_work.keep, count)
            self._has_array_there = True
        began = time.perf_counter()
        array = self._call(pool_work.changed)
        found = _since(began)
        if len(array) != count:
            raise ValueError(f"{len(array)} numbers came back")
        return found

    def do_crash(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            self._call(pool_work.crash)
        except Exception as error:  # noqa: BLE001 - it is what is measured
            return {**_since(began), "says": said_by(error)}
        raise ValueError("the worker has lived on")

    def do_run_away(self, timeout_s: float, patience_s: float) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "pid")
            job = self._pool.submit(
                pool_work.run_away,
                str(path),
                timeout_s=timeout_s if self._pool.has_timeout else None,
            )
            pid = pid_in(path, within_s=_DEADLINE_S)
        began = time.perf_counter()
        if self._pool.has_timeout:
            with suppress(Exception):  # that it is too late
                job.result(_DEADLINE_S)
            if not is_busy(pid):
                late = _since(began + timeout_s)
                return {**late, "how": f"timeout={timeout_s:g}", "tried": []}
        time.sleep(max(0.0, began + timeout_s - time.perf_counter()))
        tried = []
        for way in self._pool.stops:
            began = time.perf_counter()
            with suppress(Exception):  # whether it has done anything is seen below
                way.stop(job)
            if is_quiet_within(pid, patience_s):
                return {**_since(began), "how": way.text, "tried": tried}
            tried.append(way.text)
        return {"ms": None, "how": None, "tried": tried}

    def do_after(self, within_s: float) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            self._call(pool_work.one_plus_one, within_s=within_s)
        except TimeoutError:
            why = f"no answer in {within_s:g} s"
        except Exception as error:  # noqa: BLE001 - it is what is measured
            why = type(error).__name__
        else:
            return {**_since(began), "why": None, "renewal": None}
        began = time.perf_counter()
        try:
            self._pool.renew()
            self._call(pool_work.one_plus_one)
        except Exception as error:  # noqa: BLE001 - as above
            return {"ms": None, "why": said_by(error), "renewal": self._pool.renewal}
        return {**_since(began), "why": why, "renewal": self._pool.renewal}

    def do_end(self) -> dict[str, Any]:
        self._has_array_there = False
        if self._is_begun:
            self._is_begun = False
            with suppress(Exception):  # of a pool that may be broken
                self._pool.end()
        return {}

    def _call(
        self, function: Callable[..., Any], *arguments: Any, within_s: float = _DEADLINE_S
    ) -> Any:
        return self._pool.submit(function, *arguments).result(within_s)


def serve(make: Callable[[], Pool]) -> None:
    """Answer requests until stdin ends; nothing that the pool has started is left then."""
    # Whatever loses its parent becomes a child of this process, so that it can be found.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Workers that are programs of their own import `pool_work` as well.
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    desk = _Desk(make())
    try:
        line_answers.serve(lambda: desk.answer)
        desk.do_end()
    finally:
        sys.stderr.flush()
        _kill_all()
        os._exit(0)  # a pool may wait for its workers for ever


def _since(began: float) -> dict[str, Any]:
    return {"ms": (time.perf_counter() - began) * 1000}


def _kill_all() -> None:
    """All descendants, until there are none."""
    while children := _children():
        for pid in children:
            with suppress(OSError):
                os.kill(pid, 9)
        with suppress(OSError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        texts = [(task / "children").read_text(encoding="ascii") for task in tasks]
    except OSError:
        return []
    return [int(pid) for text in texts for pid in text.split()]
