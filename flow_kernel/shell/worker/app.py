"""What runs in a worker: ipykernel, with what a job brings and takes away around each cell.

Started by `workers.zygote`, which forks it, or as `python -m flow_kernel.shell.worker.app` where
there is no zygote. Everything about the session that it works for comes with the request, under
`flow_job` in its metadata; what it found goes back under `flow_job` in that of the reply.

History, descriptor capture and encryption warnings are off: the session keeps the history, its
pipes are read by the session even after it has died, and its sockets lie in a private directory.
"""

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

import zmq
from ipykernel.kernelapp import IPKernelApp
from traitlets import Bool, Type, default
from traitlets.config import Config

from flow_kernel.session import ambient
from flow_kernel.shell.channels import iopub, shell_channel
from flow_kernel.shell.overrides import fallen_child
from flow_kernel.shell.overrides.awaited_interrupts import AwaitingKernel
from flow_kernel.shell.overrides.once import remember_signatures
from flow_kernel.shell.overrides.quiet_exit import keep_quiet
from flow_kernel.shell.overrides.quiet_log import ask_first
from flow_kernel.shell.overrides.sure_reply import AnsweringKernel
from flow_kernel.shell.overrides.worker_overrides import (
    let_comms_speak,
    no_debugger_looks,
    tell_targets,
)
from flow_kernel.shell.start.deferred_debugger import DeferredDebugger, stand_in
from flow_kernel.shell.streams import outstream
from flow_kernel.shell.worker import magics as worker_magics
from flow_kernel.shell.worker.bonds import Alone, bind, end_when_alone
from flow_kernel.shell.worker.calls import WorkerCalls
from flow_kernel.shell.worker.checkpoints import WorkerCheckpoints
from flow_kernel.shell.worker.credit import Credit
from flow_kernel.shell.worker.job import WorkerJobs
from flow_kernel.shell.worker.line import LineKernel
from flow_kernel.shell.worker.replies import LoadedSession
from flow_kernel.shell.worker.sampler import Sampler
from flow_kernel.shell.worker.script import run_script
from flow_kernel.shell.worker.session import WorkerSession
from flow_kernel.shell.worker.shell import WorkerShell, places
from flow_kernel.shell.worker.streams import WorkerOutStream
from flow_kernel.workers.backlog import MARK
from flow_kernel.workers.glimpses import REQUEST
from flow_kernel.workers.job import JOB, KEEP
from flow_kernel.workers.last_words import LastWords

_EVERYTHING: Final = 0
_SESSION: Final = "--Session.session="


class WorkerKernel(AwaitingKernel, AnsweringKernel, LineKernel):
    """ipykernel's kernel; a request may bring a job."""

    shell_class: Any = Type(WorkerShell)
    debugger_class: Any = Type(DeferredDebugger)
    sampler: Sampler | None = None
    """Set once the worker has started, where it shares memory with its session."""

    @default("_execute_sleep")
    def _default_execute_sleep(self) -> float:
        return 0.0

    def __init__(self, **kwargs: Any) -> None:
        self._pid = os.getpid()
        with no_debugger_looks():
            super().__init__(**kwargs)
        remember_signatures()
        ask_first(self.log)
        let_comms_speak(self.shell)
        tell_targets(self)
        self._jobs = WorkerJobs(self.shell)
        self._calls = WorkerCalls(self)
        # `%load_ext flow_kernel` looks for it: there is a session already.
        self._checkpoints = WorkerCheckpoints(self.shell, self._jobs, self._calls)
        self._calls.on_wishes = self._checkpoints.take
        session = WorkerSession(self._calls, self._checkpoints)
        self.attachment: WorkerSession = session
        ambient.enter(session)
        worker_magics.register(self.shell, session, self._calls, self._checkpoints)
        self.shell_handlers[KEEP] = self._keep

    def has_comms(self) -> bool:
        """A widget may act while the cell keeps still."""
        manager = getattr(self, "comm_manager", None)
        return manager is not None and bool(manager.comms)

    async def do_execute(  # noqa: PLR0913 - the signature is ipykernel's
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: Any = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Any = None,
        cell_id: Any = None,
    ) -> Any:
        """Run a cell as ipykernel does, with its job around it."""
        job = cell_meta.get(JOB) if isinstance(cell_meta, Mapping) else None
        if job is None:
            with self.answered() as answer:
                answer.reply = await super().do_execute(
                    code, silent, store_history, user_expressions, allow_stdin,
                    cell_meta=cell_meta, cell_id=cell_id,
                )  # fmt: skip
            return answer.reply
        try:
            self._jobs.begin(
                job,
                "" if job.get("is_script") else code,
                self.get_parent("shell").get("buffers") or (),
            )
        except Exception as error:  # noqa: BLE001 - code of the values' classes may raise anything
            return self._jobs.refuse(error)
        except KeyboardInterrupt:
            interrupted = self._jobs.interrupted()
            self._jobs.end()
            return interrupted
        self._calls.open()
        self._checkpoints.is_on = bool(job.get("holds_state"))
        if self.sampler is not None:
            self.sampler.open(self.get_parent("shell")["header"]["msg_id"])
        self.shell.begin_request(code)
        reply: Any = None
        try:
            if job.get("is_script"):
                reply = self._jobs.script_reply(self._run_script(code, store_history, allow_stdin))
                return reply
            with self.answered() as answer:
                answer.reply = await super().do_execute(
                    code, silent, store_history, user_expressions, allow_stdin,
                    cell_meta=cell_meta, cell_id=cell_id,
                )  # fmt: skip
            reply = answer.reply
            return reply
        except KeyboardInterrupt:  # before the first line of the cell, or after its last
            return self._jobs.interrupted()
        finally:
            if os.getpid() != self._pid:
                fallen_child.end(reply)
            self.shell.end_request()
            if self.sampler is not None:
                self.sampler.close()
            self.repairs.end()
            self._calls.close()
            self._checkpoints.is_on = False
            self._jobs.end()

    def _run_script(self, text: str, has_history: bool, can_ask: bool) -> dict[str, Any]:
        if has_history:
            self.shell.history_manager.store_inputs(self.shell.execution_count, text)
        with self.shell.blocking():
            ended = run_script(self, text, can_ask=can_ask)
        self.shell.execution_count += has_history
        return ended

    def _publish_execute_input(self, code: Any, parent: Any, execution_count: Any) -> None:
        """Nothing: the session has told its clients what runs."""

    def _publish_status(self, status: Any, channel: Any, parent: Any = None) -> None:
        """Tell that it is idle, by the reply to a job where that waits for it.

        That it is busy its session knows, which has sent the request.
        """
        if status == "busy":
            return
        reply = self.session.take_reply(parent or self.get_parent(channel))
        if reply is None:
            super()._publish_status(status, channel, parent)
        else:
            self.session.send(self.iopub_socket, reply, ident=self._topic("execute_reply"))

    def _keep(self, stream: Any, ident: Any, parent: Any) -> None:
        """Take a checkpoint while no cell runs."""
        content = self._checkpoints.reply(parent["content"])
        self.session.send(stream, KEEP.replace("request", "reply"), content, parent, ident)

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Tell what the job has found."""
        metadata = super().finish_metadata(parent, metadata, reply_content)
        if parent["header"]["msg_type"] == "execute_request" and (found := self._jobs.take()):
            metadata[JOB] = found
            self.session.reply_buffers = self._jobs.take_buffers()
        return metadata


class WorkerApp(IPKernelApp):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's application for a worker."""

    classes: ClassVar[Any] = [WorkerKernel, *IPKernelApp.classes]
    capture_fd_output: Any = Bool(False)
    alone: Alone | None = None
    """How long it goes on without its session on another machine; None where they share one."""

    @default("kernel_class")
    def _default_kernel_class(self) -> type[WorkerKernel]:
        return WorkerKernel

    @default("outstream_class")
    def _default_outstream_class(self) -> str:
        if not outstream.is_usable():
            return "ipykernel.iostream.OutStream"
        captured, ours = "streams.outstream.FlowOutStream", "worker.streams.WorkerOutStream"
        return f"flow_kernel.shell.{captured if self.capture_fd_output else ours}"

    def _session_default(self) -> LoadedSession:
        made = LoadedSession(parent=self)
        made.holds_replies = self.alone is None
        return made

    def _bind_socket(self, socket: Any, port: int) -> Any:
        if self.alone is not None and socket is self.control_socket:
            end_when_alone(socket, self.alone)
        return super()._bind_socket(socket, port)

    _prepared: ClassVar[Any] = None
    _has_looked: Any = None

    @classmethod
    def prepare(cls) -> None:
        """Make one that a fork of this process takes as its own; it has read no settings yet."""
        app = cls(capture_fd_output=False)
        app.init_profile_dir()
        app.init_config_files()
        app._has_looked = places()
        cls._prepared = app

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The application of this process: that which was prepared, if it has looked here."""
        app, cls._prepared = cls._prepared, None
        if app is not None and app._has_looked == places() and not kwargs["capture_fd_output"]:
            for each in cls._walk_mro():
                each._instance = app
        return super().instance(*args, **kwargs)

    def init_config_files(self) -> None:
        """Find the folders of settings, once."""
        if self._has_looked is None:
            super().init_config_files()

    def parse_command_line(self, argv: Any = None) -> None:
        """Take what `workers.manager` says; traitlets' parser of everything takes 4 ms for it."""
        match argv:
            case ["-f", file, session] if session.startswith(_SESSION):
                said = Config()
                said.IPKernelApp.connection_file = file
                said.Session.session = session.removeprefix(_SESSION)
                self.set_trait("argv", [*argv])
                self.set_trait("cli_config", said)
                self.update_config(said)
            case _:
                super().parse_command_line(argv)

    def init_iopub(self, context: Any) -> None:
        """Let whoever has a message send it."""
        with iopub.in_place():
            super().init_iopub(context)

    def init_control(self, context: Any) -> None:
        """Let no socket that is made from here on drop a message because there are many."""
        context.setsockopt(zmq.SNDHWM, _EVERYTHING)
        with shell_channel.in_place():
            super().init_control(context)

    def write_connection_file(self, **kwargs: Any) -> None:
        """Who started it has written it."""

    def log_connection_info(self) -> None:
        """Nobody connects to it but its session."""

    def patch_io(self) -> None:
        """`faulthandler` writes to where `run` has sent it."""


def prepare() -> None:
    """Do what forks of this process would each do by itself; starts no thread."""
    WorkerShell.prepare()
    WorkerApp.prepare()


def run(argv: Sequence[str], kept: Sequence[int] = ()) -> int:
    """Run a worker until it is told to end.

    Args:
        argv: Of ipykernel: `-f FILE`.
        kept: Descriptors: for the stacks of a fatal signal, for the word that it is ready, memory
            for `LastWords`, and the line on which jobs come.

    Returns:
        The exit code.
    """
    stand_in()  # nobody can ask a worker for its debugger, which is half of what it would import
    before = frozenset(sys.modules)
    if kept:
        faulthandler.enable(file=kept[0], all_threads=True)
        if hasattr(signal, "SIGUSR2"):  # before it is killed, its session wants to know where it is
            faulthandler.register(signal.SIGUSR2, file=kept[0], all_threads=True)
    keep_quiet()
    app = WorkerApp.instance(capture_fd_output=not kept)
    app.initialize(list(argv))
    app.kernel.start()
    if len(kept) > 2:
        # What its start said was flushed to nobody: it is no word of a cell.
        for stream in _streams(app):
            stream.flush()
        words = LastWords(kept[2])
        os.close(kept[2])
        for stream in _streams(app):
            stream.begin(words)
        if isinstance(app.iopub_thread, iopub.FlowIOPubThread):
            app.iopub_thread.deposit = words.deposit
        _give_credit(app, words)
        app.kernel.sampler = sampler = Sampler(words.glimpses, has_comms=app.kernel.has_comms)
        app.kernel.control_handlers[REQUEST] = sampler.answer
    if len(kept) > 3:
        app.kernel.open_line(kept[3])
    if len(kept) > 1:
        _say_ready(kept[1], before, has_line=app.kernel.line is not None)
    with suppress(KeyboardInterrupt):
        _start_loop(app)
    return 0


def _streams(app: Any) -> list[Any]:
    """Ours; a file that the shell began with may have put others in their place."""
    made = (app.kernel._stdout, app.kernel._stderr)
    return [each for each in made if isinstance(each, WorkerOutStream)]


def _give_credit(app: Any, words: LastWords) -> None:
    session, publisher, streams = app.session, app.iopub_thread, _streams(app)
    never = [publisher.thread, app.control_thread, app.shell_channel_thread]

    def mark(spent: int) -> None:
        for stream in streams:
            stream._flush()
        session.send(publisher, MARK, {"spent": spent})

    WorkerOutStream.credit = session.credit = Credit(
        words,
        publisher,
        [each for each in never if each is not None],
        [lock for stream in streams for lock in stream.locks],
        mark,
    )


def _start_loop(app: Any) -> None:
    from tornado.ioloop import IOLoop  # ipykernel has it loaded

    app.io_loop = IOLoop.current()
    app.io_loop.start()


def _say_ready(fd: int, before: frozenset[str], *, has_line: bool) -> None:
    modules = [name for name in sys.modules if name not in before]
    data = json.dumps({"pid": os.getpid(), "modules": modules, "has_line": has_line}).encode()
    with suppress(OSError):
        os.write(fd, data)
    os.close(fd)


def program(argv: Sequence[str]) -> int:
    """Run a worker that no zygote has forked, until it or its session ends.

    Without pipes that its session reads it captures what native code writes, as ipykernel does.
    """
    bonds = bind(argv)
    WorkerApp.alone = bonds.alone
    return run(bonds.argv, bonds.kept)


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:]))
