"""The zygote: a process that has imported what a worker needs, and forks one in milliseconds.

Started by `zygote_client` as `python -m flow_kernel.workers.zygote FD OWNER_PID DIRECTORY`; speaks
`wire` on the descriptor. It runs no thread and opens no socket of ZeroMQ, because a fork takes
neither along; a fork is refused as long as a module that it was told to import has started a
thread.

What it forks dies with it, and it dies with its owner: the system tells it (`PR_SET_PDEATHSIG`),
and the pair of sockets ends. Processes that a worker leaves behind become its children and are
killed when the worker is gone. When the owner is gone, its directory of sockets goes as well.
"""

import fcntl
import gc
import importlib
import os
import random
import select
import shutil
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final, NoReturn

from flow_kernel.records.process import start_time
from flow_kernel.workers import sweep, wire
from flow_kernel.workers.fork_threads import threads

_MODULE: Final = "flow_kernel.shell.worker.app"
_STANDARD: Final = (
    _MODULE,
    "ipykernel.kernelapp",
    "IPython.core.completer",
    "comm",
    "IPython.core.logger",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
)
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Zygote:
    """The loop of the process.

    Args:
        sock: To the owner.
        directory: Of the owner's sockets; removed when the owner is gone.
    """

    module: ClassVar[str] = _MODULE
    """Has `run`, and `prepare`."""
    standard: ClassVar[tuple[str, ...]] = _STANDARD
    """What is imported at once."""

    def __init__(self, sock: socket.socket, directory: Path) -> None:
        self._sock = sock
        self._directory = directory
        self._is_prepared = False
        self._tags: dict[int, str] = {}
        self._below: dict[int, dict[int, str | None]] = {}
        self._sweeping: set[str] = set()
        """The tags of workers that were reaped and may have left something."""
        self._wakes, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Work until the owner is gone."""
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._import(self.standard)
        gc.collect()
        gc.freeze()
        self._tell({"op": "ready", "threads": threads()})
        while True:
            waited: list[Any] = [self._sock, self._wakes]
            ready, _, _ = select.select(waited, [], [])
            if self._wakes in ready:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
                self._reap()
            if self._sock in ready:
                try:
                    message, fds = wire.receive(self._sock)
                except ValueError:  # who sent it hears nothing, and starts a program
                    continue
                if message is None:
                    self._leave()
                try:
                    self._answer(message, fds)
                finally:
                    for fd in fds:
                        os.close(fd)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        match message["op"]:
            case "fork":
                self._fork(message, fds)
            case "preload":
                self._import(message["modules"])
                gc.freeze()
            case "kill":
                if message["pid"] in self._tags:  # not reaped, so the number is still its own
                    if message["signal"] == signal.SIGKILL:
                        below = sweep.descendants(message["pid"])
                        self._below[message["pid"]] = {each: start_time(each) for each in below}
                    _kill(message["pid"], message["signal"])
                self._tell({"op": "killed", "id": message["id"]})

    def _fork(self, message: dict[str, Any], fds: list[int]) -> None:
        if (count := threads()) != 1:
            reason = f"a module that was imported ahead has started {count - 1} threads"
            self._tell({"op": "refused", "id": message["id"], "reason": reason})
            return
        self._prepare()
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell({"op": "refused", "id": message["id"], "reason": str(error)})
            return
        if pid == 0:
            self._become_worker(message, fds, zygote)
        self._tags[pid] = message["env"].get(sweep.TAG_NAME, "")
        self._tell({"op": "forked", "id": message["id"], "pid": pid})

    def _prepare(self) -> None:
        """Set up, once, what each worker begins with; after what is imported ahead."""
        if self._is_prepared:
            return
        self._is_prepared = True
        with suppress(Exception, SystemExit):  # then each worker does it for itself
            importlib.import_module(self.module).prepare()
        gc.collect()
        gc.freeze()

    def _become_worker(self, message: dict[str, Any], fds: list[int], zygote: int) -> NoReturn:
        code = 1
        try:
            sweep.die_with_parent(signal.SIGKILL, zygote)
            self._leave_home()
            _arrange(message, fds)
            run = importlib.import_module(self.module).run
            code = run(message["argv"], kept=fds[2:])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001 - the end of a process: what is wrong is said and it ends
            import traceback  # only here

            traceback.print_exc(file=sys.__stderr__)
        finally:
            with suppress(BaseException):
                print(end="", file=sys.__stderr__, flush=True)
            os._exit(code)

    def _leave_home(self) -> None:
        """Give back, in a fork, what is the zygote's."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._sock.close()
        os.close(self._wakes)
        os.close(self._wake)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            tag = self._tags.get(pid)
            below = self._below.pop(pid, {})
            if tag is None:  # it was left behind by a worker and adopted
                continue
            # The end of the owner may come at any line: what is stopped by then has to die.
            self._sweeping.add(tag)
            del self._tags[pid]
            self._tell(
                {
                    "op": "exited",
                    "pid": pid,
                    "status": status,
                    "peak_rss_bytes": usage.ru_maxrss * 1024,
                    "cpu_s": usage.ru_utime + usage.ru_stime,
                }
            )
            self._sweep(tag, below)
            self._sweeping.discard(tag)

    def _sweep(self, tag: str, below: Mapping[int, str | None]) -> None:
        """Kill what a worker has left.

        Args:
            tag: What has it is its own.
            below: What was below it when it was killed, with start times: it may have no tag.
        """
        left = [pid for pid, started in below.items() if started and start_time(pid) == started]
        if not self._tags:  # nobody else can be the parent of what was adopted
            left += [pid for pid in sweep.children(os.getpid()) if pid not in left]
        sweep.kill_all(tag, also=left)

    def _leave(self, _number: int = 0, _frame: FrameType | None = None) -> NoReturn:
        tags = {*self._tags.values(), *self._sweeping}
        for pid in list(self._tags):
            _kill(pid, signal.SIGKILL)
        for tag in tags:
            sweep.kill_all(tag, also=sweep.descendants(os.getpid()))
        shutil.rmtree(self._directory, ignore_errors=True)
        os._exit(0)

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            wire.send(self._sock, message)
        except OSError:
            self._leave()

    def _import(self, modules: Any) -> None:
        for name in modules:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    importlib.import_module(name)
            except Exception:  # noqa: BLE001, S112 - a module that cannot be imported is the worker's
                continue


def _arrange(message: dict[str, Any], fds: list[int]) -> None:
    """Make the process what a fresh one would have been."""
    move_in(message, fds)
    sweep.wear(message["env"].get(sweep.TAG_NAME, ""))
    sys.path[:] = message["path"]
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def move_in(message: dict[str, Any], fds: list[int]) -> None:
    """Take the streams, the environment, the directory and the arguments of an order."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    os.dup2(fds[0], _STDOUT)
    os.dup2(fds[1], _STDERR)
    os.environ.clear()
    os.environ.update(message["env"])
    with suppress(OSError):  # the directory may be gone
        os.chdir(message["cwd"])
    sys.argv[1:] = message["argv"]
    random.seed()


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def be_woken_by(sock: socket.socket) -> None:
    """Have the system continue this process when the owner speaks or ends, if it was stopped.

    Stopped, it would hear of nothing: neither its owner's death nor that of a worker.
    """
    with suppress(OSError):
        fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sock, fcntl.F_SETSIG, signal.SIGCONT)
        fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)


def main() -> NoReturn:
    """Run the zygote of the arguments."""
    fd, owner, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    sweep.become_subreaper()
    sweep.die_with_parent(signal.SIGTERM, owner)
    sock = socket.socket(fileno=fd)
    sock.setblocking(True)
    be_woken_by(sock)
    Zygote(sock, directory).run()
    raise AssertionError("the loop has no end")


if __name__ == "__main__":
    main()
