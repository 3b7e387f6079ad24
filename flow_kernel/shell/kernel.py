"""The Flow kernel: ipykernel with a flight recorder.

Called by `python -m flow_kernel`, which clients start from the kernelspec `flow`.

Libraries look at the names of these classes (`get_ipython().__class__.__name__`, `'IPKernelApp' in
get_ipython().config`, `[IPKernelApp]` before lines of a log), so shell and application have those
of ipykernel; the kernel alone has its own, for `c.FlowKernel.*`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import zmq
from ipykernel.kernelapp import IPKernelApp
from jupyter_core.paths import jupyter_config_path
from traitlets import Bool, Enum, Float, Int, List, Type, Unicode, Union, default
from traitlets.config import Application
from traitlets.utils.importstring import import_item

from flow_kernel.records.quiet_collector import resume
from flow_kernel.session.policy import POLICIES
from flow_kernel.settings import ISOLATED_TYPES
from flow_kernel.shell.channels import iopub, shell_channel
from flow_kernel.shell.channels.own_comms import OwnComms, OwnCommsKernel
from flow_kernel.shell.channels.packed_text import escaped
from flow_kernel.shell.channels.quick_dispatch import QuickDispatchKernel
from flow_kernel.shell.channels.quiet_requests import QuietRequestsKernel
from flow_kernel.shell.flow_shell import FlowShell
from flow_kernel.shell.isolated.pool_config import WorkerPool, pool_settings
from flow_kernel.shell.opening import open_attachment, settings_of
from flow_kernel.shell.overrides import fallen_child, history_batches
from flow_kernel.shell.overrides.awaited_interrupts import AwaitingKernel
from flow_kernel.shell.overrides.late_interrupts import LateInterruptsKernel
from flow_kernel.shell.overrides.once import remember_signatures
from flow_kernel.shell.overrides.quiet_log import ask_first
from flow_kernel.shell.overrides.sections import SectionsOnce
from flow_kernel.shell.overrides.sure_reply import AnsweringKernel
from flow_kernel.shell.start import late_client, late_names
from flow_kernel.shell.start.deferred_debugger import DeferredDebugger, stand_in
from flow_kernel.shell.start.interrupted_runs import go_on
from flow_kernel.shell.start.spare_profile import SpareProfileApp, trouble_of
from flow_kernel.shell.start.told_address import ToldAddress
from flow_kernel.shell.streams import outstream
from flow_kernel.shell.streams.outstream import FlowOutStream
from flow_kernel.workers.backlog import HELD_MESSAGES

if TYPE_CHECKING:
    from flow_kernel.shell.attach import Attachment

_getpid: Final = os.getpid
_WARM_UP_S: Final = 0.1


class FlowKernel(
    AwaitingKernel,
    LateInterruptsKernel,
    AnsweringKernel,
    QuietRequestsKernel,
    OwnCommsKernel,
    QuickDispatchKernel,
):
    """ipykernel's kernel; each cell leaves a record before its reply is sent."""

    shell_class: Any = Type(FlowShell)
    debugger_class: Any = Type(DeferredDebugger)

    record: Any = Bool(True, help="Record cells; the log notes how many were not.").tag(config=True)
    actor: Any = Unicode("user", help="Who runs the cells, as records name it.").tag(config=True)
    keep_outputs: Any = Bool(False, help="Keep what cells display, for reports.").tag(config=True)
    home: Any = Unicode("", help="Directory of the records; empty: the project's .flow.").tag(
        config=True
    )

    formatter: Any = Unicode(
        "", help="Words the texts of tasks: module.Class, or an entry point; empty: ours."
    ).tag(config=True)
    isolated_types: Any = List(
        Unicode(),
        sorted(ISOLATED_TYPES),
        help="Types of tasks whose cells are isolated by default.",
    ).tag(config=True)
    isolate_all: Any = Bool(
        False, help="Run every cell in a worker, as USE_SUBPROCESS_WORKER=1 does."
    ).tag(config=True)
    memory_interrupt_at: Any = Float(
        0.95,
        min=0.0,
        max=1.0,
        help="Share of the available memory that a cell may take before it is interrupted; 0: all.",
    ).tag(config=True)
    resume_runs: Any = Bool(
        True, help="Runs of workflows whose runner was killed go on when a kernel starts."
    ).tag(config=True)
    mirrors: Any = List(
        Unicode(), help="Plug-ins that copy the logs to other systems, e.g. otlp."
    ).tag(config=True)
    remind_command: Any = Union(
        [Unicode(""), List(Unicode())],
        help="Run for each reminder of an open question; no shell reads it.",
    ).tag(config=True)
    checkpoint_steps: Any = Bool(
        True, help="Checkpoints at the ends of steps and tasks, and before approved cells."
    ).tag(config=True)
    checkpoint_every_cells: Any = Int(
        0, min=0, help="A checkpoint after so many cells; 0 for none."
    ).tag(config=True)
    checkpoint_every_minutes: Any = Float(
        0.0, min=0.0, help="A checkpoint after a cell when the last one is so old; 0 for none."
    ).tag(config=True)
    checkpoint_budget_bytes: Any = Int(
        0, min=0, help="What checkpoints may take on the disk; 0: 10 GB, or a tenth of the free."
    ).tag(config=True)
    human_only: Any = Bool(
        False, help="Answers that a program passes on for a person do not count."
    ).tag(config=True)
    approve: Any = Enum(POLICIES, "auto", help="Which cells need an answer before they run.").tag(
        config=True
    )

    @default("_execute_sleep")
    def _default_execute_sleep(self) -> float:
        # ipykernel sleeps half a millisecond before each reply, in the hope that output is on its
        # way by then. Ours has arrived when the reply leaves: `Attachment.seal` drained it.
        return 0.0

    def __init__(self, **kwargs: Any) -> None:
        stand_in()
        self._pid = _getpid()
        super().__init__(**kwargs)
        remember_signatures()
        ask_first(self.log)
        # Formatters make their tables at the first result, deep in the stack of its cell.
        self.shell.display_formatter.format([0])
        pool = pool_settings(self.config)
        self.attachment: Attachment | None = None
        try:
            self.attachment = open_attachment(self.shell, self, settings_of(self, pool), self.home)
        except Exception:
            self.log.exception("flow: recording is off, the kernel runs as stock")
            return
        self.own_comms: OwnComms | None = self.attachment.comms
        of_stock = late_names.of_stock(getattr(self.parent, "transport", ""))
        self.attachment.session.recorder.disown_imports(of_stock)
        if trouble := trouble_of(self.parent, self.shell):
            self.say(trouble)
        if self.resume_runs:
            session = self.attachment.session
            go_on(session.home, session.notices)
        if type(debugger := getattr(self, "debugger", None)) is DeferredDebugger:
            debugger.on_load = self.attachment.session.recorder.disown_imports

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
        """Run a cell as ipykernel does; requests that are no cells are counted."""
        code = escaped(code)  # a literal is then what it was; else Python could not read it
        if self.attachment is not None:
            self.attachment.note_request(
                code, silent=silent, store_history=store_history, expressions=user_expressions
            )
        are_isolated = bool(user_expressions) and self._isolates_all
        answer = self.answered()
        try:
            with answer:
                self.hear_interrupts()
                self.shell.begin_request(code)
                answer.reply = await super().do_execute(
                    code,
                    silent,
                    store_history,
                    None if are_isolated else user_expressions,
                    allow_stdin,
                    cell_meta=cell_meta,
                    cell_id=cell_id,
                )
            self.hear_no_interrupt()
        except KeyboardInterrupt as error:
            self.hear_no_interrupt()
            answer.give_after(error)
        self.shell.end_request()
        reply = answer.reply
        if _getpid() != self._pid:
            fallen_child.end(reply)
        if are_isolated and reply.get("status") == "ok" and self.attachment is not None:
            from flow_kernel.shell.isolated.asks import (
                expressions_of,
            )  # most kernels have no worker

            session = self.attachment.session
            self.hear_interrupts()
            reply["user_expressions"] = await expressions_of(session, user_expressions)
            self.hear_no_interrupt()
        return reply

    async def do_complete(self, code: str, cursor_pos: int) -> Any:
        """Completions of the session; where every cell is isolated, those of its worker."""
        content = {"code": code, "cursor_pos": cursor_pos}
        return await self._of_worker("complete_request", content) or super().do_complete(
            code, cursor_pos
        )

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> Any:
        """What a name is in the session; where every cell is isolated, in its worker."""
        content = {"code": code, "cursor_pos": cursor_pos, "detail_level": detail_level}
        return await self._of_worker("inspect_request", content) or super().do_inspect(
            code, cursor_pos, detail_level, omit_sections
        )

    @property
    def _isolates_all(self) -> bool:
        return self.attachment is not None and self.attachment.session.settings.isolate_all

    async def _of_worker(self, kind: str, content: dict[str, Any]) -> Any:
        if self.attachment is None or not self._isolates_all:
            return None
        from flow_kernel.shell.isolated.asks import ask_worker  # most kernels have no worker

        return await ask_worker(self.attachment.session, kind, content)

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Write the record of the cell that `parent` asked for, and tell its facts."""
        metadata = super().finish_metadata(parent, metadata, reply_content)
        if self.attachment is not None:
            facts = self.attachment.seal(parent, reply_content)
            if facts is not None:
                metadata["flow"] = facts
        return metadata

    def start(self) -> None:
        """Start as ipykernel does; what the first cell needs is loaded once nobody waits."""
        super().start()
        history = self.shell.history_manager
        if isinstance(history, history_batches.BatchedHistory):
            history.batch(self._later)
        if self.attachment is not None:
            # The application has set its hooks by now; threads of start-up files are the user's.
            self.attachment.look_around.begin(is_first=False)
            self.io_loop.call_later(_WARM_UP_S, self._warm_up)

    def _warm_up(self) -> None:
        if self.attachment is not None:
            session = self.attachment.session
            session.warm_up()
            with session.recorder.own_imports():
                late_client.load()

    def _later(self, wait_s: float, call: Callable[[], None]) -> None:
        """Have the thread of the IOPub channel call, which no cell keeps busy."""
        publisher = self.iopub_thread
        loop = publisher.io_loop.asyncio_loop
        publisher.schedule(lambda: loop.call_later(wait_s, call))

    def say(self, text: str) -> None:
        """Tell the person, at the next cell."""
        if self.attachment is not None:
            self.attachment.session.notices.say(text)

    def do_shutdown(self, restart: bool) -> Any:
        """Shut down as ipykernel does; a kill that follows is no death.

        Runs in the control thread: a cell may still be at work, so the recorder stays until exit.
        """
        if self.attachment is not None:
            self.attachment.session.sign_off()
        return super().do_shutdown(restart)

    def close_session(self) -> None:
        """End the session; harmless the second time."""
        attachment, self.attachment = self.attachment, None
        if attachment is not None:
            attachment.session.close()
            attachment.detach()


class FlowKernelApp(SectionsOnce, ToldAddress, SpareProfileApp):
    """ipykernel's application, with the Flow kernel and its configuration file."""

    classes: ClassVar[Any] = [FlowKernel, WorkerPool, *IPKernelApp.classes]
    collector_rests: Any = Bool(False, help="The garbage collector waits for the kernel.")
    blocking_class: Any = Type(klass=object)

    def init_control(self, context: Any) -> None:
        """Let requests reach the thread that runs them without a hop through sockets."""
        with shell_channel.in_place():
            super().init_control(context)

    def init_iopub(self, context: Any) -> None:
        """Let nothing be dropped that several workers say while a client is slow."""
        context.setsockopt(zmq.SNDHWM, HELD_MESSAGES)
        with iopub.in_place():
            super().init_iopub(context)
        context.sockopts.pop(zmq.SNDHWM, None)

    @default("kernel_class")
    def _default_kernel_class(self) -> type[FlowKernel]:
        return FlowKernel

    @default("outstream_class")
    def _default_outstream_class(self) -> str:
        ours = "flow_kernel.shell.streams.outstream.FlowOutStream"
        return ours if outstream.is_usable() else "ipykernel.iostream.OutStream"

    @default("blocking_class")
    def _default_blocking_class(self) -> Any:
        # As ipykernel's, which names it in the declaration: then it is loaded at each start.
        return import_item("jupyter_client.BlockingKernelClient")

    def load_config_file(self, suppress_errors: bool | None = None) -> None:
        """Load ipykernel's configuration, then `jupyter_flow_config.py` of the Jupyter paths."""
        super().load_config_file(suppress_errors=suppress_errors)
        Application.load_config_file(self, "jupyter_flow_config.py", path=jupyter_config_path())

    def init_extensions(self) -> None:
        """Load the extensions of the user; the kernel is made, and garbage is collected again."""
        if self.collector_rests:
            resume()
        super().init_extensions()

    def close(self) -> None:
        """Close the session before the sockets: this runs at exit, however the kernel stops."""
        kernel = self.kernel
        if isinstance(kernel, FlowKernel):
            for stream in (kernel._stdout, kernel._stderr):  # what was printed last is sent
                if isinstance(stream, FlowOutStream) and not stream.closed:
                    stream.flush()
            kernel.close_session()
        super().close()


FlowKernelApp.__name__ = FlowKernelApp.__qualname__ = IPKernelApp.__name__
