"""Starts a worker on this machine: pipes, a kernel manager, and the word that it is ready.

Called by `starts`, in its own thread: the system takes its end for the owner's.

    fork     the provisioner `flow-zygote` asks a zygote for it
    program  jupyter_client's own provisioner starts `python -m flow_kernel.shell.worker.app`

`wait_for_ready` of jupyter_client's clients is not used: it waits 200 ms for nothing. A worker says
that it is ready on a pipe; where a program cannot be given one (Windows), it is asked.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers import last_words
from flow_kernel.workers.here import search_path
from flow_kernel.workers.line import CAN_BE, Line, line_pair
from flow_kernel.workers.manager import APP, LOCAL, Order, WorkerManager
from flow_kernel.workers.processes import HeardProcess, ProgramProcess
from flow_kernel.workers.provisioner import NAME, ORDER, ForkOrder
from flow_kernel.workers.zygote_client import ZygoteClient

_READY_BYTES: Final = 1 << 20
_SLICE_S: Final = 0.1
_PIPES: Final = ("stdout", "stderr", "faults", "ready")
_HAS_PASS_FDS: Final = sys.platform != "win32"
_END_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker that is ready, or, on another machine, about to be.

    Attributes:
        manager: Of jupyter_client.
        process: What runs.
        kind: zygote, spawn or remote.
        pipes: What it writes to descriptors 1 and 2, and the stacks of a fatal signal.
        modules: What it had to import; empty where it does not say.
        last_words: What it wrote last, also once it is dead; None where there is no such memory.
        line: Where jobs go past the shell channel; None where nobody would read them there.
        reason: Why it is of that kind.
        is_makeshift: True where another kind was wanted.
    """

    manager: Any
    process: HeardProcess
    kind: str
    pipes: tuple[int, ...]
    modules: tuple[str, ...]
    last_words: last_words.LastWords | None
    line: Line | None = None
    reason: str = ""
    is_makeshift: bool = False


class _Pipes:
    """What a worker and its session share: four pipes, memory for its last words, and a line.

    Attributes:
        reads: Our ends of the pipes.
        writes: Its ends, the memory, and its end of the line.
        words: That memory; None where there is none.
        line: Our end of the line; likewise.
    """

    def __init__(self, worker_id: str) -> None:
        ends = [os.pipe() for _ in _PIPES]
        self.reads, self.writes = [list(side) for side in zip(*ends, strict=True)]
        self.words: last_words.LastWords | None = None
        self.line: Line | None = None
        if last_words.CAN_SHARE:
            self.writes.append(last_words.create())
            self.words = last_words.LastWords(self.writes[-1])
            if CAN_BE:
                self.line, theirs = line_pair(worker_id.encode())
                self.writes.append(theirs)

    def hand_over(self) -> None:
        """The worker has its ends."""
        for fd in self.writes:
            os.close(fd)
        self.writes = []

    def give_up(self) -> None:
        """There will be no worker."""
        self.hand_over()
        for fd in self.reads:
            os.close(fd)
        if self.words is not None:
            self.words.close()
        if self.line is not None:
            self.line.close()


def begin_fork(order: Order, zygote: ZygoteClient) -> Callable[[], Started]:
    """Have `zygote` fork a worker.

    Returns:
        What waits until it is ready, in any thread; it raises IsolationUnavailable.

    Raises:
        IsolationUnavailable: It was not forked.
    """
    manager = WorkerManager(order, provisioner=NAME, argv=(sys.executable, "-m", APP))
    pipes, begun = _pipes(order), list[HeardProcess]()
    with _undone(pipes, begun):
        fork = ForkOrder(client=zygote, fds=pipes.writes)
        manager.start_kernel(env=dict(order.env), cwd=order.cwd, **{ORDER: fork})
        begun.append(manager.provisioner.process)
        pipes.hand_over()
    return partial(_ready, order, manager, pipes, begun)


def begin_program(order: Order, reason: str, *, is_makeshift: bool) -> Callable[[], Started]:
    """Start a worker as a program.

    Args:
        order: Which.
        reason: Why it is none that a zygote has forked.
        is_makeshift: True where that was wanted.

    Returns:
        As `begin_fork`.

    Raises:
        IsolationUnavailable: It did not start.
    """
    argv = (sys.executable, "-P", "-m", APP)
    manager = WorkerManager(order, provisioner=LOCAL, argv=argv)
    # The package may be found through a path that only this process knows.
    env = {**order.env, "PYTHONPATH": os.pathsep.join(search_path())}
    how: dict[str, Any] = {"env": env, "cwd": order.cwd}
    if sys.platform.startswith("linux"):
        how["independent"] = True  # the system tells it of our end: nobody needs to look
    said: dict[str, Any] = {"pythonpath": order.env.get("PYTHONPATH")}
    if not _HAS_PASS_FDS:
        manager.start_kernel(**how, extra_arguments=_option(said))
        started = Started(
            manager=manager,
            process=_heard(manager),
            kind="spawn",
            pipes=(),
            modules=(),
            last_words=None,
            reason=reason,
            is_makeshift=is_makeshift,
        )
        return lambda: started
    pipes, begun = _pipes(order), list[HeardProcess]()
    with _undone(pipes, begun):
        stdout, stderr, *kept = pipes.writes
        said |= {"owner": os.getpid(), "directory": str(order.directory), "kept": kept}
        manager.start_kernel(
            **how, stdout=stdout, stderr=stderr, pass_fds=kept, extra_arguments=_option(said)
        )
        begun.append(_heard(manager))
        pipes.hand_over()
    return partial(_ready, order, manager, pipes, begun, reason=reason, is_makeshift=is_makeshift)


def give_up(started: Started) -> None:
    """End a worker that does not answer, and give back what it was given."""
    started.process.send_signal(9)
    for fd in started.pipes:
        os.close(fd)
    if started.last_words is not None:
        started.last_words.close()
    if started.line is not None:
        started.line.close()


def _pipes(order: Order) -> _Pipes:
    try:
        return _Pipes(order.worker_id)
    except OSError as error:
        raise IsolationUnavailable(f"no worker can be started: {error}") from None


@contextmanager
def _undone(pipes: _Pipes, begun: list[HeardProcess]) -> Iterator[None]:
    """Where something fails in the block, the worker and its pipes are ended."""
    try:
        yield
    except BaseException as error:
        for process in begun:
            process.send_signal(9)
        pipes.give_up()
        for process in begun:
            with suppress(TimeoutError):
                process.wait(_END_S)
        if isinstance(error, OSError | ValueError):
            raise IsolationUnavailable(f"no worker can be started: {error}") from None
        raise


def _heard(manager: WorkerManager) -> HeardProcess:
    popen = manager.provisioner.process
    try:
        process = ProgramProcess(popen)
    except RuntimeError as error:  # there can be no more threads: nobody would hear of its end
        popen.kill()
        popen.wait()
        raise IsolationUnavailable(f"no worker can be started: {error}") from None
    manager.provisioner.process = process
    return process


def _option(said: dict[str, Any]) -> list[str]:
    return ["--flow", json.dumps(said, separators=(",", ":"))]


def _ready(
    order: Order, manager: WorkerManager, pipes: _Pipes, begun: list[HeardProcess], *,
    reason: str | None = None, is_makeshift: bool = False,
) -> Started:  # fmt: skip
    """One that has said that it is ready; for no reason, one that a zygote has forked."""
    with _undone(pipes, begun):
        known = _wait_until_ready(order, pipes.reads)
    os.close(pipes.reads.pop())
    if pipes.line is not None and not known.get("has_line"):
        pipes.line.close()
        pipes.line = None
    return Started(
        manager=manager,
        process=manager.provisioner.process,
        kind="zygote" if reason is None else "spawn",
        pipes=tuple(pipes.reads),
        last_words=pipes.words,
        line=pipes.line,
        modules=tuple(known.get("modules", ())),
        reason=reason or NAME,
        is_makeshift=is_makeshift,
    )


def _last_line(fd: int) -> str:
    """The end of what it wrote there, as a part of a sentence."""
    os.set_blocking(fd, False)
    try:
        lines = os.read(fd, _READY_BYTES).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1][:200]}" if said else ""


def _wait_until_ready(order: Order, reads: Sequence[int]) -> dict[str, Any]:
    """What it says of itself.

    Raises:
        IsolationUnavailable: It has ended, or does not say it in time.
    """
    timeout_s = order.settings.start_timeout_s
    until_s = time.monotonic() + timeout_s
    data = b""
    while len(data) < _READY_BYTES:
        ready, _, _ = select.select(reads[3:], [], [], _SLICE_S)
        if not ready:
            order.mind()
            if time.monotonic() > until_s:
                said = _last_line(reads[1])
                raise IsolationUnavailable(f"a worker did not start in {timeout_s:g} s{said}")
            continue
        piece = os.read(reads[3], 65536)
        if not piece:
            break
        data += piece
    if not data:
        raise IsolationUnavailable("a worker ended while it started" + _last_line(reads[1]))
    known: dict[str, Any] = json.loads(data)
    return known
