"""One notebook session: who it is, its recorder and what its log says.

Called by `shell`, which holds one for as long as the kernel or the extension lives.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.records.tail import OutputTail
from flow_kernel.session.ambient import current_session
from flow_kernel.session.announcer import Announcer
from flow_kernel.session.checkpoints.errands import Errands
from flow_kernel.session.checkpoints.tracking import Tracking
from flow_kernel.session.history import History
from flow_kernel.session.identity import Identity
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.session.notices import Notices
from flow_kernel.session.place import Whereabouts
from flow_kernel.session.recorder import Recorder
from flow_kernel.session.withdrawn import Withdrawn
from flow_kernel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from flow_kernel.session.approvals import Approvals
    from flow_kernel.session.beside import Beside
    from flow_kernel.session.checkpoints.checkpoint import Checkpoint
    from flow_kernel.session.checkpoints.opening import Note
    from flow_kernel.session.checkpoints.rollback import Rollback
    from flow_kernel.session.checkpoints.service import Checkpoints
    from flow_kernel.session.checkpoints.taking import Taking
    from flow_kernel.session.flow import TaskView
    from flow_kernel.session.formatter import TaskTexts
    from flow_kernel.session.isolation.ground import Ground
    from flow_kernel.session.isolation.service import Isolation
    from flow_kernel.session.steps import Step
    from flow_kernel.session.task_card import ReportCard
    from flow_kernel.session.task_context import TaskContext
    from flow_kernel.session.tasks import Tasks
    from flow_kernel.store.contract import TaskRow

globals()["__builtins__"] = FROZEN_BUILTINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The parts of a session; made by `session.assembly`, closed once.

    Attributes:
        identity: Who it is, and the plan and task that it began in.
        where: The plan, task and step that its cells belong to now.
        open_tasks: Gives its tasks; the store is opened when they are first asked for.
        open_texts: Gives the texts of its tasks, likewise.
        open_approvals: Gives the questions that it asks, likewise.
        find_approvals: Gives them if the store has been opened yet, and opens nothing.
        open_beside: Gives them to other threads, on a handle of the store for these alone.
        open_checkpoints: Gives its time machine, likewise.
        note_checkpoint: Brings a record of a checkpoint that a worker has taken into the log.
        way_back: Says how its variables come back from its newest checkpoint; empty without one.
        errands: Checkpoints that it wants of variables that a worker holds.
        open_isolation: Gives its workers, which are started when the first is wanted.
        find_isolation: Gives them if there are any yet, and opens nothing.
        ground: What workers need of the shell; None where no cell can be isolated.
        still: Told what runs, so that workers are not sent what they have.
        tracking: Told what runs, where checkpoints are taken.
        watch_questions: Looks whether there are questions to remind of; about 10 us.
        home: Where the records lie.
        settings: As they were at the start.
        recorder: Records cells.
        tail: Keeps the last output for the case that the process is killed.
        journal: The log itself.
        history: What the log says of this session.
        notices: Sentences for the person.
        announcer: Events for agents.
        turns: Held while somebody waits for what is done beside the cells.
        withdrawn: Cells that were given up before they began.
        warm_up: Loads what the first cell will need; to be called when there is time.
        on_close: What else ends with the session: lease, fault file, last words.
    """

    identity: Identity
    where: Whereabouts
    open_tasks: Callable[[], "Tasks"]
    open_texts: Callable[[], "TaskTexts"]
    open_approvals: Callable[[], "Approvals"]
    find_approvals: Callable[[], "Approvals | None"]
    open_beside: Callable[[], "Beside"]
    open_checkpoints: Callable[[], "Checkpoints"]
    note_checkpoint: "Note"
    way_back: Callable[[], str]
    errands: Errands
    open_isolation: Callable[[], "Isolation"]
    find_isolation: Callable[[], "Isolation | None"]
    ground: "Ground | None"
    still: Stillness
    tracking: Tracking
    watch_questions: Callable[[], None]
    home: Home
    settings: Settings
    recorder: Recorder
    tail: OutputTail
    journal: Journal
    history: History
    notices: Notices
    announcer: Announcer
    turns: QuickTurns
    withdrawn: Withdrawn
    on_close: list[Callable[[], None]]
    warm_up: Callable[[], object]
    pid: int

    @property
    def tasks(self) -> "Tasks":
        """The tasks of this session.

        Raises:
            StoreError: The store of the home cannot be opened.
        """
        return self.open_tasks()

    @property
    def texts(self) -> "TaskTexts":
        """The texts of tasks, from the formatter that the settings name."""
        return self.open_texts()

    @property
    def approvals(self) -> "Approvals":
        """The questions that this session asks.

        Raises:
            StoreError: The store of the home cannot be opened.
        """
        return self.open_approvals()

    @property
    def beside(self) -> "Beside":
        """The questions of this session, for threads that no cell may hold up."""
        return self.open_beside()

    def request_approval(
        self,
        message: str,
        *,
        payload: object = None,
        timeout_s: float | None = None,
        on_timeout: str = "reject",
        park: bool | None = None,
        remind_s: float | None = None,
    ) -> bool:
        """Ask a person, and say whether the answer was yes.

        The answer is bound to the source of the running cell, the message, the payload and the
        place among the questions of the cell: where any of them changed, it is asked again.

        Args:
            message: What the person reads.
            payload: JSON that the answer is bound to as well.
            timeout_s: How long it can be answered; None for ever.
            on_timeout: What happens then: reject, skip or approve.
            park: True to end the cell, so that a rerun goes on with the answer; False to wait;
                None to wait only where the client of the cell can be asked.
            remind_s: How often to remind until it is answered; None for never.

        Raises:
            ApprovalPending: It is parked.
            UsageError: An argument cannot be used; nothing was asked.
            StoreError: The store of the home cannot be written; nothing was asked.
        """
        return self.approvals.ask(
            message,
            payload=payload,
            timeout_s=timeout_s,
            on_timeout=on_timeout,
            park=park,
            remind_s=remind_s,
        )

    def watch_reminders(self) -> None:
        """Give reminders, too, of questions that other sessions of the home have asked since."""
        self.watch_questions()

    @property
    def checkpoints(self) -> "Checkpoints":
        """The checkpoints of this session, and of its home.

        Raises:
            StoreError: The home cannot be written.
        """
        return self.open_checkpoints()

    @property
    def isolation(self) -> "Isolation":
        """The isolated cells of this session.

        Raises:
            IsolationUnavailable: There can be none in this shell.
        """
        return self.open_isolation()

    def checkpoint(
        self, name: str | None = None, *, tag: bool = False, wait: bool | None = None
    ) -> "Taking":
        """Keep variables and files as they are now.

        Args:
            name: For lists and for the way back.
            tag: True to give the commit of the files a git tag as well.
            wait: True to return when it is on the disk, False as soon as the session may go on;
                None waits where there is little to write.

        Returns:
            The checkpoint, or what will be it: `wait()` gives it, and says why if it fails.

        Raises:
            StoreError: The disk or git refuses, or the tag points elsewhere; nothing was kept.
            UsageError: That is no name.
        """
        return self.checkpoints.keep(name, tag=tag, wait=wait)

    def rollback(
        self,
        to: "str | Checkpoint | Taking",
        *,
        what: str = "all",
        dry_run: bool = False,
        trusts: bool = False,
    ) -> "Rollback":
        """Make variables and files as they were.

        Args:
            to: A checkpoint, its name or id, or `-1` for the newest.
            what: all, state or files.
            dry_run: True to say what would happen, and to change nothing.
            trusts: True to load one that this user has not signed, which may run any code.

        Raises:
            NotFound: There is no such checkpoint.
            UntrustedCheckpoint: Somebody else has signed it.
            CheckpointDamaged: It cannot be restored; nothing was changed.
        """
        from flow_kernel.session.checkpoints.going_back import go_back_to  # with the store

        return go_back_to(
            self.checkpoints, self.home, to, what=what, dry_run=dry_run, trusts=trusts
        )

    @property
    def current_task(self) -> "TaskRow | None":
        """The task that cells belong to now; None outside any."""
        return self.tasks.current

    @property
    def context(self) -> "TaskContext":
        """The context of the open task, as a dict that writes itself."""
        from flow_kernel.session.task_context import TaskContext  # with the store, not before

        return TaskContext(self.tasks)

    def start_task(
        self,
        name: str,
        description: str = "",
        *,
        steps: "Sequence[str]" = (),
        type: str = "custom",
    ) -> "TaskView":
        """Create a task and begin to work on it; see `Tasks.start`."""
        return self.tasks.start(name, description, steps=steps, type=type)

    def step(self, name: str) -> "AbstractContextManager[Step]":
        """A step for the time of a `with` block: `s.log(text)`, `s.progress(i, n)`."""
        return self.tasks.within(name)

    def artifact(self, path: "str | os.PathLike[str]") -> None:
        """Note a file that the open task makes; its size and checksum are taken at its end."""
        self.tasks.artifact(path)

    def finish(self) -> "ReportCard":
        """The open task is done. Returns its report, which shows itself."""
        return self._card_of(self.tasks.finish())

    def fail(self, reason: str) -> "ReportCard":
        """The open task failed. Returns its report, which shows itself."""
        return self._card_of(self.tasks.fail(reason))

    def _card_of(self, view: "TaskView") -> "ReportCard":
        from flow_kernel.session.task_card import ReportCard  # with the store, not before

        return ReportCard(self.tasks.report(view), self.texts)

    def look_around(self) -> None:
        """Note when another process has ended the open task; at the end of each cell, 10 us."""
        if self.where.now.task_id == ADHOC_TASK:
            return
        try:
            told = self.where.look()
        except Exception:  # noqa: BLE001 - a store that cannot be read now can be at the next cell
            return
        if told is not None:
            self.notices.say(told)

    def sign_off(self) -> None:
        """Declare the end: whatever happens to the process from now on is no death."""
        if os.getpid() == self.pid:
            while self.on_close:
                self.on_close.pop()()

    def __reduce__(self) -> "tuple[Any, ...]":
        return current_session, ()  # as a variable it means the session, wherever it is sent

    def close(self) -> None:
        """End the session in order; harmless the second time."""
        if os.getpid() != self.pid:
            return
        self.recorder.close()
        self.sign_off()  # what is still on its way is noted in the journal
        self.journal.close()
