"""Reminders of open questions, given by whichever process of the home looks first.

Called by `session.approvals` when a question is asked, by the session when a cell has ended, and by
`jupyter flow approvals --remind`.

A reminder is claimed in the store before anybody is told of it, so two processes never give the
same one; one that dies in between takes that one with it, and the next is given by another process.
A session has a thread for them only while a question with reminders is open.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from flow_kernel.errors import FlowError, StoreError
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.approval_tasks import put_approval
from flow_kernel.session.reminder_rules import look, next_look_s
from flow_kernel.store.contract import ApprovalRow, Store

globals()["__builtins__"] = FROZEN_BUILTINS

_LONGEST_SLEEP_S: Final = 30.0  # the clock on the wall may be set while the thread sleeps
_COMMAND_S: Final = 30.0


class Reminders:
    """The reminders that one process gives; safe with several threads and processes.

    Args:
        store: The state of the home.
        now: UTC with milliseconds.
        tell: Told of each reminder that this process has claimed.
        carry: Brings changes into the log.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], str],
        tell: Callable[[ApprovalRow], object],
        carry: Callable[[], object] = lambda: None,
    ) -> None:
        self._store = store
        self._now = now
        self._tell = tell
        self._carry = carry
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: int | None = None

    def give_due(self) -> list[ApprovalRow]:
        """Give the reminders that are due, and end questions whose time is over.

        Returns:
            The questions that this process reminds of.

        Raises:
            StoreError: The store of the home cannot be read or written.
        """
        with self._store.read() as view:
            if not look(view.open_approvals(), at=self._now()).changed:
                return []
        with self._store.write() as change:
            # Read under the lock of the writers: what is due here is due for nobody else.
            at = self._now()
            found = look(change.open_approvals(), at=at)
            for row in found.changed:
                put_approval(change, row, at=at)
        self._carry()
        for row in found.due:
            self._tell(row)
        return [*found.due]

    def watch(self) -> None:
        """See to it that reminders are given from now on, as long as there are any."""
        with self._lock:
            self._wake.set()
            if self._thread is None and not self._stop.is_set() and self._next_s() is not None:
                self._start()

    def watch_others(self) -> None:
        """`watch`, but only when another process has changed the store; about 10 us else."""
        with suppress(StoreError):
            seen = self._store.version()
            if seen != self._seen:
                self._seen = seen
                self.watch()

    def close(self) -> None:
        """Stop the thread and wait for it, at most 2 s."""
        self._stop.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(2.0)

    # -- inside ------------------------------------------------------------------------------------

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="flow-reminders", daemon=True)
        thread.pydev_do_not_trace = True  # type: ignore[attr-defined]  # read by debugpy
        thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]  # read by debugpy
        self._thread = thread
        thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            with self._lock:
                wait_s = self._next_s()
                if wait_s is None:
                    self._thread = None
                    return
            if wait_s:
                self._wake.wait(min(wait_s, _LONGEST_SLEEP_S))
            if not self._stop.is_set():
                self._give_quietly()

    def _give_quietly(self) -> None:
        # A disk that is full, or a store that is locked for long, is said where it is written to.
        try:
            self.give_due()
        except FlowError:
            self._stop.wait(_LONGEST_SLEEP_S)

    def _next_s(self) -> float | None:
        try:
            with self._store.read() as view:
                return next_look_s(view.open_approvals(), at=self._now())
        except StoreError:
            return None


class RemindCommand:
    """A program that is run for each reminder; it has no terminal, no input and 30 seconds.

    Args:
        argv: The program and its arguments; no shell reads them.
        env: The environment that it inherits; the id and the message are put into it.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], *, timeout_s: float = _COMMAND_S
    ):
        self._argv = [*argv]
        self._env = env
        self._timeout_s = timeout_s

    def __call__(self, row: ApprovalRow) -> int | None:
        """Run it, and wait for its end. Returns its exit code; None when it had none."""
        env = {
            **self._env,
            "FLOW_APPROVAL_ID": row.approval_id,
            "FLOW_APPROVAL_MESSAGE": row.message,
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own setting
                self._argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return None
        try:
            return process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
