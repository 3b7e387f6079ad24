"""The connection to one kernel: cells on its shell channel, questions on its control channel.

Made by `kernels`; used by the tools. It lives in the loop of the server: what has to wait for the
kernel waits without holding up other calls.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import zmq
import zmq.asyncio

from flow_kernel.apps.control_client import ANSWER_S, ControlClient
from flow_kernel.apps.mcp.cell_run import LEFT, CellRun
from flow_kernel.apps.repl_events import EventFilter
from flow_kernel.errors import KernelGone
from flow_kernel.records.lease import Lease
from flow_kernel.records.process import is_alive, this_process

_ASK_S: Final = ANSWER_S + 1.0
_LOOK_S: Final = 0.2
_FAREWELL_S: Final = 0.15
_EXPLAINED_S: Final = 2.0


class KernelLink:
    """One kernel, from its first request to its death.

    Args:
        lease: What its session says of itself.
        explain: Says why it has ended; called in a thread.

    Attributes:
        lease: What its session says of itself.
        death: Why the kernel has ended; empty while it lives.
        is_closed: True once the server has left it.
        events: Takes the events of the session out of what cells print; of kernels of ours alone.
    """

    def __init__(self, lease: Lease, explain: Callable[[], str]) -> None:
        self.lease = lease
        self.death: str = ""
        self.is_closed: bool = False
        self.events: EventFilter = EventFilter()
        self._explain = explain
        self._explained = asyncio.Event()
        self._runs: dict[str, CellRun] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._control = ControlClient.of(lease)
        self._context = zmq.asyncio.Context()
        self._context.setsockopt(zmq.RCVHWM, 0)
        self._context.setsockopt(zmq.SNDHWM, 0)
        self._shell: Any = None
        self._iopub: Any = None
        self._session: Any = None

    async def open(self) -> None:
        """Connect; returns when output of the kernel is heard.

        Raises:
            KernelGone: It does not answer.
        """
        from jupyter_client.client import KernelClient  # the addresses are read as it reads them

        client = KernelClient(context=self._context)
        client.load_connection_file(self.lease.connection_file)
        self._session = client.session
        # A socket that keeps frames alive after it was closed would cost a thread.
        self._session.copy_threshold = 1 << 40
        self._shell = client.connect_shell(identity=self._session.bsession)
        self._iopub = client.connect_iopub()
        knocker = client.connect_control()
        for socket in (self._shell, self._iopub, knocker):
            socket.linger = 0
        try:
            await self._heard(knocker)
        finally:
            knocker.close(0)
        self._tasks = [
            asyncio.create_task(self._listen(self._shell)),
            asyncio.create_task(self._listen(self._iopub)),
            asyncio.create_task(self._watch()),
        ]

    def send(self, run: CellRun, content: Mapping[str, object], flow: Mapping[str, object]) -> None:
        """Ask for a cell, under the id of its run.

        Raises:
            KernelGone: The kernel has ended.
        """
        self.follow(run)
        header = self._session.msg_header("execute_request") | {"msg_id": run.run_id}
        message = self._session.msg(
            "execute_request", dict(content), header=header, metadata={"flow": dict(flow)}
        )
        self._post(self._shell, message)

    def follow(self, run: CellRun) -> None:
        """Tell `run` what the kernel says of it from now on.

        Raises:
            KernelGone: The kernel has ended.
        """
        if self.death:
            raise KernelGone(self.death)
        self._runs[run.run_id] = run

    async def ask(self, op: str, **arguments: Any) -> dict[str, object]:
        """The answer to a request on the control channel, also while a cell runs.

        Raises:
            KernelGone: The kernel has ended, or does not answer.
            FlowError: It refuses.
        """
        try:
            # Of many at once most wait for a thread, which a kernel that is stopped may keep long.
            async with asyncio.timeout(_ASK_S):
                return await asyncio.to_thread(partial(self._control.ask, op, **arguments))
        except TimeoutError:
            raise KernelGone(f"the kernel did not answer within {_ASK_S:g} s") from None
        except KernelGone as gone:
            if not self._lives():
                with contextlib.suppress(TimeoutError):  # why it has ended is found out just now
                    await asyncio.wait_for(self._explained.wait(), _EXPLAINED_S)
            raise KernelGone(self.death or gone.message, hint=gone.hint) from None

    async def cancel(self, run: CellRun) -> None:
        """Interrupt that very cell, or have it never begin."""
        run.must_cancel = True  # until it is known to be done: then the cell ends as it begins
        with contextlib.suppress(KernelGone):
            told = await self.ask("cancel", msg_id=run.run_id, unbegun=True)
            run.must_cancel = told["cancelled"] is not True
            run.is_withdrawn = told.get("withdrawn") is True

    async def close(self) -> None:
        """Disconnect; what still runs there runs on, and whoever waits for it is told so."""
        self.is_closed = True
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.lose(
                "the server has left this kernel; the cell runs on there, and attaching to it"
                " brings the run back",
                kind=LEFT,
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._control.close()
        self._context.destroy(0)

    # -- inside ------------------------------------------------------------------------------------

    async def _heard(self, knocker: Any) -> None:
        """Wait for the first message of the kernel: until then, what cells print would be lost.

        Args:
            knocker: The control channel: a request on the other one would wait behind a cell.
        """
        for _ in range(50):
            self._post(knocker, self._session.msg("kernel_info_request", {}))
            if await self._iopub.poll(_LOOK_S * 1000):
                return
            if not self._lives():
                break
        raise KernelGone("the kernel does not answer")

    async def _listen(self, socket: Any) -> None:
        while True:
            frames = await socket.recv_multipart()
            try:
                _, frames = self._session.feed_identities(frames)
                message = self._session.deserialize(frames)
            except (ValueError, TypeError, KeyError):  # no message of the protocol, or not signed
                continue
            run = self._runs.get(str(message.get("parent_header", {}).get("msg_id")))
            if run is None or not isinstance(message.get("content"), dict):
                continue
            try:
                self._tell(run, message)
            except Exception as error:  # noqa: BLE001 - one run's output; the others are heard on
                self._runs.pop(run.run_id, None)
                run.lose(f"its output cannot be kept ({error}); it runs on", kind="OutputLost")

    def _tell(self, run: CellRun, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content.get("name") == "stdout":
            text = ""
            for piece in self.events.split(str(content.get("text", ""))):
                if isinstance(piece, str):
                    text += piece
                elif piece.name == "progress":
                    step, done = piece.fields.get("step"), piece.fields.get("done")
                    run.progress = f"{step}: {done} of {piece.fields.get('total')}"
            message = {**message, "content": {**content, "text": text}}
        run.hear(message)
        if message["msg_type"] == "execute_input" and run.must_cancel:
            self._tasks.append(asyncio.create_task(self.cancel(run)))
        if run.has_ended:
            self._runs.pop(run.run_id, None)

    async def _watch(self) -> None:
        """Wait for the death of the process, and tell whoever waits for it why."""
        died = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(self.lease.process.pid)
        except OSError:
            pidfd = -1
        try:
            if pidfd >= 0:
                loop.add_reader(pidfd, died.set)
            while not died.is_set() and self._lives():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(died.wait(), None if pidfd >= 0 else _LOOK_S)
        finally:
            if pidfd >= 0:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        await asyncio.sleep(_FAREWELL_S)  # what it said last is still on its way
        self.death = await asyncio.to_thread(self._explain)
        self._explained.set()
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.lose(self.death)

    def _lives(self) -> bool:
        return is_alive(self.lease.process, this_process())

    def _post(self, socket: Any, message: dict[str, Any]) -> None:
        # Without a limit it is sent at once; nobody has to wait for that.
        socket.send_multipart(self._session.serialize(message))
