"""A kernel for tests of checkpoints: what it answers, and the command line beside it.

Used by the tests of checkpoints in `tests/flows`.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forked import ForkedKernel, Zygote
from tests.kernels import Kernel


@contextmanager
def kernel_in_git(data: Path, zygote: Zygote | None = None, **env: str) -> Iterator[Kernel]:
    """A kernel with a data directory of its own, in a repository that holds the file `made.txt`."""
    env = {"JUPYTER_DATA_DIR": str(data), **env}
    with ForkedKernel(zygote, env=env) if zygote else Kernel(env=env, is_cold=True) as kernel:
        (kernel.cwd / "made.txt").write_text("at first", encoding="utf-8")
        for arguments in (["init", "-q"], ["add", "made.txt"]):
            subprocess.run(["git", *arguments], cwd=kernel.cwd, env=kernel.env, check=True)
        yield kernel.ready()


def ran(kernel: Kernel, *cells: str) -> str:
    """The text of the last of some cells that all succeed."""
    for cell in cells:
        done = kernel.run(cell)
        assert (done.status, done.stderr) == ("ok", ""), cell
    return done.stdout or done.result or ""


def refused(kernel: Kernel, cell: str) -> str:
    """What a cell is told that does not get what it asks for."""
    done = kernel.run(cell)
    return done.stderr or done.stdout


def flow(kernel: Kernel, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """One verb of the command line, in the directory and for the home of the kernel."""
    if isinstance(kernel, ForkedKernel):
        return kernel.zygote.run(*arguments, env={**kernel.env, **env}, cwd=kernel.cwd)
    return subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**kernel.env, **env},
        cwd=kernel.cwd,
    )
