"""The zygote of whole kernels: has imported the Flow kernel, and forks one in milliseconds.

Started by `kernel_provisioner` as `python -m flow_kernel.workers.kernel_zygote FD OWNER DIRECTORY`,
once for each program that starts kernels; speaks `wire` on the descriptor.

A fork is what `python -m flow_kernel -f FILE` would have been: its processes are its own and
outlive it, it ends as a program does, and when its parent is gone, it goes as kernels do. What
differs can be looked at: the command line of the process, the seed of hashes (one for all forks),
the objects that the garbage collector leaves out, and `JPY_PARENT_PID`.

When a file of a module that is loaded has changed, nothing more is forked: it would be the kernel
of before the upgrade.
"""

import gc
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final, NoReturn

from flow_kernel.workers.zygote import Zygote, be_woken_by, move_in

_PARENT: Final = "JPY_PARENT_PID"


class Forked(BaseException):
    """This process is a kernel now."""


class KernelZygote(Zygote):
    """The loop of the process."""

    module: ClassVar[str] = "flow_kernel.shell.forked_kernel"
    standard: ClassVar[tuple[str, ...]] = ("flow_kernel.shell.forked_kernel",)

    def __init__(self, sock: socket.socket, directory: Path) -> None:
        super().__init__(sock, directory)
        self._files: dict[str, int | None] = {}

    def _fork(self, message: dict[str, Any], fds: list[int]) -> None:
        self._note_files()
        changed = next((name for name, time in self._files.items() if _time_of(name) != time), None)
        if changed is not None:
            reason = f"{changed} has changed since it was loaded"
            self._tell({"op": "refused", "id": message["id"], "reason": reason})
            return
        super()._fork(message, fds)

    def _become_worker(self, message: dict[str, Any], fds: list[int], zygote: int) -> NoReturn:
        self._leave_home()
        move_in(message, fds)
        os.environ[_PARENT] = str(zygote)
        gc.enable()
        raise Forked

    def _sweep(self, tag: str, below: Mapping[int, str | None]) -> None:
        """What a kernel leaves behind is the user's."""

    def _leave(self, _number: int = 0, _frame: FrameType | None = None) -> NoReturn:
        shutil.rmtree(self._directory, ignore_errors=True)
        os._exit(0)  # kernels look whether their parent is there

    def _note_files(self) -> None:
        if not self._files:
            for module in list(sys.modules.values()):
                name = getattr(module, "__file__", None)
                if type(name) is str:
                    self._files[name] = _time_of(name)


def _time_of(name: str) -> int | None:
    try:
        return os.stat(name).st_mtime_ns  # noqa: PTH116 - hundreds of them at each start
    except OSError:
        return None


def main() -> None:
    """Run the zygote of the arguments; in a fork of it, the kernel."""
    if sys.path and Path(sys.path[0]) == Path.cwd():
        del sys.path[0]
    fd, directory = int(sys.argv[1]), Path(sys.argv[3])
    # Read while ipykernel is imported; a kernel that finds another parent says so, and ends.
    os.environ[_PARENT] = str(os.getpid())
    sock = socket.socket(fileno=fd)
    sock.setblocking(True)
    be_woken_by(sock)
    with suppress(Forked):
        KernelZygote(sock, directory).run()
    import_module(KernelZygote.module).run(sys.argv[1:])


if __name__ == "__main__":
    main()
