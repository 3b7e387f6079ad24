"""The flight recorder: what a cell did, written before its reply leaves.

Called by the taps of `shell`, in the thread that runs the cell or sends the message.

    shell: begin → [cell_started on disk] → user's code → end (diff) → seal → [cell on disk]
    taps:  stream, display, failed (by the msg_id of the request that caused them)

Outside a kernel, and for a cell that another cell or a thread runs, `end` seals at once; inside one
the kernel seals after it has drained the cell's output. What arrives later is a `late` record.
Nothing here raises into the user's cell: `shell.taps.guard` stands around every call.
"""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from flow_kernel.records.cell_changes import Watches
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.long_text import LongText
from flow_kernel.session.acting import Acting
from flow_kernel.session.apart import Apart
from flow_kernel.session.asked import AskedBurst
from flow_kernel.session.cell import CellRequest, Failure, OpenCell, facts
from flow_kernel.session.glance import Glance
from flow_kernel.session.hidden import HiddenBurst
from flow_kernel.session.housekeeping import Housekeeper
from flow_kernel.session.late import LateOutput, Sealed
from flow_kernel.session.open_cells import OpenCells
from flow_kernel.session.sealing import RecorderParts, cell_fields, started_fields

globals()["__builtins__"] = FROZEN_BUILTINS

_CALM_S: Final = 0.1
_SPANS: Final = 1 << 64
_getpid: Final = os.getpid
_get_ident: Final = threading.get_ident
_perf_ns: Final = time.perf_counter_ns


class Recorder:
    """Records the cells of one session; thread-safe, and without effect in a forked child."""

    def __init__(self, parts: RecorderParts) -> None:
        self._parts = parts
        self._pid = _getpid()
        self._stacks: dict[int, list[OpenCell]] = {}
        self._open = OpenCells()
        self._past = LateOutput(parts)
        self._latest_key = self._answered = ""
        self._count = 0
        # Random once, then counted: as unique as random ones, and no call to the system a cell.
        self._spans = int.from_bytes(os.urandom(8), "big")
        self._watches = Watches()
        self._apart = Apart(parts, self._watches)
        self._hidden = HiddenBurst(parts.journal, parts.where)
        self._asked = AskedBurst(parts.journal, parts.where)
        self.acting: Acting = Acting()
        self._housekeeper = Housekeeper(
            on_busy=self._measure,
            on_dirty=self._sync,
            first_s=parts.memory_watch.first_look_s,
        )
        self.cells_seq: int = 0  # number of the last record that a cell has left
        self._is_behind = False  # cells have ended since that leave no record of their own
        self.is_paused: bool = not parts.settings.record
        self._note_memory(parts.memory())

    # -- the cell ----------------------------------------------------------------------------------

    def begin(self, request: CellRequest) -> OpenCell | None:
        """Open a cell: its `cell_started` record is on disk when this returns.

        Returns:
            The open cell, to be given to `end`; None while recording is off.
        """
        if _getpid() != self._pid:
            return None
        began_ns = _perf_ns()
        thread = _get_ident()
        stack = self._stacks.setdefault(thread, [])
        if self._open and not stack:
            for left in self._open.left_in(thread):
                self._write(left, None)  # the kernel failed before its reply
        if self.is_paused:
            self.hidden(request.code, "paused", request.actor)
            return None
        self._flush_hidden()
        self._asked.flush()
        cell = self._open_cell(request, thread, stack)
        parts = self._parts
        fields = started_fields(cell, parts.settings.actor)
        parts.journal.append("cell_started", cell.place.plan_id, cell.place.task_id, fields)
        stack.append(cell)
        self._housekeeper.busy(True)
        cell.start(self._watches, parts.settings.recorder)
        cell.recorder_ns = cell.started_ns - began_ns
        return cell

    def end(self, cell: OpenCell, failure: Failure | None, *, seals: bool) -> None:
        """Stop the clock of `cell` and take its diff.

        Args:
            cell: What `begin` returned, in the same thread.
            failure: How it failed, as far as the shell knows; None when it did not.
            seals: True to write the record now: nobody will call `seal`.
        """
        if _getpid() != self._pid:
            return
        cell.stop()
        began_ns = _perf_ns()
        stack = self._stacks.get(cell.thread, [])
        while stack:
            if stack.pop() is cell:
                break
        if not stack:
            self._stacks.pop(cell.thread, None)
        parts = self._parts
        cell.take_changes(self._watches, parts.settings.recorder, parts.redactor)
        cell.recorder_ns += _perf_ns() - began_ns
        if failure is not None and cell.output.error is None:
            cell.output.error = {
                "ename": failure.ename,
                "evalue": failure.evalue,
                "traceback": list(failure.traceback),
            }
        if seals or cell.is_nested or not cell.request.is_answered:
            self._write(cell, failure)

    def begin_apart(
        self, key: str, request: CellRequest, starter: OpenCell | None
    ) -> OpenCell | None:
        """Open a cell that runs in another process while others run here.

        Args:
            key: What it says is told with this key: those that one request begins share its id.
            request: Of the cell that began it, with the code of this one.
            starter: The cell that began it.

        Returns:
            The open cell, to be given to `end_apart`; None while recording is off.
        """
        if self.is_paused or _getpid() != self._pid:
            return None
        cell = self._new_cell(request, _get_ident(), [] if starter is None else [starter])
        self._apart.open(key, cell)
        return cell

    def end_apart(self, cell: OpenCell, failure: Failure | None) -> int | None:
        """Write the record of such a cell; callable in any thread.

        Returns:
            Its number in the session; None where it is not on the disk.
        """
        if _getpid() != self._pid:
            return None
        seq = self._apart.close(cell, failure)
        self._housekeeper.busy(bool(self._open))
        return seq

    def seal(self, key: str, failure: Failure | None) -> dict[str, object] | None:
        """Write the record of the top-level cell of request `key`; its output is complete.

        Returns:
            The facts for the reply's metadata; None when no such cell is open.
        """
        self._answered = key
        cells = self._open.in_its_thread(key)
        if not cells or _getpid() != self._pid:
            return None
        if not cells[0].has_ended:
            for cell in reversed(cells):  # IPython failed while it showed the traceback
                if not cell.has_ended:
                    self.end(cell, failure, seals=False)
        return self._write(cells[0], failure)

    def aborted(self, request: CellRequest) -> None:
        """A cell that never ran because an earlier one failed."""
        if self.is_paused or _getpid() != self._pid:
            return
        cell = self._open_cell(request, _get_ident(), [])
        self._write(cell, Failure(ename="Aborted", evalue="an earlier cell failed", traceback=()))

    def hidden(self, code: str, reason: str, actor: str = "") -> None:
        """Code that ran and is not a cell: a tool's request, or a cell that wants no record."""
        if _getpid() == self._pid:
            self._hidden.add(code, reason, self.acting.now() or actor)

    def changed_unseen(self) -> None:
        """Variables may be others now, and no cell that is recorded has made them so."""
        self._is_behind = True

    def rev(self) -> int:
        """Number of the last record, which tells of all cells that have ended; in any thread."""
        if self._is_behind and _getpid() == self._pid:
            self._flush_hidden()
        return self._parts.journal.last_seq

    def actor(self) -> str:
        """Who has sent the code that runs here; outside any cell, who the session is of."""
        told = self.acting.told()
        if told is None and (cell := self.innermost()) is not None:
            told = cell.request.actor
        return told or self._parts.settings.actor

    def asked(self, actor: str, tool: str) -> None:
        """Somebody has looked at the session from outside; callable in any thread."""
        self._asked.add(actor, tool)
        self._housekeeper.busy(bool(self._open))

    def glance(self, namespace: dict[str, object], hidden: Mapping[str, object]) -> Glance | None:
        """The session before a request that is no cell; None in a forked child."""
        if _getpid() != self._pid:
            return None
        return Glance(self._watches, namespace, hidden)

    def innermost(self) -> OpenCell | None:
        """The cell that runs in this thread now, the innermost when they are nested."""
        stack = self._stacks.get(_get_ident())
        return stack[-1] if stack else None

    def running(self) -> OpenCell | None:
        """The cell that runs now, the outermost and oldest; callable in any thread."""
        return self._open.running()

    def last_line(self, cell: OpenCell) -> str:
        """What a cell that runs has written last, without secrets; callable in any thread."""
        with self.own_imports():
            return cell.output.last_line(self._parts.redactor.text)

    def is_over(self, key: str) -> bool:
        """True where the cell of request `key` is over; its reply is on its way, or has left."""
        return key == self._answered or self._past.find(key) is not None

    def is_in_cell(self) -> bool:
        """True while a cell runs, in whichever thread."""
        return bool(self._stacks)

    # -- its output --------------------------------------------------------------------------------

    def stream(self, key: str | None, name: str, text: str | LongText) -> None:
        """Text was sent on `stdout` or `stderr` for request `key` (None: for the latest cell)."""
        if _getpid() != self._pid:
            return
        key = self._latest_key if key is None else key
        if self._apart.stream(key, name, text):
            return
        with self._open.lock:
            if cells := self._open.of(key):
                cells[0].output.stream(name, text)
                return
            sealed = self._past.find(key)
        if sealed is not None:
            self._late(sealed, name, str(text))

    def display(self, key: str | None, data: dict[str, object], *, is_result: bool) -> None:
        """A MIME bundle was displayed for request `key`."""
        key = self._latest_key if key is None else key
        if self._apart.display(key, data, is_result=is_result):
            return
        with self._open.lock:
            for cell in self._open.showing(key):
                cell.output.display(data, is_result=is_result)

    def failed(self, key: str | None, error: dict[str, object]) -> None:
        """A traceback was shown for request `key`; it belongs to the innermost cell."""
        key = self._latest_key if key is None else key
        if self._apart.failed(key, error):
            return
        here = self.innermost()
        if here is not None and not here.request.is_answered:
            here.output.error = error
        elif cells := self._open.in_its_thread(key):
            cells[-1].output.error = error

    # -- the session -------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop recording after the cell that asks for it."""
        self.is_paused = True

    def resume(self) -> None:
        """Record again from the next cell on; the log notes how many were left out."""
        self.is_paused = False
        self._flush_hidden()

    def disown_imports(self, names: Iterable[str]) -> None:
        """Modules `names` were imported on behalf of no cell."""
        self._watches.imports.disown(names)

    def own_imports(self) -> AbstractContextManager[None]:
        """What is imported in the block is ours and of no cell; no code of a user runs there."""
        return self._watches.imports.own()

    def close(self) -> None:
        """Write what is pending and stop the thread."""
        if _getpid() != self._pid:
            return
        for key in self._open.requests():
            self.seal(key, None)  # among them the cell that unloads the extension
        self._flush_hidden()
        self._housekeeper.close()
        self._sync()
        self._parts.memory.close()
        self._parts.memory_watch.close()

    # -- inside ------------------------------------------------------------------------------------

    def _open_cell(self, request: CellRequest, thread: int, stack: list[OpenCell]) -> OpenCell:
        around = stack or self._open.beside(request)
        if not around and not request.is_answered:
            request = request._replace(msg_id=None)  # that of another cell, which is over
        cell = self._new_cell(request, thread, around)
        if not around and request.is_answered:
            self._latest_key = cell.key
            self._parts.tail.clear()
        self._open.add(cell)
        return cell

    def _new_cell(self, request: CellRequest, thread: int, stack: list[OpenCell]) -> OpenCell:
        recorder = self._parts.settings.recorder
        if stack and request.is_answered:  # part of the cell that runs it, whoever says what
            request = request._replace(actor=stack[0].request.actor)
        self._count += 1
        key = stack[0].key if stack else request.msg_id or f"cell-{self._count}"
        cell = OpenCell(
            request,
            place=stack[0].place if stack else self._parts.where.now,
            key=key,
            span_id=f"{(self._spans + self._count) % _SPANS:016x}",
            thread=thread,
            stream_chars=recorder.stream_chars,
        )
        if stack:
            cell.parent_span_id = stack[-1].span_id
        kept = self._parts.redact(request.code, recorder.code_chars)
        cell.code, cell.redacted = kept.text, kept.redacted
        if kept.full_bytes is not None:
            cell.truncated["code"] = kept.full_bytes
        cell.output.keeps = self._parts.keeper is not None
        return cell

    def _write(self, cell: OpenCell, failure: Failure | None) -> dict[str, object]:
        began_ns = _perf_ns()
        with self._open.lock:
            self._open.remove(cell)
            if not cell.is_nested:
                self._past.remember(cell)
        parts = self._parts
        fields = cell_fields(cell, failure, parts)
        self._note_memory(fields["rss_bytes"])
        cell.recorder_ns += _perf_ns() - began_ns
        fields["recorder_us"] = cell.recorder_ns // 1000
        # Where it was begun: a cell that starts a task is not one of it.
        seq = parts.journal.append("cell", cell.place.plan_id, cell.place.task_id, fields)
        self.cells_seq = seq or self.cells_seq
        if not self._open:
            self._housekeeper.busy(False)
        return facts(cell, seq=seq)

    def _late(self, sealed: Sealed, name: str, text: str) -> None:
        if self._past.write(sealed, name, text):
            self._housekeeper.busy(bool(self._open))

    def _flush_hidden(self) -> None:
        seq = self._hidden.flush()
        if self._is_behind:
            self._is_behind = False
            self.cells_seq = seq or self._parts.journal.last_seq

    def _sync(self) -> None:
        self._asked.flush()
        self._parts.journal.sync()

    def _measure(self) -> float:
        watch = self._parts.memory_watch
        next_s = watch.look(self._running_in)
        is_hurry = next_s < _CALM_S  # then one number less is read
        self._note_memory(watch.rss_bytes if is_hurry else self._parts.memory.peak())
        self._parts.tail.flush()
        return next_s

    def _running_in(self, thread: int) -> str | None:
        stack = self._stacks.get(thread)
        return stack[0].span_id if stack else None

    def _note_memory(self, rss_bytes: object) -> None:
        if type(rss_bytes) is int:
            self._parts.tail.memory(rss_bytes)
