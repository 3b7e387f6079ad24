"""The kernel manager of a worker: how one is started, and what its session and it agree on.

Made by `starter` and `elsewhere`.

    on this machine    sockets in a private directory, the session's own key: messages pass verbatim
    on another one     TCP, encrypted (CURVE), a key of its own: whoever reads it there cannot sign
                       as the session
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.settings import PoolSettings

APP: Final = "flow_kernel.shell.worker.app"
LOCAL: Final = "local-provisioner"
_HAS_IPC: Final = sys.platform != "win32"
_KEY_BYTES: Final = 32
_PORTS: Final = ("shell", "iopub", "stdin", "hb", "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How to start one.

    Attributes:
        worker_id: Its name for files and sockets.
        directory: Private, for its sockets and its connection file.
        key: That the session's messages are signed with.
        session_id: Of Jupyter, in the header of each of its messages.
        env: Its environment.
        cwd: Its directory.
        settings: How workers are made.
        is_wanted: False once nobody waits for it any more.
    """

    worker_id: str
    directory: Path
    key: bytes
    session_id: str
    env: Mapping[str, str]
    cwd: str
    settings: PoolSettings
    is_wanted: Callable[[], bool]

    def again(self, env: Mapping[str, str]) -> "Order":
        """Another attempt: nothing that is left of the first one may touch it."""
        return replace(self, worker_id=f"{self.worker_id}p", env=env)

    def mind(self) -> None:
        """Go on only as long as somebody waits.

        Raises:
            IsolationUnavailable: Nobody does.
        """
        if not self.is_wanted():
            raise IsolationUnavailable("the session has ended")


class WorkerManager(KernelManager):  # type: ignore[misc]  # jupyter_client has no types
    """A kernel manager without a kernelspec on the disk.

    Args:
        order: Which worker.
        provisioner: Starts it; by its entry point.
        argv: How to start it, up to what all have.
        is_far: True on another machine.
    """

    def __init__(
        self, order: Order, *, provisioner: str, argv: Sequence[str], is_far: bool = False
    ) -> None:
        place: dict[str, Any] = {"transport": "tcp"}
        if _HAS_IPC and not is_far:
            place = {"transport": "ipc", "ip": str(order.directory / order.worker_id)}
        super().__init__(
            session=Session(key=_own_key() if is_far else order.key),
            connection_file=str(order.directory / f"{order.worker_id}.json"),
            **place,
        )
        if place["transport"] == "ipc":
            for number, name in enumerate(_PORTS, 1):
                setattr(self, f"{name}_port", number)
        else:
            self._encrypt()
        config = dict(order.settings.provisioner_config) if is_far else {}
        self._spec = KernelSpec(
            argv=[*argv, "-f", "{connection_file}", f"--Session.session={order.session_id}"],
            display_name="Flow worker",
            language="python",
            metadata={
                "kernel_provisioner": {"provisioner_name": provisioner, "config": config},
                "supported_encryption": ["curve"],
            },
        )

    @property
    def kernel_spec(self) -> KernelSpec:
        """The one of workers."""
        return self._spec

    def start_kernel(self, **kwargs: Any) -> None:
        """Start it in the three steps of jupyter_client, without the 10 ms that it waits after."""
        command, kwargs = self.pre_start_kernel(**kwargs)
        self._launch_kernel(command, **kwargs)
        self.post_start_kernel(**kwargs)

    def _connect_control_socket(self) -> None:
        """Nobody uses it: the relay has its own."""

    def _encrypt(self) -> None:
        if not zmq.has("curve"):
            raise IsolationUnavailable(
                "no worker can be started: ZeroMQ cannot encrypt here",
                hint="install a pyzmq that was built with CURVE",
            )
        keys = dict(zip(("curve_publickey", "curve_secretkey"), zmq.curve_keypair(), strict=True))
        for name, key in keys.items():
            setattr(self, name, key)


def _own_key() -> bytes:
    return os.urandom(_KEY_BYTES).hex().encode()
