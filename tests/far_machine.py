"""A kernel provisioner to a machine that shares nothing with ours but the network.

Loaded by jupyter_client in a kernel under test, through its entry point. The machine is the process
of `tests.far_agent`, behind one socket: where the system permits it, in namespaces of its own, with
empty folders in place of everything that we write to, and with pids of its own.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Bool, Unicode

ROOT = Path(__file__).parent.parent
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--ipc", "--")
_PASSED = ("LANG", "LC_ALL", "PATH", "FAR_MARK")


def can_unshare() -> bool:
    """True where a process may have namespaces of its own."""
    if shutil.which("unshare") is None:
        return False
    mount = ("sh", "-c", "mount -t tmpfs far /tmp")
    done = subprocess.run([*UNSHARE, *mount], capture_output=True, check=False)
    return done.returncode == 0


class FarProvisioner(KernelProvisionerBase):  # type: ignore[misc]  # jupyter_client has no types
    """See the module. Its config: `is_apart`, and `fails` to refuse to start anything."""

    is_apart: Any = Bool(True)
    fails: Any = Unicode("")
    pid: int | None = None
    _home = ""
    _process: subprocess.Popen[bytes] | None = None
    _code: int | None = None
    _heard: "asyncio.Task[None] | None" = None

    @property
    def has_process(self) -> bool:
        """True from its start on."""
        return self._process is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """The command, with the name of the connection file left open."""
        kwargs = await super().pre_launch(**kwargs)
        return kwargs | {"cmd": list(self.kernel_spec.argv)}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the machine, send it the connection, and hear which ports it has."""
        if self.fails:
            raise RuntimeError(self.fails)
        ours, theirs = socket.socketpair()
        agent = [sys.executable, "-P", str(ROOT / "tests/far_agent.py")]
        self._home = "" if self.is_apart else tempfile.mkdtemp(prefix="far")
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*(UNSHARE if self.is_apart else ()), *agent],
                cwd="/",
                env={"PATH": os.environ["PATH"], "FAR_HOME": self._home},
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        env = {name: value for name, value in kwargs["env"].items() if name in _PASSED}
        info = {k: v for k, v in self.parent.get_connection_info().items() if "port" not in k}
        info = {k: v.decode() if isinstance(v, bytes) else v for k, v in info.items()}
        self._say({"cmd": cmd, "env": env, "info": info})
        ports = json.loads(await self._reader.readline())
        if "pid" in ports:
            self.pid = ports.pop("pid")
        self._heard = asyncio.create_task(self._hear())
        return self.parent.get_connection_info() | ports

    async def poll(self) -> int | None:
        """What it exited with."""
        return self._code

    async def wait(self) -> int | None:
        """Wait for its end."""
        if self._heard is not None:
            await self._heard
        return self._code

    async def send_signal(self, signum: int) -> None:
        """Have the machine signal it."""
        self._say({"signal": int(signum)})

    async def kill(self, restart: bool = False) -> None:
        """SIGKILL."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """SIGTERM."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """The machine ends when nothing runs there any more."""
        self._writer.close()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait, 10)
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    async def _hear(self) -> None:
        line = await self._reader.readline()
        self._code = json.loads(line)["ended"] if line else -1

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
