"""Kernels whose workers are of one kind, and what is left of these.

Called by the tests of isolated cells.
"""

import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.far_machine import ROOT, can_unshare
from tests.installed import offer
from tests.kernels import Kernel

LOST_AFTER_S = 1.0
CONFIGS = {
    "spawn": 'c.WorkerPool.provisioner = "local-provisioner"\n',
    "remote": (
        'c.WorkerPool.provisioner = "far"\n'
        f"c.WorkerPool.provisioner_config = {{'is_apart': {can_unshare()}}}\n"
        f"c.WorkerPool.python = {sys.executable!r}\n"
        f"c.WorkerPool.lost_after = {LOST_AFTER_S}\n"
    ),
}


@contextmanager
def kernel_with(folder: Path, config: str, paths: Sequence[Path] = ()) -> Iterator[Kernel]:
    """A kernel with a configuration; all that it starts, here or elsewhere, bears its mark.

    Args:
        folder: For its configuration and for what is installed there.
        config: Of `jupyter_flow_config.py`.
        paths: Put before all others of Python.
    """
    folder.mkdir(exist_ok=True)
    (folder / "jupyter_flow_config.py").write_text(config, "utf-8")
    offer(
        folder,
        group="jupyter_client.kernel_provisioners",
        name="far",
        value="tests.far_machine:FarProvisioner",
    )
    path = ":".join(map(str, [*paths, folder, ROOT]))
    env = {"JUPYTER_CONFIG_DIR": str(folder), "PYTHONPATH": path, "FAR_MARK": uuid.uuid4().hex}
    with Kernel(env=env) as kernel:
        yield kernel.ready()


def marked(kernel: Kernel) -> list[psutil.Process]:
    """What runs with the mark of a kernel, as this process sees it, the kernel itself too."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("FAR_MARK") == kernel.env["FAR_MARK"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_gone(kernel: Kernel, timeout_s: float = 20.0) -> list[str]:
    """What is left with the mark of a kernel after some time; empty as a rule, and soon."""
    until = time.monotonic() + timeout_s
    while (left := marked(kernel)) and time.monotonic() < until:
        time.sleep(0.02)
    return [str(process) for process in left]
