"""The process that steps are forked from: it has imported what they need, and runs none of them.

Started by `host_link` with the arguments `FD PID NOISE SPARES MODULE…`; speaks `words` on the
descriptor. It has one thread, for a fork takes no other along.

    owner ─▶ {"op": "run", "id": …, "source": …, "argv": …, "filename": …, "set": …, "unset": …,
              "cwd": …, "path": …, "tag": …, "is_fresh": …} + stdout, stderr
    owner ─▶ {"op": "kill" | "where" | "look", "id": …} | {"op": "preload", "modules": …}
    host ──▶ {"op": "importing", "module": …} | {"op": "ready", "unfit": {module: why}} + memory
    host ──▶ {"op": "is", "id": …, "pid": …} | {"op": "refused", "id": …, "reason": …}
    host ──▶ {"op": "ended", "id": …, "status": …, "peak_rss_bytes": …, "cpu_s": …, "elapsed_s": …,
              "left_behind": …}

It is the subreaper of all that the steps start: what a step leaves behind becomes its child, and is
killed before the end of the step is told. When its owner is gone it kills all and goes as well.

A run waits for it with its first step. So it begins with what a fork takes, and no more: neither
this module nor what it imports has `typing`, `signal`, `socket`, `dataclasses` or `pathlib`, which
are two thirds of its time. See `readying` for the rest.
"""

import _signal  # type: ignore[import-not-found] # `signal` takes a starting host 4 ms
import _socket
import ctypes
import faulthandler
import gc
import os
import select
import sys
import time

from flow_kernel.workers.steps import child, words
from flow_kernel.workers.steps.compiled import Compiled
from flow_kernel.workers.steps.importing import Importer
from flow_kernel.workers.steps.leavings import Undisturbed, kill_below, kill_left, others
from flow_kernel.workers.steps.marking import TagPlace
from flow_kernel.workers.steps.readying import Readying
from flow_kernel.workers.steps.seen import Seen
from flow_kernel.workers.steps.shadows import Shadows, system_path
from flow_kernel.workers.steps.spares import Spares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

_IDLE_MS = 5
_LEISURE_MS = 100
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class _Child:
    """A step that runs."""

    __slots__ = ("began_s", "number", "slot", "tag")

    def __init__(self, number: int, tag: str, slot: int, began_s: float) -> None:
        self.number = number
        self.tag = tag
        self.slot = slot
        self.began_s = began_s


class HostProcess:
    """The loop of the process.

    Args:
        sock: To the owner.
        most_spares: Processes that are forked before they are wanted.
        noise: Where the end of what is written to stdout and stderr can be seen.
        prctl: The call of the system.
    """

    def __init__(self, sock: _socket.socket, *, most_spares: int, noise: int, prctl: "Any") -> None:
        self._sock = sock
        self._pid = os.getpid()
        self._children: dict[int, _Child] = {}
        self._codes = Compiled()
        self._place = TagPlace.find()
        self._shadows = Shadows(system_path())
        self._importer = Importer(noise)
        self._seen = Seen()
        self._spares = Spares(most_spares)
        self._readying = Readying(self._importer)
        self._has_begun = False
        self._prctl = prctl
        self._signals = (
            (_signal.SIGTERM, _signal.SIG_DFL),
            (_signal.SIGCHLD, _signal.SIG_DFL),
            (_signal.SIGINT, _signal.default_int_handler),
        )
        self._wakes, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, modules: list[str]) -> "NoReturn":
        """Work until the owner is gone."""
        _signal.signal(_signal.SIGTERM, self._leave)
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._seen.listen()
        unfit = self._importer.load(modules, lambda name: self._tell("importing", module=name))
        faulthandler.enable()
        gc.freeze()
        words.send(self._sock, {"op": "ready", "unfit": unfit}, [self._seen.memory_fd])
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wakes, select.POLLIN)
        while True:
            ready = dict(poll.poll(self._patience_ms()))
            if self._wakes in ready:
                try:
                    os.read(self._wakes, 4096)
                except BlockingIOError:
                    pass
                self._reap()
            if self._sock.fileno() in ready:
                self._hear()
            if not ready:
                self._use_the_time()

    def _patience_ms(self) -> int | None:
        if not self._readying.is_done:
            return 0
        if self._spares.are_wanted:
            return _IDLE_MS
        return None if self._readying.is_over else _LEISURE_MS

    def _use_the_time(self) -> None:
        if self._readying.is_done and self._spares.are_wanted:
            self._add_spare()
        else:
            with Undisturbed():
                self._readying.go_on()

    def _hear(self) -> None:
        try:
            message, fds = words.receive(self._sock)
        except ValueError:
            return
        if message is None:
            self._leave()
        try:
            self._answer(message, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, message: "dict[str, Any]", fds: list[int]) -> None:
        match message["op"]:
            case "run":
                self._begin(message, fds)
            case "preload":
                self._readying.add(message["modules"])
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
                with Undisturbed():
                    self._seen.ask(pid)

    # -- beginning ---------------------------------------------------------------------------------

    def _begin(self, order: "dict[str, Any]", fds: list[int]) -> None:
        if order["source"] is not None and not order["is_fresh"]:
            if not self._readying.is_over and self._shadows.may_hide(order["path"]):
                with Undisturbed():
                    self._readying.finish()  # what is loaded later would be found there as well
            hidden = self._shadows.hidden(order["path"])
            if hidden:
                reason = f"a module beside the script is called {hidden}, as one that is loaded"
                self._tell("refused", id=order["id"], reason=reason)
                return
        self._has_begun = True
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
        if len(self._children) == 1 and self._spares.are_used_up and self._readying.is_done:
            self._add_spare()  # one processor is left, and nobody waits for this

    def _loosen(self) -> None:
        """Leave behind, in a child, what only this process is to have."""
        os.setsid()
        self._prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)
        _signal.set_wakeup_fd(-1)
        for number, handler in self._signals:
            _signal.signal(number, handler)
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
        self._readying.rehearsal.play()
        gc.collect()
        order, fds = words.receive(spare)
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
        """Kill what a step has left.

        Args:
            leader: The process of the step.
            tag: Of the step.
            others: Tags of steps that have ended with it, and are swept next.
        """
        running = {each.tag for each in self._children.values()}.union(others)
        return kill_left(self._has_forked, leader=leader, tag=tag, running=running)

    def _has_forked(self, pid: int) -> bool:
        return pid in self._children or pid in self._spares

    def _leave(self, _number: int = 0, _frame: "FrameType | None" = None) -> "NoReturn":
        if self._has_begun:
            with Undisturbed():
                for pid in list(self._children):
                    _kill(pid)
                # Spares have started nothing, and end with this process.
                if self._children or others(self._has_forked):
                    kill_below(each.tag for each in self._children.values())
                os._exit(0)
        os._exit(0)

    def _tell(self, op: str, **said: "Any") -> None:
        try:
            words.send(self._sock, {"op": op, **said})
        except OSError:
            self._leave()


def _prctl() -> "Any":
    """The call of the system; found once, for it takes 0.2 ms to find."""
    return ctypes.CDLL(None).prctl


def _kill(pid: int) -> None:
    for kill in (os.kill, os.killpg):
        try:
            kill(pid, _signal.SIGKILL)
        except OSError:
            pass  # it has ended meanwhile


def main() -> "NoReturn":
    """Run the process of the arguments."""
    fd, owner, noise, most_spares = map(int, sys.argv[1:5])
    modules = sys.argv[5:]
    sys.argv[1:] = []
    prctl = _prctl()
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, _signal.SIGTERM, 0, 0, 0)
    if os.getppid() != owner:  # it has ended before
        os._exit(128 + _signal.SIGTERM)
    for inherited in (fd, noise):
        os.set_inheritable(inherited, False)
    sock = _socket.socket(fileno=fd)
    sock.setblocking(True)
    HostProcess(sock, most_spares=most_spares, noise=noise, prctl=prctl).run(modules)
