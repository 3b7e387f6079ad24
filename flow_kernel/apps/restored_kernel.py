"""A new kernel for somebody else, and the cell that restores a checkpoint into it.

Called by `restore`.
"""

import ast
import json
import os
import queue
import secrets
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jupyter_client.manager import KernelManager
from jupyter_core.paths import jupyter_runtime_dir

from flow_kernel.apps.kernelspec import NAME
from flow_kernel.errors import CheckpointDamaged, FlowError

START_S: Final = 60.0
RESTORE_S: Final = 600.0
_SOCKET_NAME_BYTES: Final = 90  # of 107; jupyter_client adds a number


class RestoredKernel:
    """A running kernel and its connection file.

    Args:
        folder: Where the connection file is to lie; below Jupyter's runtime directory.
        cwd: Where the kernel works.
        env: Its environment.
        outlives: True when it goes on after this process; otherwise it ends with it, also when
            that is killed.
    """

    def __init__(self, folder: Path, *, cwd: Path, env: Mapping[str, str], outlives: bool) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.connection_file: Path = folder / f"kernel-{secrets.token_hex(8)}.json"
        # Sockets in a directory of the user's own, where nobody else can connect.
        is_short = len(os.fsencode(self.connection_file)) <= _SOCKET_NAME_BYTES
        options = {"transport": "ipc"} if is_short else {}
        self._manager = KernelManager(
            kernel_name=NAME, connection_file=str(self.connection_file), **options
        )
        # It is handed on, so it must not write where we do.
        self._manager.start_kernel(
            cwd=str(cwd),
            env=dict(env),
            independent=outlives,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        """Of its process."""
        return int(getattr(self._manager.provisioner, "pid", 0))

    def restore(self, line: str) -> dict[str, Any]:
        """Run `%rollback` in it.

        Args:
            line: What follows the name of the magic.

        Returns:
            What `RollbackCard.document` gives.

        Raises:
            CheckpointDamaged: The kernel refused; the message says why.
            FlowError: It did not answer, or ended.
        """
        client = self._manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=START_S)
            reply = client.execute_interactive(
                f"%rollback {line}",
                timeout=RESTORE_S,
                allow_stdin=False,
                output_hook=lambda _: None,
                user_expressions={"back": "_.json()"},
            )["content"]
        except (TimeoutError, queue.Empty):
            raise FlowError("the kernel did not answer in time; nothing was restored") from None
        except RuntimeError as error:  # how jupyter_client says that it is dead
            raise FlowError(f"the kernel ended: {error}; nothing was restored") from None
        finally:
            client.stop_channels()
        if reply["status"] != "ok":
            said = str(reply.get("evalue", "it said nothing")).removeprefix("%rollback: ")
            raise CheckpointDamaged(said, variables=(), hint="the kernel was ended")
        return _document(reply)

    def interrupt(self) -> None:
        """Interrupt the cell that runs in it."""
        with suppress(ProcessLookupError, RuntimeError):  # it has just ended
            self._manager.interrupt_kernel()

    def end(self) -> None:
        """End it; harmless the second time."""
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=False)
        self._manager.cleanup_resources()

    def leave(self) -> None:
        """Let it run on; its connection file stays when this process ends."""
        # The manager deletes the file that it has written; there is no public way to say no.
        self._manager._connection_file_written = False


def folder_of(*, is_for_lab: bool) -> Path:
    """Where connection files lie: where `--existing` finds them, or where JupyterLab does."""
    runtime = Path(jupyter_runtime_dir())
    return runtime / "external_kernels" if is_for_lab else runtime


def _document(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the magic, which travels as the repr of its JSON."""
    try:
        text = reply["user_expressions"]["back"]["data"]["text/plain"]
        found = json.loads(ast.literal_eval(text))
    except (KeyError, TypeError, ValueError, SyntaxError):
        return {}
    return found if isinstance(found, dict) else {}
