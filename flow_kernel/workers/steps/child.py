"""Makes a forked process what a fresh one would have been, and has it run its step.

Called by `host_process` in what it forks; nothing of it returns.
"""

import _signal  # type: ignore[import-not-found] # `signal` takes a starting host 4 ms
import errno
import marshal
import os
import sys
import time

from flow_kernel.workers.steps import script_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from flow_kernel.workers.steps.compiled import Compiled
    from flow_kernel.workers.steps.marking import TagPlace

_STDOUT, _STDERR = 1, 2
_NOT_FOUND, _NOT_RUNNABLE = 127, 126
_RESTORED = ("SIGPIPE", "SIGXFSZ")
"""Python ignores them for itself; a program is to begin with what the system has for them."""


def become(
    order: "dict[str, Any]", fds: "Sequence[int]", place: "TagPlace", codes: "Compiled"
) -> "NoReturn":
    """Run a step and exit.

    Args:
        order: See `host_process`.
        fds: Its stdout and its stderr.
        place: Of the tag.
        codes: What was compiled before.
    """
    try:
        _arrange(order, fds, place)
        if order["source"] is None:
            _execute(order["argv"])
        if order["is_fresh"]:
            _execute(_fresh(order))
        script_main.run(
            order["source"],
            filename=order["filename"],
            argv=order["argv"],
            path=order["path"],
            code=codes.known(order["source"], order["filename"]),
        )
    except BaseException as error:  # noqa: BLE001 - the end of a process: it is told
        try:
            _tell(f"the step cannot be started: {error}")
        except BaseException:  # noqa: BLE001 - nobody is left to tell
            pass
    os._exit(1)


def _arrange(order: "dict[str, Any]", fds: "Sequence[int]", place: "TagPlace") -> None:
    os.dup2(fds[0], _STDOUT)
    os.dup2(fds[1], _STDERR)
    for fd in fds:
        os.close(fd)
    for name in order["unset"]:
        os.environ.pop(name, None)
    for name, value in order["set"].items():
        os.environ[name] = value
    if "TZ" in order["set"] or "TZ" in order["unset"]:
        time.tzset()
    place.wear(order["tag"])
    os.chdir(order["cwd"])
    if order["source"] is not None and not order["is_fresh"]:
        _begin_here(order["cwd"])


def forget() -> None:
    """What libraries remember of the moment of their import; `random` sees to itself."""
    loaded: dict[str, Any] = sys.modules
    if (processes := loaded.get("multiprocessing.process")) is not None:
        key = processes.AuthenticationString(os.urandom(32))
        processes.current_process()._config["authkey"] = key
    if (numpy_random := loaded.get("numpy.random")) is not None:
        numpy_random.seed()


def _begin_here(cwd: str) -> None:
    """The same of the time and the place."""
    loaded: dict[str, Any] = sys.modules
    if (logs := loaded.get("logging")) is not None and hasattr(logs, "_startTime"):
        logs._startTime = time.time()
    if (processes := loaded.get("multiprocessing.process")) is not None:
        processes.ORIGINAL_DIR = cwd


def _fresh(order: "dict[str, Any]") -> list[str]:
    """A program that runs the source in an interpreter of its own."""
    memory = os.memfd_create("flow-step", 0)
    what = (order["source"], order["filename"], order["argv"], order["path"])
    os.write(memory, marshal.dumps(what))
    return [sys.executable, "-P", script_main.__file__, f"/proc/self/fd/{memory}"]


def _execute(argv: "Sequence[str]") -> "NoReturn":
    for name in _RESTORED:
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    try:
        os.execvp(argv[0], [*argv])  # noqa: S606 - no shell: it would change the arguments
    except OSError as error:
        _tell(f"{argv[0]}: {error.strerror}")
        os._exit(_NOT_FOUND if error.errno == errno.ENOENT else _NOT_RUNNABLE)


def _tell(text: str) -> None:
    os.write(_STDERR, f"{text}\n".encode(errors="backslashreplace"))
