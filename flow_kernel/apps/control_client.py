"""Asks a running kernel, also while a cell keeps it busy: the one client of `flow_request`.

Used by the verbs of the command line, the MCP server and the dashboard.

    with ControlClient.of(find_kernel(home)) as kernel:
        kernel.ask("status")                       answered within milliseconds
        kernel.ask("approve", approval_id="A-0001", decision="yes")

The requests and their answers: `shell.channels.control_channel`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import zmq
from jupyter_client.client import KernelClient

from flow_kernel import errors
from flow_kernel.records.home import Home
from flow_kernel.records.lease import Lease, living
from flow_kernel.records.process import is_alive, this_process

ANSWER_S: Final = 5.0
_SLICE_MS: Final = 100
"""How long the death of a kernel goes unseen."""
_PLAIN: Final = {
    each.__name__: each
    for each in (
        errors.UsageError,
        errors.NotFound,
        errors.StoreError,
        errors.IllegalTransition,
        errors.IsolationUnavailable,
    )
}


class ControlClient:
    """The control channel of one kernel; safe with several threads, which wait for one another.

    Args:
        connection_file: Of the kernel.
        lives: False once the kernel's process has ended; always true where nobody can say.
    """

    def __init__(
        self, connection_file: str | Path, *, lives: Callable[[], bool] = lambda: True
    ) -> None:
        """Connect; nothing is asked yet.

        Raises:
            KernelGone: The file is not there, or is none.
        """
        self._lives = lives
        self._lock = threading.Lock()
        self._context = zmq.Context()
        client = KernelClient(context=self._context)
        try:
            client.load_connection_file(str(connection_file))
            self._socket: zmq.Socket[bytes] = client.connect_control()
        except (OSError, ValueError, KeyError, zmq.ZMQError) as error:
            self._context.destroy(0)
            raise errors.KernelGone(
                f"{Path(connection_file).name} leads to no kernel ({error})"
            ) from None
        self._session: Any = client.session
        self._socket.linger = 0

    @classmethod
    def of(cls, lease: Lease) -> Self:
        """The client of the kernel that a session runs in; see `find_kernel`."""
        here = this_process()
        return cls(lease.connection_file, lives=lambda: is_alive(lease.process, here))

    def ask(
        self, op: str, *, timeout_s: float = ANSWER_S, **arguments: object
    ) -> dict[str, object]:
        """The answer to one request.

        Args:
            op: What is wanted.
            timeout_s: How long it may take.
            arguments: Of the request.

        Raises:
            KernelGone: The kernel has ended, or does not answer.
            FlowError: It refuses; the class is that of the refusal where it says no more than text.
        """
        until_s = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            raise errors.KernelGone(f"the kernel did not answer others within {timeout_s:g} s")
        try:
            content = self._answer({"op": op, **arguments}, timeout_s, until_s)
        finally:
            self._lock.release()
        if content.get("ok") is True and isinstance(content.get("data"), dict):
            data: dict[str, object] = content["data"]
            return data
        raise _error_of(content.get("error"), arguments)

    def close(self) -> None:
        """Disconnect; harmless the second time."""
        with self._lock:
            self._context.destroy(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(
        self, content: dict[str, object], timeout_s: float, until_s: float
    ) -> dict[str, Any]:
        if self._socket.closed:
            raise errors.KernelGone("the connection to the kernel is closed")
        message = self._session.msg("flow_request", content)
        self._session.send(self._socket, message)
        while (left_s := until_s - time.monotonic()) > 0:
            if not self._socket.poll(min(_SLICE_MS, int(left_s * 1000) + 1)):
                if not self._lives():
                    raise errors.KernelGone("the kernel has ended")
                continue
            found = self._received()
            if found.get("parent_header", {}).get("msg_id") == message["header"]["msg_id"]:
                content = found["content"]
                return content if isinstance(content, dict) else {}
        hint = "a cell may hold it in code that lets no other thread run"
        if content.get("op") == "approve":
            hint += "; the answer may still count: look at the approval before you answer again"
        raise errors.KernelGone(f"the kernel did not answer within {timeout_s:g} s", hint=hint)

    def _received(self) -> dict[str, Any]:
        try:
            _, message = self._session.recv(self._socket)
        except (ValueError, TypeError, KeyError):  # no message of the protocol, or not signed
            return {}
        return message or {}


def find_kernel(home: Home, word: str = "") -> Lease:
    """The session that is meant.

    Args:
        home: Where it records.
        word: The beginning of its id, its pid, the name of its notebook or of its connection file;
            empty means the only one, or else the one that was begun last, of those that are not
            some program's own.

    Raises:
        NotFound: None of that name lives, or several do.
    """
    leases = [lease for lease in living(home.run_dir) if lease.connection_file]
    found = [
        lease for lease in leases if (_is_named(lease, word) if word else not lease.is_private)
    ]
    if not found:
        what = f"named {word[:60]!r} " if word else ""
        raise errors.NotFound(
            f"no kernel {what}runs on {home.root}",
            hint="open a notebook with the kernel flow, or name its home with --home",
        )
    if word and len(found) > 1:
        ids = ", ".join(lease.session[:8] for lease in found[-8:])
        raise errors.NotFound(f"several kernels are named {word[:60]!r}: {ids}")
    return found[-1]


def _is_named(lease: Lease, word: str) -> bool:
    path, notebook = Path(lease.connection_file), Path(lease.notebook)
    names = (str(lease.process.pid), str(path), path.name, path.stem, str(notebook), notebook.name)
    return lease.session.startswith(word) or word in names


def _error_of(refusal: object, arguments: dict[str, object]) -> errors.FlowError:
    told = refusal if isinstance(refusal, dict) else {}
    kind, message = str(told.get("type")), str(told.get("message") or "the kernel refuses")
    hint = str(told.get("hint") or "")
    if kind == "AlreadyDecided":
        return errors.AlreadyDecided(
            message,
            approval_id=str(arguments.get("approval_id", "")),
            decided_by=None,
            decided_at=None,
        )
    return _PLAIN.get(kind, errors.FlowError)(message, hint=hint)
