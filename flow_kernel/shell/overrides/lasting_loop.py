"""A kernel's event loop goes on until somebody asks for the end of the kernel.

Used by `shell.overrides.sure_reply`, for a kernel that starts.

In stock ipykernel the kernel is gone, with all it held, when a task or a callback of the user's
raises SystemExit or KeyboardInterrupt, and when somebody calls `stop` of the loop. None of them
harms the loop: what was scheduled still is. So it is run again, and the next cell says why.

The same holds where the loop itself fails, because a cell has patched what it calls: what was
patched is put right before. Only one that fails again and again is left for good.

An end that was asked for is one by the front end, or by `exit()` in a cell: for both IPython sets
`exit_now`. A loop that somebody closed cannot be run again, and the kernel ends as it always did.

Proven for ipykernel 7.0 to 7.4 and tornado 6; only `start` of the loop is put in place of another.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

ASKED: Final = "_flow_asked"
"""Attribute of an interrupt that a person has asked for: it is no news."""
_FAILED: Final = 10
_FAILED_S: Final = 1.0
_monotonic: Final = time.monotonic
_GOES_ON: Final = "the kernel goes on; exit() ends it"


def keep_running(kernel: Any) -> None:
    """Have the loop of a kernel, which is about to be run, go on.

    Args:
        kernel: With `say`, which is told why the loop was left, and with `repairs`.
    """
    loop = kernel.io_loop
    # No function of ours in between: a cell can recurse as deep as in stock ipykernel.
    loop.start = partial(run, kernel, loop.start)


def run(kernel: Any, start: Callable[[], None]) -> None:
    """Call `start` of the loop until the end was asked for.

    Raises:
        Exception: What made the loop fail, again and again.
    """
    failed: list[float] = []
    while True:
        try:
            start()
            why = "the event loop was stopped"
        except Exception as error:
            now = _monotonic()
            failed = [each for each in failed if now - each < _FAILED_S] + [now]
            if len(failed) > _FAILED or _is_over(kernel):
                raise
            kernel.repairs.after_failure()
            why = f"the event loop failed ({type(error).__name__})"
        except KeyboardInterrupt as error:
            why = "" if hasattr(error, ASKED) else _raised("KeyboardInterrupt")
            if _is_over(kernel):
                raise
        except SystemExit as error:
            code = error.code if type(error.code) in (int, str) else ""
            why = _raised(f"SystemExit({code!r})" if code != "" else "SystemExit")
            if _is_over(kernel):
                raise
        if _is_over(kernel):
            return
        if why:
            kernel.say(f"{why}; {_GOES_ON}")


def _raised(what: str) -> str:
    return f"a task or a callback raised {what}"


def _is_over(kernel: Any) -> bool:
    return (
        kernel.parent.trio_loop
        or bool(kernel.shell.exit_now)
        or kernel.io_loop.asyncio_loop.is_closed()
    )
