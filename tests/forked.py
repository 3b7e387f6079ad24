"""Kernels forked from one process that has imported everything: 0.1 s of CPU instead of 0.4 s.

Called by the fixtures, for all kernels under test of a run, and by tests that need kernels by the
hundred. The kernel itself is the real one. Servers and verbs of the command line are forked as
well, where their own start is not what is tested.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.environments import environment
from tests.kernels import DEADLINE_S, Kernel

CHECKPOINTS: Final = (
    "flow_kernel.session.assembly_state",
    "flow_kernel.session.checkpoints.rollback",
    "flow_kernel.shell.magics.checkpoint_answers",
)
"""For a zygote: modules that import what a kernel imports at its first checkpoint."""
VERBS: Final = (
    "flow_kernel.apps.check",
    "flow_kernel.apps.checkpoints",
    "flow_kernel.apps.diff",
    "flow_kernel.apps.restore",
)
"""For a zygote: what verbs about checkpoints import."""
SERVERS: Final = (
    "flow_kernel.apps.serve",
    "flow_kernel.apps.server.extension",
    "flow_kernel.apps.sandbox.extension",
    "jupyter_server.serverapp",
)
"""For a zygote: what `serve` imports."""
_VERB_S: Final = 50.0
NO_HISTORY: Final = ("--HistoryManager.enabled=False",)
"""For kernels that are killed by the hundred: arguments that spare them IPython's database."""


class Zygote:
    """The process that forks kernels.

    Args:
        modules: What its kernels import in no time, besides the kernel's own.
    """

    def __init__(self, *modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            env=environment({}),
            text=True,
        )

    def start(self, kernel: Kernel) -> "ForkedProcess":
        """Fork the process of a kernel."""
        kernel.manager.write_connection_file()
        return self._fork(
            {
                "arguments": ["-f", kernel.manager.connection_file, *kernel.arguments],
                "cwd": str(kernel.cwd),
                "env": kernel.env,
                "output": str(kernel.root / "output.txt"),
            }
        )

    def _fork(self, order: Mapping[str, object]) -> "ForkedProcess":
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said.strip().isdigit(), f"no kernel was forked: {said}"
        return ForkedProcess(int(said))

    @property
    def is_alive(self) -> bool:
        """False once it has ended, which no test but the one that did it shall suffer from."""
        return self._process.poll() is None

    def run(
        self, *arguments: str, env: Mapping[str, str], cwd: Path
    ) -> "subprocess.CompletedProcess[str]":
        """One verb of the command line, to its end."""
        with tempfile.TemporaryDirectory(prefix="fk") as where:
            files = {name: str(Path(where, name)) for name in ("output", "errors", "code")}
            order = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), **files}
            self._fork(order).wait(_VERB_S)
            output, errors, code = (
                Path(path).read_text(encoding="utf-8") for path in files.values()
            )
        return subprocess.CompletedProcess(arguments, int(code), output, errors)

    def begin(
        self,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path,
        output: Path,
        module: str | None = None,
    ) -> "ForkedProcess":
        """One verb of the command line that goes on, as a server does.

        Args:
            arguments: Of its command line.
            env: Its environment, the whole of it.
            cwd: Where it begins.
            output: Has all that it says.
            module: Of the function `main` of another program than our command line.
        """
        code = str(output.with_suffix(".code"))
        order = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "code": code}
        other = {} if module is None else {"module": module}
        return self._fork(order | other | {"output": str(output)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class ForkedProcess:
    """What `Kernel` needs of a process that is not our child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:  # it was short, and is over
            self._fd, self.returncode = -1, -1

    def poll(self) -> int | None:
        """-1 once the process has ended; its exit code is not ours to know."""
        return self._end(0)

    def wait(self, timeout: float = DEADLINE_S) -> int:
        """Wait for the end."""
        if self._end(timeout) is None:
            raise TimeoutError(f"process {self.pid} lives on")
        return -1

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal to the very process, even if its pid was given away."""
        if self._fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def _end(self, timeout: float) -> int | None:
        if self._fd >= 0 and select.select([self._fd], [], [], timeout)[0]:
            os.close(self._fd)
            self._fd, self.returncode = -1, -1
        return self.returncode


class ForkedKernel(Kernel):
    """A kernel under test, forked from a zygote of its own kind."""

    def __init__(self, zygote: Zygote, **options: Any) -> None:
        super().__init__(zygote=zygote, **options)
        self.zygote = zygote
