"""The kernel provisioner `flow-kernel-zygote`: the Flow kernel as a fork, where that is the same.

Called by jupyter_client, which finds it through its entry point, in the program that starts kernels
(Jupyter Server, nbclient) for a kernelspec that names it: `jupyter flow install --zygote`.

The first kernel of such a program starts its zygote, each further one and each restart is a fork of
it. Whoever starts the kernel holds its real process: signals, groups, limits and the end are as
with any kernel. A start that is in some way unusual is left to a new interpreter: another one, one
with options or with variables that are read before a kernel can be told, unknown arguments, pipes.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from jupyter_client.provisioning import LocalProvisioner
from traitlets.config import SingletonConfigurable

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.here import directory
from flow_kernel.workers.zygote_client import CAN_FORK, ForkedProcess, ZygoteClient

NAME: Final = "flow-kernel-zygote"
_STARTS: Final = ["-m", "flow_kernel"]
_KNOWN: Final = frozenset({"env", "cwd", "stdout", "stderr"})
_READ_EARLY: Final = (
    "PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_", "JUPYTER", "IPYTHON", "PYDEVD",
    "OPENSSL", "SSL_", "VIRTUAL_ENV",
)  # fmt: skip
"""How variables begin that are read when an interpreter or a module is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start that a fork can make.

    Attributes:
        argv: Of the kernel.
        env: Its environment.
        cwd: Its directory.
        fds: Its stdout and stderr.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    fds: tuple[int, int]


class _KernelZygoteClient(ZygoteClient):
    """Starts the zygote as a kernel would be started."""

    _home: ClassVar[str | None] = "/"

    def _program(self) -> list[str]:
        return [sys.executable, "-m", "flow_kernel.workers.kernel_zygote"]

    def _environment(self) -> dict[str, str]:
        return self._env


class KernelForks(SingletonConfigurable):
    """The zygote of this process; made when the first kernel is asked for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._client: ZygoteClient | None = None
        self._env: dict[str, str] = {}
        # Its kernels would end with it.
        self._kept: list[ZygoteClient] = []

    def fork(self, start: Start) -> ForkedProcess:
        """A kernel.

        Raises:
            IsolationUnavailable: There can be none; a new interpreter can still be started.
        """
        client = self._client
        if client is None or not client.is_alive:
            self._env = dict(os.environ)
            client = _KernelZygoteClient(Path(tempfile.mkdtemp(prefix="flow-")), self._env)
            client.start()
            self._client = client
        if early(self._env) != early(start.env):
            raise IsolationUnavailable("its environment is another one than that of the zygote")
        try:
            return client.fork(start.argv, env=start.env, cwd=start.cwd, fds=start.fds)
        except IsolationUnavailable:
            self._client = None
            if client.has_children:
                self._kept.append(client)
            else:
                client.close()
            raise


class FlowKernelProvisioner(LocalProvisioner):  # type: ignore[misc]  # jupyter_client has no types
    """Forks the kernel where that is the same as a new interpreter, else starts one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel of `cmd`."""
        start = start_of(cmd, kwargs)
        if start is not None:
            try:
                process = await asyncio.to_thread(KernelForks.instance().fork, start)
            except IsolationUnavailable as error:
                self.log.info("flow: a new interpreter is started: %s", error)
            else:
                self.process: Any = process
                self.pid: int | None = process.pid
                self.pgid: int | None = process.pid
                return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)


def start_of(cmd: Sequence[str], options: Mapping[str, Any]) -> Start | None:
    """What a fork has to do; None where it would not be the same as a new interpreter.

    Args:
        cmd: The command line of the kernel.
        options: Of `subprocess.Popen`, as jupyter_client passes them.
    """
    if not CAN_FORK or cmd[:1] != [sys.executable] or list(cmd[1:3]) != _STARTS:
        return None
    if not options.keys() <= _KNOWN:
        return None
    cwd = options.get("cwd")
    fds = (_number(options.get("stdout"), 1), _number(options.get("stderr"), 2))
    where = directory() if cwd is None else os.fspath(cwd)
    if fds[0] is None or fds[1] is None or not Path(where).is_dir():
        return None
    env = options.get("env")
    return Start(
        argv=list(cmd[3:]),
        env=dict(os.environ if env is None else env),
        cwd=where,
        fds=(fds[0], fds[1]),
    )


def early(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read when an interpreter or a module is loaded."""
    return {name: value for name, value in env.items() if name.startswith(_READ_EARLY)}


def _number(stream: Any, default: int) -> int | None:
    """The descriptor of a stream; None for a pipe that would have to be made."""
    if stream is None:
        return default
    if isinstance(stream, int):
        return stream if stream >= 0 else None
    try:
        number: int = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return number
