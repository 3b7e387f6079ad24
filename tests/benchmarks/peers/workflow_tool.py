"""What every workflow engine answers, over lines of JSON: the same chain, the same clock.

Run inside the process of a peer: the files `workflow_*.py` beside this one implement `Engine` and
call `serve`. Its working directory is empty at the first start and its own.

    {"do": "begin"}                                 everything is there that a first run waits for
    {"do": "chain", "length": N}                    N steps, one after the other
    {"do": "go", "length": N, "nap_s": S}           the same, slower and traced: it will be killed
    {"do": "resume", "length": N, "nap_s": S}       what is documented for after that
    {"do": "storage", "length": N}                  1 MB that no step changes; bytes on the disk
    {"do": "end"}                                   nothing of it is left
"""

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

TRACE: Final = "trace"
RUNNER: Final = "runner.pid"
"""The file that names the process which goes through a chain."""


class Engine(Protocol):
    """One way to run a chain of `inc`."""

    def begin(self) -> None:
        """Import, connect, start servers; run nothing."""

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        """Run it; its last number."""

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        """Go on with the chain that was killed; its last number."""

    def storage(self, length: int) -> int | None:
        """Bytes on the disk after a chain that carries 1 MB along; None where it keeps nothing."""

    def end(self) -> None:
        """Leave nothing running."""


class _Desk:
    """Answers for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request.pop("do")
        gc.collect()
        began = time.perf_counter()
        found = getattr(self, f"do_{do}")(**request)
        return {"ms": (time.perf_counter() - began) * 1000, "found": found}

    def do_begin(self) -> None:
        self._engine.begin()

    def do_chain(self, length: int) -> None:
        _expect(self._engine.chain(length), length)

    def do_go(self, length: int, nap_s: float) -> None:
        Path(RUNNER).write_text(str(os.getpid()), encoding="ascii")
        self._engine.chain(length, nap_s, _trace())

    def do_resume(self, length: int, nap_s: float) -> None:
        _expect(self._engine.resume(length, nap_s, _trace()), length)

    def do_storage(self, length: int) -> int | None:
        return self._engine.storage(length)

    def do_end(self) -> None:
        self._engine.end()


def serve(make: Callable[[], Engine]) -> None:
    """Answer requests until stdin ends."""
    # Steps that are programs import this file and `workflow_work`. What lies beside `line_answers`
    # has names that an engine may mean others by, as `watchdog`, so it is not found for longer.
    import line_answers

    above = str(Path(line_answers.__file__).parent)
    sys.path[:] = [entry for entry in sys.path if entry != above]
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    line_answers.serve(lambda: _Desk(make()).answer)


def _trace() -> str:
    return str(Path(TRACE).absolute())


def _expect(found: int, length: int) -> None:
    if found != length:
        raise ValueError(f"{found} came out of {length} steps")
