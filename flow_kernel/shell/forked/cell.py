"""What a copy of the session does: it runs one cell, gives what is wanted of it, and ends.

Made by `shell.isolated.cell`, called by `session.isolation.forking` in the copy.

    set apart ─▶ streams and sockets ─▶ the cell, as ipykernel runs it ─▶ variables ─▶ reply ─▶ end

No thread of the session is here, and nothing that one of them might hold a lock of is called.
"""

import _thread
import asyncio
import io
import json
import os
import random
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from ipykernel.ipkernel import IPythonKernel

from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.session import Session
from flow_kernel.shell.forked import apart as forked_apart
from flow_kernel.shell.forked.seat import TerminalSeat
from flow_kernel.shell.forked.ways import Asker, Mouth, Publisher, replant
from flow_kernel.shell.overrides.quiet_exit import keep_quiet
from flow_kernel.shell.worker import magics as worker_magics
from flow_kernel.shell.worker.calls import WorkerCalls
from flow_kernel.shell.worker.sampler import Sampler
from flow_kernel.shell.worker.session import WorkerSession
from flow_kernel.workers import fork_frames, transfer
from flow_kernel.workers.blocking import QUIET_S
from flow_kernel.workers.fork_ends import ForkEnds

_FAILED: Final = 70
_STACK_BYTES: Final = 1 << 20
_LOOPS: Final = re.compile("create_task|get_running_loop|TaskGroup")
"""A cell that awaits nothing, and wants a loop that runs, as it does in the session."""
_exit: Final = os._exit  # whatever the cell puts in its place; as the next ones
_write: Final = os.write
_dumps: Final = json.dumps


def life_of(shell: Any, session: Session, cell: IsolatedCell) -> Callable[..., NoReturn]:
    """What a copy of this process is to do.

    Args:
        shell: IPython's.
        session: At work in it.
        cell: That it runs.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a cell may have put anything there
            stream.flush()  # else the copy would say it once more
    seed = random.getstate() if session.still.has_seeded else None

    def live(ends: ForkEnds, *, has_one_thread: bool) -> NoReturn:
        code = _FAILED
        try:
            noted = forked_apart.set_apart(
                ends, cell.limits, has_one_thread=has_one_thread, seed=seed
            )
            code = _Copy(shell, session, cell, ends).live(noted)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001 - the end of a process: what is wrong is said and it ends
            _write(2, traceback.format_exc().encode("utf-8", "replace"))
        finally:
            _exit(code)

    return live


class _Copy:
    """The copy of one session."""

    def __init__(self, shell: Any, session: Session, cell: IsolatedCell, ends: ForkEnds) -> None:
        self._shell = shell
        self._session = session
        self._cell = cell
        self._ends = ends
        self._mouth = Mouth(ends.ends.frames)
        self._kernel = getattr(shell, "kernel", None)
        # No message reaches the widgets of a copy.
        self._sampler = Sampler(ends.glimpses, has_comms=lambda: False, is_copy=True)

    def live(self, noted: list[int]) -> int:
        """Run the cell, and tell how it ended.

        Args:
            noted: Interrupts that have come by now.

        Returns:
            The exit code.
        """
        forked_apart.detach(self._shell)
        keep_quiet()
        seat, asker = self._seated()
        forked_apart.send_escaped(seat.session)
        calls = WorkerCalls(seat)
        apart = WorkerSession(calls)
        forked_apart.stand_in(self._session, apart)
        worker_magics.register(self._shell, apart, calls)
        transformers = self._shell.input_transformer_manager.token_transformers
        transformers[:] = dict.fromkeys(transformers)
        calls.open()
        if self._cell.count is not None:
            self._shell.execution_count = self._cell.count
        self._show_what_it_does()
        reply = self._replied(noted)
        self._sampler.close()
        if not self._mouth.is_ours:  # a process that the cell has forked, and not ended
            return self._ended_as_child(reply)
        calls.close()
        if self._cell.limits.memory_bytes is not None:
            forked_apart.free_memory()
        found = self._given_out()
        forked_apart.flush_new_files()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a cell may have put anything there
                stream.flush()
        said = _dumps({"reply": reply, "job": found}, default=str)
        self._mouth.say(fork_frames.REPLY, said.encode("utf-8", "surrogatepass"))
        if "outputs" in found:
            asker.wait_until_left()
        return 0

    def _replied(self, noted: list[int]) -> dict[str, Any]:
        """What the cell has come to; from then on no interrupt is heard."""
        run = self._run_in_terminal if self._kernel is None else self._run_in_kernel
        reply: dict[str, Any] | None = None
        has_begun = False
        while True:
            try:
                if not has_begun:
                    has_begun = True
                    reply = run(noted)
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late to stop anything
                break
            except KeyboardInterrupt:  # before the first line of the cell, or after its last
                warnings.simplefilter("ignore")  # of coroutines that nobody awaits any more
        return _interrupted() if reply is None else reply

    def _ended_as_child(self, reply: Mapping[str, Any]) -> int:
        """As any program: its error is on stderr, and in its exit code."""
        if reply.get("status") == "ok":
            return 0
        lines = "\n".join(map(str, reply.get("traceback") or ()))
        _write(2, f"{lines}\n".encode("utf-8", "backslashreplace"))
        return 1

    # -- before the cell ---------------------------------------------------------------------------

    def _seated(self) -> tuple[Any, Asker]:
        """What speaks for this process, and what is answered."""
        kernel = self._kernel
        publisher = Publisher(self._mouth)
        if kernel is None:
            seat: Any = TerminalSeat(self._session_key(), self._cell.header)
            for stream in (sys.stdout, sys.stderr):
                with suppress(TypeError):  # a stream of C that takes no attribute
                    vars(stream).pop("write", None)  # what IPython and we have put before it
        else:
            seat = kernel
            seat.session.pid = os.getpid()
            _end_capture(self._shell, kernel)
            for stream in {id(s): s for s in (sys.stdout, sys.stderr, *_streams(kernel))}.values():
                replant(stream, self._mouth)
            for speaker in (self._shell.displayhook, self._shell.display_pub):
                speaker.pub_socket = publisher
        asker = Asker(self._mouth, self._ends.ends.answers, seat.session)
        seat.iopub_socket, seat.stdin_socket = publisher, asker
        return seat, asker

    def _show_what_it_does(self) -> None:
        msg_id = str(self._cell.header.get("msg_id", ""))
        before = _thread.stack_size(_STACK_BYTES)  # what a thread may need counts as its memory
        try:
            self._sampler.open(msg_id)
            self._sampler.begin(msg_id, after_s=QUIET_S)
        except RuntimeError:  # no more threads: nobody looks
            self._sampler.close()
        finally:
            _thread.stack_size(before)

    def _session_key(self) -> bytes:
        ground = self._session.ground
        return b"" if ground is None else ground.key

    # -- the cell ----------------------------------------------------------------------------------

    def _run_in_kernel(self, noted: list[int]) -> dict[str, Any]:
        """As ipykernel does; its loop, and what that waits on, is the session's."""
        cell, shell = self._cell, self._shell
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        has_loop = _LOOPS.search(cell.code) or _awaits(shell, cell.code)
        running = IPythonKernel.do_execute(
            self._kernel, cell.code, cell.is_silent, cell.has_history, {}, cell.can_ask
        )
        forked_apart.take_interrupts(noted)
        reply: dict[str, Any]
        if has_loop:
            reply = loop.run_until_complete(running)
            return reply
        try:
            running.send(None)  # it awaits nothing: without a loop it is a millisecond faster
        except StopIteration as end:
            reply = end.value
            return reply
        raise RuntimeError("a cell that awaits nothing has awaited something")

    def _run_in_terminal(self, noted: list[int]) -> dict[str, Any]:
        """As IPython does; an error is shown by the session, which raises it once more."""
        import builtins
        import getpass

        shell = self._shell
        shown: list[list[str]] = []
        shell._showtraceback = lambda _kind, _value, lines: shown.append([*map(str, lines)])
        builtins.input = self._typed
        getpass.getpass = self._typed_unseen
        forked_apart.take_interrupts(noted)
        result = shell.run_cell(self._cell.code, store_history=self._cell.has_history)
        error = result.error_before_exec or result.error_in_exec
        if error is None:
            return {"status": "ok", "payload": []}
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": shown[-1] if shown else [],
            "payload": [],
        }

    def _typed(self, prompt: object = "") -> str:
        return self._asked(str(prompt), is_password=False)

    def _typed_unseen(self, prompt: str = "Password: ", stream: Any = None) -> str:
        return self._asked(prompt, is_password=True)

    def _asked(self, prompt: str, *, is_password: bool) -> str:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        seat = TerminalSeat(self._session_key(), self._cell.header)
        asker = Asker(self._mouth, self._ends.ends.answers, seat.session)
        content = {"prompt": prompt, "password": is_password}
        self._mouth.say(fork_frames.QUESTION, _dumps(content).encode())
        while not asker.poll(50):
            pass  # an interrupt is noticed between two looks
        _, message = seat.session.recv(asker)
        value = str(message["content"]["value"])
        if value == "\x04":
            raise EOFError
        return value

    # -- after it ----------------------------------------------------------------------------------

    def _given_out(self) -> dict[str, Any]:
        """What came of the variables that are wanted back."""
        names, namespace = self._cell.outputs, self._shell.user_ns
        if not names:
            return {}
        wanted = {name: namespace[name] for name in names if name in namespace}
        found: dict[str, Any] = {"missing": [name for name in names if name not in namespace]}
        transfer.become_copy()
        try:
            packed = transfer.pack(wanted, namespace)
            self._arena = transfer.Arena()  # open until the session has read it
            found["outputs"] = transfer.ship(packed, self._arena)
            found["refused"] = [list(refused) for refused in packed.refused]
        except BaseException as error:  # noqa: BLE001 - no memory, or code of the values; the cell has run
            reason = transfer.reason_of(error)
            found["refused"] = [[name, type(wanted[name]).__name__, reason] for name in wanted]
        return found


def _awaits(shell: Any, code: str) -> bool:
    try:
        return bool(shell.should_run_async(code, transformed_cell=shell.transform_cell(code)))
    except Exception:  # noqa: BLE001 - a transformer of the user's; IPython shows it when it runs
        return False


def _end_capture(shell: Any, kernel: Any) -> None:
    """What captures the output of the session gets none of this process: show it."""
    for name, stream in zip(("stdout", "stderr"), _streams(kernel), strict=False):
        if isinstance(getattr(sys, name), io.StringIO):
            setattr(sys, name, stream)
    if not hasattr(shell.display_pub, "pub_socket"):
        shown = shell.display_pub_class(parent=shell)
        shown.session = kernel.session
        shown.set_parent(kernel.get_parent("shell"))
        shell.display_pub, sys.displayhook = shown, shell.displayhook


def _streams(kernel: Any) -> list[Any]:
    found = [getattr(kernel, name, None) for name in ("_stdout", "_stderr")]
    return [stream for stream in found if stream is not None]


def _interrupted() -> dict[str, Any]:
    return {
        "status": "error",
        "ename": "KeyboardInterrupt",
        "evalue": "",
        "traceback": ["KeyboardInterrupt"],
        "user_expressions": {},
        "payload": [],
    }
