"""What ties a worker that was started as a program to its session: it ends when that has ended.

Called by `shell.worker.app`, with the option that `workers.starter` or `workers.elsewhere` has put
on its command line.

    --flow {"owner": pid, "directory": path, "kept": [fds], "pythonpath": text or null}
        on the machine of its session: the system tells it that its owner is gone, where it can;
        elsewhere ipykernel looks once a second
    --flow {"lost_after_s": 30, "first_s": 60}
        on another machine: it sees that nobody is connected to it any more, or never was
"""

import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from flow_kernel.workers import sweep, warden

_OPTION: Final = "--flow"
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
_EVENTS: Final = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED


class Alone(NamedTuple):
    """How long a worker goes on when nobody is connected to it.

    Attributes:
        lost_after_s: Any more: who comes back within it finds everything as it was.
        first_s: Yet.
    """

    lost_after_s: float
    first_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """What a command line says of a worker's session.

    Attributes:
        argv: The rest of it, for ipykernel.
        kept: Descriptors: see `app.run`.
        alone: How long it goes on alone; None on the machine of its session.
    """

    argv: tuple[str, ...]
    kept: tuple[int, ...] = ()
    alone: "Alone | None" = None


def bind(argv: Sequence[str]) -> Bonds:
    """Tie this process to its session; before it has any thread.

    Args:
        argv: Its command line; without our option it is nobody's.
    """
    left = list(argv)
    if _OPTION not in left:
        return Bonds(argv=tuple(left))
    at = left.index(_OPTION)
    said: dict[str, Any] = json.loads(left[at + 1])
    del left[at : at + 2]
    owner = said.get("owner", 0)
    if owner:
        sweep.die_with_parent(_KILL, owner)
    os.environ.setdefault(sweep.TAG_NAME, os.urandom(16).hex())  # not each provisioner passes it on
    warden.begin(owner=owner, directory=said.get("directory", ""))
    if "pythonpath" in said:
        _restore("PYTHONPATH", said["pythonpath"])
    for fd in said.get("kept", ()):
        os.set_inheritable(fd, False)
    return Bonds(
        argv=tuple(left),
        kept=tuple(said.get("kept", ())),
        alone=Alone(said["lost_after_s"], said["first_s"]) if "first_s" in said else None,
    )


def end_when_alone(socket: Any, alone: Alone) -> None:
    """End this process when nobody has been connected to `socket`, not bound yet, for so long."""
    monitor = socket.get_monitor_socket(_EVENTS)
    threading.Thread(target=_watch, args=(monitor, alone), name="flow-alone", daemon=True).start()


def _watch(monitor: Any, alone: Alone) -> None:
    connected: set[int] = set()
    until_s = time.monotonic() + alone.first_s
    while True:
        left_s = max(0.0, until_s - time.monotonic())
        try:
            if not monitor.poll(None if connected else left_s * 1000):
                break
            event = recv_monitor_message(monitor)
        except zmq.ZMQError:  # it ends anyway
            return
        if event["event"] == zmq.EVENT_ACCEPTED:
            connected.add(event["value"])
        else:
            connected.discard(event["value"])
            until_s = time.monotonic() + alone.lost_after_s
    os.kill(os.getpid(), _KILL)


def _restore(name: str, value: str | None) -> None:
    """What our start needed is none of the cells' business."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
