"""Ties a session to a shell: the one code path of the kernel and of the extension.

Called by `shell.kernel` when the Flow kernel starts and by `shell.extension` for a stock ipykernel
or a terminal IPython.

    pre_run_cell ──▶ begin          post_run_cell ──▶ end          execute_reply ──▶ seal
                      compiled code objects, writes, messages arrive in between

What each tap needs of IPython and ipykernel is checked first (`shell.taps.selftest`); a tap whose
check fails stays out and the rest works on.
"""

import threading
from collections.abc import Mapping
from importlib import import_module
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session import ambient
from flow_kernel.session.cell import CellRequest, OpenCell
from flow_kernel.session.checkpoints.surroundings import LookAround
from flow_kernel.session.checkpoints.tracking import Ended
from flow_kernel.session.glance import Glance
from flow_kernel.session.hidden import HIDDEN
from flow_kernel.session.session import Session
from flow_kernel.shell.channels.control_channel import ControlChannel
from flow_kernel.shell.channels.own_comms import OwnComms
from flow_kernel.shell.channels.request_marks import actor_of
from flow_kernel.shell.channels.request_threads import RequestThreads
from flow_kernel.shell.channels.sendable import make_sendable
from flow_kernel.shell.isolated.marks import IsolatedMarks
from flow_kernel.shell.streams.captured_fd import drain
from flow_kernel.shell.taps.compile_tap import CompileTap
from flow_kernel.shell.taps.event_outlet import EventOutlet
from flow_kernel.shell.taps.failures import failure_of_reply, failure_of_result, line_in_cell
from flow_kernel.shell.taps.gate import Gate
from flow_kernel.shell.taps.guard import Guard, HeldInterrupts, say
from flow_kernel.shell.taps.hidden_requests import HiddenRequests
from flow_kernel.shell.taps.message_tap import MessageTap
from flow_kernel.shell.taps.selftest import usable_taps
from flow_kernel.shell.taps.stream_tee import StreamTee
from flow_kernel.shell.taps.terminal_tap import TerminalTap

if TYPE_CHECKING:
    from flow_kernel.shell.panel.panels import Panels

globals()["__builtins__"] = FROZEN_BUILTINS

_UNRECORDED: Final = "record: false"
_get_ident: Final = threading.get_ident


class Attachment:
    """A session at work in a shell; `attach` begins it, `detach` leaves no trace of it."""

    def __init__(
        self,
        shell: Any,
        session: Session,
        kernel: Any | None = None,
        *,
        look_around: LookAround,
        comms: OwnComms | None = None,
    ) -> None:
        self.session = session
        self.comms: OwnComms | None = comms
        self.panels: Panels | None = None
        self.look_around: LookAround = look_around
        self._shell = shell
        self._kernel = kernel
        self._recorder = session.recorder
        self._guard = Guard(self._give_up)
        self._running: dict[int, list[tuple[Any, OpenCell | None]]] = {}
        self._glances: dict[int, Glance] = {}
        self._must_interrupt = False
        taps = usable_taps(shell, kernel)
        self._taps: list[Any] = []
        if "compile" in taps:
            self._taps.append(CompileTap(shell, self._on_code))
        self._outlet: EventOutlet | None = None
        self.messages: MessageTap | None = None
        if kernel is not None and "messages" in taps:
            messages = self.messages = MessageTap(kernel, self._recorder, self._guard)
            self._outlet = EventOutlet(kernel, messages, self._guard)
            self._taps.append(messages)
            self._taps.append(ControlChannel(kernel, session))
        self.terminal: TerminalTap | None = None
        if kernel is None:
            self.terminal = TerminalTap(shell, self._recorder, self._guard)
            self._taps.append(self.terminal)
        self._streams: tuple[Any, ...] = ()
        if kernel is not None and "drain" in taps:
            self._streams = (kernel._stdout, kernel._stderr)
        self._tee = StreamTee(
            session.tail.note, self.terminal.write if self.terminal is not None else None
        )
        self._gate = Gate(shell, session)
        self._threads = RequestThreads(kernel)
        self._hidden = HiddenRequests(shell, kernel, self._recorder)
        self.marks: IsolatedMarks = IsolatedMarks(
            shell, session, lambda: bool(self._running.get(_get_ident()))
        )
        self._taps += [self.marks]
        self.is_attached: bool = False
        # IPython imports it in the first cell, which would be told as an import of that cell.
        import_module("IPython.core.logger")

    def attach(self) -> None:
        """Begin to record."""
        events = self._shell.events
        events.register("pre_run_cell", self._pre_run_cell)
        events.register("post_run_cell", self._post_run_cell)
        for tap in self._taps:
            tap.install()
        if self._outlet is not None:
            self.session.announcer.connect(self._outlet)
        self._gate.open()
        ambient.enter(self.session)
        self.is_attached = True

    def detach(self, *, keeps_gate: bool = False) -> None:
        """Stop recording and leave the shell as it was found.

        Args:
            keeps_gate: True to go on refusing risky cells, where the policy of the session says so.
        """
        if keeps_gate:
            self._gate.go_blind()
        else:
            self._gate.close()
        if not self.is_attached:
            return
        self.is_attached = False
        if self.panels is not None:
            self.panels.close()
        if self.comms is not None:
            self.comms.close()
        self.session.announcer.disconnect()
        if self._outlet is not None:
            self._outlet.end()
        events = self._shell.events
        events.unregister("pre_run_cell", self._pre_run_cell)
        events.unregister("post_run_cell", self._post_run_cell)
        self._tee.remove()
        for tap in reversed(self._taps):
            tap.remove()
        ambient.leave(self.session)

    # -- what a kernel tells -----------------------------------------------------------------------

    def note_request(
        self, code: str, *, silent: bool, store_history: bool, expressions: Any = None
    ) -> None:
        """An execute request arrived; the ones that are no cells are only counted.

        Args:
            code: Its source.
            silent: True for one that IPython tells nobody of.
            store_history: False for one that is no cell.
            expressions: What is evaluated after it.
        """
        if expressions:
            self.session.still.stir()
        if (expressions or silent) and self.session.tracking.is_on:
            self.session.tracking.doubt("evaluated expressions of a client")
        if not self._running.get(_get_ident()):
            self._recorder.acting.end()  # whatever the one before has left in this context
        if self.is_attached and (silent or not store_history):
            self._guard(self._hidden.begin, code)

    def seal(self, parent: Mapping[str, Any], reply: dict[str, Any]) -> dict[str, object] | None:
        """The reply to `parent` is about to leave: write its cell.

        Returns:
            What goes into the reply's metadata under `flow`; None when it is no recorded cell.
        """
        if not self.is_attached or parent["header"]["msg_type"] != "execute_request":
            return None
        with HeldInterrupts():
            self._guard(make_sendable, reply)
            return self._guard(self._seal, parent, reply)

    def _seal(
        self, parent: Mapping[str, Any], reply: Mapping[str, Any]
    ) -> dict[str, object] | None:
        key = parent["header"]["msg_id"]
        self._hidden.end()
        if self._running.pop(_get_ident(), None):
            self._tee.reset()
            self._gate.end()
        self._recorder.acting.end()
        if reply.get("status") == "aborted":
            content = parent["content"]
            if content.get("store_history", True) and not content.get("silent", False):
                metadata = parent.get("metadata") or {}
                self._recorder.aborted(
                    self._request(content["code"], metadata, metadata.get("cellId"), None, key)
                )
            return None
        if self._streams:
            drain(self._streams, self.session.settings.recorder.drain_s)
        return self._recorder.seal(key, failure_of_reply(reply))

    # -- what the shell tells ----------------------------------------------------------------------

    def _pre_run_cell(self, info: Any) -> None:
        must_interrupt = False
        if self.session.tracking.is_on and not self._running.get(_get_ident()):
            try:
                self._guard(self.session.tracking.begin_cell, info.raw_cell)
            except KeyboardInterrupt:  # it is for the cell: the gate and the record come first
                must_interrupt = True
        with HeldInterrupts() as held:
            is_nested = bool(self._running.get(_get_ident()))
            if not is_nested:
                acting = self._recorder.acting
                acting.begin(actor_of(info.cell_meta) or acting.now())
            msg_id = self._guard(self._threads.request_id)
            self._gate.begin(info, msg_id, is_nested=is_nested)
            cell = self._guard(self._begin, info, msg_id)
            if cell is None and not is_nested and self.session.tracking.is_on:
                self._guard(self._glance)
            self._running.setdefault(_get_ident(), []).append((info, cell))
            if cell is not None:
                self._tee.install()
        if held.was_interrupted or must_interrupt:
            self._must_interrupt = True

    def _begin(self, info: Any, msg_id: str | None) -> OpenCell | None:
        notices = self.session.notices
        self.session.announcer.begin_cell()
        if notices.waiting:
            self._tell_notices()
        is_nested = self._recorder.innermost() is not None
        if not info.store_history and not is_nested:
            if self._kernel is None:
                self._recorder.hidden(info.raw_cell, HIDDEN)
            return None
        if not is_nested and _wants_no_record(info.cell_meta):
            self._recorder.hidden(info.raw_cell, _UNRECORDED)
            return None
        count = self._shell.execution_count - 1 if info.store_history else None
        request = self._request(info.raw_cell, info.cell_meta, info.cell_id, count, msg_id)
        cell = self._recorder.begin(request)
        if notices.waiting:
            self._tell_notices()
        return cell

    def _glance(self) -> None:
        """What is no cell may change variables as well."""
        glance = self._recorder.glance(self._shell.user_ns, self._shell.user_ns_hidden)
        if glance is not None:
            self._glances[_get_ident()] = glance

    def _request(
        self,
        code: str,
        metadata: object,
        cell_id: str | None,
        count: int | None,
        msg_id: str | None,
    ) -> CellRequest:
        return CellRequest(
            code=code,
            namespace=self._shell.user_ns,
            hidden=self._shell.user_ns_hidden,
            msg_id=msg_id,
            cell_id=cell_id if type(cell_id) is str else None,
            execution_count=count,
            actor=self._recorder.acting.now() or actor_of(metadata),
            is_answered=self._threads.are_answered(),
        )

    def _post_run_cell(self, result: Any) -> None:
        with HeldInterrupts():
            self._guard(self._end, result)

    def _end(self, result: Any) -> None:
        running = self._running.get(_get_ident())
        if not running:
            return
        info, cell = running[-1]
        if result is not None and result.info is not info:
            return  # a blank cell, or one that began before we were attached
        running.pop()
        if not running:
            del self._running[_get_ident()]
            self.session.announcer.end_cell()
            self._gate.end()
            self._recorder.acting.end()
            self.session.watch_reminders()
        if cell is None:
            if info.store_history and not running:
                self._recorder.changed_unseen()
            glance = None if running else self._glances.pop(_get_ident(), None)
            if not running and self.session.tracking.is_on:
                self.session.tracking.end_cell(_ended_unrecorded(info.raw_cell, glance, result))
            return
        self._tee.remove()
        self._must_interrupt = False
        failure, error = failure_of_result(result)
        if error is not None:
            cell.error_line = line_in_cell(error, cell.filenames)
        self._recorder.end(cell, failure, seals=self._kernel is None)
        self.session.look_around()
        if not running and self.session.tracking.is_on:
            self.session.tracking.end_cell(_ended(cell, has_failed=failure is not None))
        if self.session.notices.waiting:
            self._tell_notices()

    def _on_code(self, code: CodeType) -> None:
        if self._must_interrupt:
            self._must_interrupt = False
            raise KeyboardInterrupt
        if self.session.tracking.is_on:
            self.session.tracking.note(code)
        self.session.still.note(code)
        self._guard(self._note_code, code)

    def _note_code(self, code: CodeType) -> None:
        cell = self._recorder.innermost()
        if cell is not None:
            cell.filenames.add(code.co_filename)
            cell.names.add(code)

    # -- what we tell ------------------------------------------------------------------------------

    def _tell_notices(self) -> None:
        text = self.session.notices.take()
        if text:
            self._show(text)

    def _show(self, text: str) -> None:
        kernel = self._kernel
        if kernel is None:
            say(text)
            return
        # Past our own tap: what we say is no output of the cell.
        type(kernel.session).send(
            kernel.session,
            kernel.iopub_socket,
            "stream",
            {"name": "stderr", "text": text},
            parent=kernel.get_parent("shell"),
            ident=b"stream.stderr",
        )

    def _give_up(self, failure: str) -> None:
        self.detach(keeps_gate=True)
        reason = failure.strip().rpartition("\n")[2]
        self._show(f"flow: recording stopped after three failures ({reason}); cells run on\n")


def _ended_unrecorded(source: str, glance: Glance | None, result: Any) -> Ended:
    """What is no cell, as the time machine wants to know it."""
    if glance is None:
        return Ended(source)
    failure, _ = failure_of_result(result)
    found = glance.end()
    return Ended(
        source=source,
        has_failed=failure is not None,
        added=found.added,
        removed=found.removed,
        has_bound=bool(found.added or found.changed or found.removed),
        imports=found.imports,
    )


def _ended(cell: OpenCell, *, has_failed: bool) -> Ended:
    """A cell, as the time machine wants to know it."""
    found = cell.own_changes
    if found is None:
        return Ended(cell.request.code, is_cell=True, has_failed=has_failed)
    return Ended(
        source=cell.request.code,
        is_cell=True,
        has_failed=has_failed,
        added=found.added,
        removed=found.removed,
        has_bound=bool(found.added or found.changed or found.removed),
        imports=found.imports,
    )


def _wants_no_record(metadata: Any) -> bool:
    if type(metadata) is not dict:
        return False
    flow = metadata.get("flow")
    return type(flow) is dict and flow.get("record") is False
