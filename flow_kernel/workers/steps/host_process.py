"""The process that steps are forked from: it has imported what they need, and runs none of them.

Started by `host` as `python -m flow_kernel.workers.steps.host_process FD PID NOISE MODULE…`; speaks
`wire` on the descriptor. It has one thread, for a fork takes no other along.

    owner ─▶ {"op": "run", "id": …, "source": …, "argv": …, "filename": …, "set": …, "unset": …,
              "cwd": …, "path": …, "tag": …, "is_fresh": …} + stdout, stderr
    owner ─▶ {"op": "kill" | "where" | "look", "id": …} | {"op": "preload", "modules": …}
    host ──▶ {"op": "importing", "module": …} | {"op": "ready", "unfit": {module: why}} + memory
    host ──▶ {"op": "is", "id": …, "pid": …} | {"op": "refused", "id": …, "reason": …}
    host ──▶ {"op": "ended", "id": …, "status": …, "peak_rss_bytes": …, "cpu_s": …, "elapsed_s": …,
              "left_behind": …}

It is the subreaper of all that the steps start: what a step leaves behind becomes its child, and is
killed before the end of the step is told. When its owner is gone it kills all and goes as well.
"""

import ctypes
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

from flow_kernel.workers import sweep, wire
from flow_kernel.workers.steps import child
from flow_kernel.workers.steps.compiled import Compiled
from flow_kernel.workers.steps.importing import Importer
from flow_kernel.workers.steps.marking import TagPlace
from flow_kernel.workers.steps.seen import Seen
from flow_kernel.workers.steps.shadows import Shadows, system_path
from flow_kernel.workers.steps.spares import Spares, rehearse

_IDLE_MS: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_REHEARSALS: Final = 20
"""The interpreter rewrites code that it has run eight times, and then lets it be."""
_WARM: Final = "WARM_UP"
_set_signal: Final = getattr(signal.signal, "__wrapped__", signal.signal)
"""Without the way through `enum`."""


@dataclass(slots=True)
class _Child:
    """A step that runs."""

    number: int
    tag: str
    slot: int
    began_s: float


class HostProcess:
    """The loop of the process.

    Args:
        sock: To the owner.
        most_spares: Processes that are forked before they are wanted.
        noise: Where the end of what is written to stdout and stderr can be seen.
    """

    def __init__(self, sock: socket.socket, *, most_spares: int, noise: int) -> None:
        self._sock = sock
        self._pid = os.getpid()
        self._children: dict[int, _Child] = {}
        self._codes = Compiled()
        self._place = TagPlace.find()
        self._shadows = Shadows(system_path())
        self._importer = Importer(noise)
        self._seen = Seen()
        self._spares = Spares(most_spares)
        self._prctl = _prctl()
        self._signals = (
            (int(signal.SIGTERM), int(signal.SIG_DFL)),
            (int(signal.SIGCHLD), int(signal.SIG_DFL)),
            (int(signal.SIGINT), signal.default_int_handler),
        )
        self._wakes, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, modules: list[str]) -> NoReturn:
        """Work until the owner is gone."""
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._seen.listen()
        unfit = self._importer.load(modules, lambda name: self._tell("importing", module=name))
        faulthandler.enable()
        _warm()
        gc.collect()
        gc.freeze()
        wire.send(self._sock, {"op": "ready", "unfit": unfit}, [self._seen.memory_fd])
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wakes, select.POLLIN)
        while True:
            ready = dict(poll.poll(_IDLE_MS if self._spares.are_wanted else None))
            if self._wakes in ready:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
                self._reap()
            if self._sock.fileno() in ready:
                self._hear()
            if not ready:
                self._add_spare()

    def _hear(self) -> None:
        try:
            message, fds = wire.receive(self._sock)
        except ValueError:
            return
        if message is None:
            self._leave()
        try:
            self._answer(message, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        match message["op"]:
            case "run":
                self._begin(message, fds)
            case "preload":
                self._importer.load(message["modules"], lambda _name: None)
                gc.freeze()
                self._spares.close()  # these have not imported it
            case op:
                for pid, each in self._children.items():
                    if each.number == message["id"]:
                        self._act(op, pid, each)

    def _act(self, op: str, pid: int, on: _Child) -> None:
        match op:
            case "kill":
                _kill(pid)
            case "where":
                self._tell("is", id=on.number, pid=pid)
            case "look":
                self._seen.ask(pid)

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self, order: dict[str, Any], fds: list[int]) -> None:
        if order["source"] is not None and not order["is_fresh"]:
            hidden = self._shadows.hidden(order["path"])
            if hidden:
                reason = f"a module beside the script is called {hidden}, as one that is loaded"
                self._tell("refused", id=order["id"], reason=reason)
                return
        began_s = time.monotonic()
        pid = self._spares.give(order, fds)
        if order["source"] is not None and not order["is_fresh"]:
            self._codes.get(order["source"], order["filename"])
        if pid is None:
            try:
                pid = os.fork()
            except OSError as error:
                self._tell("refused", id=order["id"], reason=str(error))
                return
            if pid == 0:
                self._loosen()
                self._seen.take(order["slot"])
                child.forget()
                child.become(order, fds, self._place, self._codes)
        self._children[pid] = _Child(order["id"], order["tag"], order["slot"], began_s)
        if len(self._children) == 1 and self._spares.are_used_up:
            self._add_spare()  # one processor is left, and nobody waits for this

    def _loosen(self) -> None:
        """Leave behind, in a child, what only this process is to have."""
        os.setsid()
        self._prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number, handler in self._signals:
            _set_signal(number, handler)
        self._sock.close()
        os.close(self._wakes)
        os.close(self._wake)
        self._spares.close()

    def _add_spare(self) -> None:
        if not self._spares.are_wanted:
            return
        spare = self._spares.fork()
        if spare is None:
            return
        self._loosen()
        child.forget()
        rehearse()
        gc.collect()
        order, fds = wire.receive(spare)
        spare.close()
        if order is None:
            os._exit(0)
        self._seen.take(order["slot"])
        child.become(order, fds, self._place, self._codes)

    # -- ending ------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Tell the ends of all that has ended; whoever was left behind and adopted is nobody's."""
        ended = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._spares.forget(pid)
            if pid in self._children:
                ended.append((pid, self._children.pop(pid), status, usage, time.monotonic()))
        tags = [each.tag for _, each, *_ in ended]
        for pid, each, status, usage, at_s in ended:
            tags.remove(each.tag)
            self._tell(
                "ended",
                id=each.number,
                status=status,
                peak_rss_bytes=usage.ru_maxrss * 1024,
                cpu_s=usage.ru_utime + usage.ru_stime,
                elapsed_s=at_s - each.began_s,
                left_behind=self._sweep(pid, each.tag, others=tags),
            )

    def _sweep(self, leader: int, tag: str, *, others: list[str]) -> int:
        """Kill what a step has left: 6 us where that is nothing.

        What is left has no living parent but this process, or is below such a one.

        Args:
            leader: The process of the step.
            tag: Of the step.
            others: Tags of steps that have ended with it, and are swept next.
        """
        running = {each.tag for each in self._children.values()}.union(others)
        left = [
            pid
            for pid in sweep.children(self._pid)
            if pid not in self._children and pid not in self._spares
            and _is_of(pid, leader, tag, running)
        ]  # fmt: skip
        return sweep.kill_all(tag, also=left) if left else 0

    def _leave(self, _number: int = 0, _frame: FrameType | None = None) -> NoReturn:
        tags = {each.tag for each in self._children.values()}
        for pid in list(self._children):
            _kill(pid)
        for tag in tags or {""}:
            below = sweep.descendants(self._pid)
            if tag or below:
                sweep.kill_all(tag, also=below)
        os._exit(0)

    def _tell(self, op: str, **said: Any) -> None:
        try:
            wire.send(self._sock, {"op": op, **said})
        except OSError:
            self._leave()


def _is_of(pid: int, leader: int, tag: str, running: set[str]) -> bool:
    """True where an adopted process belongs to the step that has ended, or to none that runs."""
    try:
        if leader in (os.getsid(pid), os.getpgid(pid)):
            return True
    except OSError:
        return False
    return sweep.carries(pid, tag) or not any(sweep.carries(pid, each) for each in running)


def _warm() -> None:
    """Do some of what each child does, so that it finds caches filled and need not write them."""
    for _ in range(_REHEARSALS):
        rehearse()
    os.environ[_WARM] = _WARM
    del os.environ[_WARM]


def _prctl() -> Any:
    """The call of the system; found once, for it takes 0.2 ms to find."""
    return ctypes.CDLL(None).prctl


def _kill(pid: int) -> None:
    for kill in (os.kill, os.killpg):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


def main() -> NoReturn:
    """Run the process of the arguments."""
    fd, owner, noise, most_spares = map(int, sys.argv[1:5])
    modules = sys.argv[5:]
    sys.argv[1:] = []
    sweep.become_subreaper()
    sweep.die_with_parent(signal.SIGTERM, owner)
    for inherited in (fd, noise):
        os.set_inheritable(inherited, False)
    sock = socket.socket(fileno=fd)
    sock.setblocking(True)
    HostProcess(sock, most_spares=most_spares, noise=noise).run(modules)


if __name__ == "__main__":
    main()
