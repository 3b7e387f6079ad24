"""The parts of a session that need the store: tasks, their texts, questions.

Loaded by `session.assembly` when one of them is first asked for: 20 ms that most sessions need not
pay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.session.announcer import Emit, Scalar
from flow_kernel.session.approval_buttons import Answering, Buttons
from flow_kernel.session.approval_parts import ApprovalParts, Prompter
from flow_kernel.session.approval_waits import Waits
from flow_kernel.session.approvals import Approvals
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.checkpoints.automatic import Automatic
from flow_kernel.session.checkpoints.errands import Errands
from flow_kernel.session.checkpoints.opening import Note, noting, open_checkpoints
from flow_kernel.session.checkpoints.reaching import reach_of
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.surroundings import Surroundings
from flow_kernel.session.checkpoints.tracking import Tracking
from flow_kernel.session.flow import Flow
from flow_kernel.session.formatter import TaskTexts, load_texts
from flow_kernel.session.notices import Notices
from flow_kernel.session.open_home import store_of
from flow_kernel.session.person import user_name
from flow_kernel.session.progress import Progress
from flow_kernel.session.recorder import Recorder
from flow_kernel.session.reminders import RemindCommand
from flow_kernel.session.sealing import RecorderParts
from flow_kernel.session.steps import ShowProgress
from flow_kernel.session.tasks import Tasks
from flow_kernel.store.contract import Store


@dataclass(frozen=True, kw_only=True)
class StateParts:
    """Tasks, texts and questions of one session, each made when it is first asked for.

    Attributes:
        home: Where the state lies.
        parts: What the recorder works with.
        recorder: Knows the cell that runs.
        session: 32 hex.
        env: The environment of the process.
        notebook: What the next kernel of the same notebook is recognised by.
        notices: Sentences for the person.
        emit: Tells agents.
        keep: Tells them once they listen.
        on_carried: Told when there may be something new in the logs.
        closers: Told what ends with the session.
        around: What checkpoints need of the shell; None where there are none.
        tracking: Tells what cells may have changed.
        errands: Takes what is wanted of variables that a worker holds.
        show_progress: Draws the progress of steps.
        prompter: Asks the person in the cell itself.
        buttons: Shows buttons below it.
        answer: Takes what is pressed there.
        turns: Held while a cell goes on with an answer.
        waits: The cells that wait for one.
    """

    home: Home
    parts: RecorderParts
    recorder: Recorder
    session: str
    env: Mapping[str, str]
    notebook: str
    notices: Notices
    emit: Emit
    keep: Emit
    on_carried: Callable[[], None]
    closers: list[Callable[[], None]]
    around: Surroundings | None
    tracking: Tracking
    errands: Errands
    show_progress: ShowProgress | None
    prompter: Prompter | None
    buttons: Buttons | None
    answer: Answering
    turns: QuickTurns
    waits: Waits

    @cached_property
    def store(self) -> Store:
        """The store of the home; it is closed at the end."""
        store = store_of(self.home)
        self.closers.append(store.close)
        return store

    @cached_property
    def carry(self) -> Callable[[], bool]:
        """Brings changes into the log; those that waited are there when this is first asked for."""
        parts = self.parts
        carrier = Carrier(self.home, self.store, parts.journal, redactor=parts.redactor)
        carrier()

        def carry() -> bool:
            is_all = carrier()
            self.on_carried()
            return is_all

        return carry

    @cached_property
    def texts(self) -> TaskTexts:
        """The texts of tasks, from the formatter that the settings name."""
        settings = self.parts.settings
        say = self.notices.say
        return load_texts(settings.formatter, isolated_types=settings.isolated_types, say=say)

    @cached_property
    def tasks(self) -> Tasks:
        """The tasks of the session."""
        where, carry = self.parts.where, self.carry
        flow = Flow(
            self.home,
            self.store,
            plan_id=where.now.plan_id,
            author=self.recorder.actor,
            now=utc_now_ms,
            carry=carry,
        )
        return Tasks(
            flow,
            where,
            author=self.recorder.actor,
            notebook=self.notebook,
            now=utc_now_ms,
            carry=carry,
            show_progress=self._show_progress,
            describe=self.texts.progress,
            emit=self.emit,
            keep=self.keep,
            on_end=lambda kind, name: self._keep(lambda one: one.ended(kind, name)),
        )

    @cached_property
    def approvals(self) -> Approvals:
        """The questions of the session."""
        parts = self.parts
        command = parts.settings.remind_command
        approvals = Approvals(
            ApprovalParts(
                store=self.store,
                where=parts.where,
                running=self.recorder.innermost,
                prompter=self.prompter,
                session=self.session,
                actor=self.recorder.actor,
                person=user_name,
                now=utc_now_ms,
                carry=self.carry,
                redact=lambda text: parts.redactor.text(text)[0],
                emit=self.emit,
                on_approved=lambda row: self._keep(lambda one: one.approved(row.approval_id)),
                remind=RemindCommand(command, self.env) if command else lambda _row: None,
                buttons=self.buttons,
                answer=self.answer,
                sync=parts.journal.sync,
                turns=self.turns,
                waits=self.waits,
            )
        )
        self.closers.append(approvals.reminders.close)
        return approvals

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The time machine of the session.

        Raises:
            UsageError: There is no shell.
            StoreError: The home cannot be written.
        """
        if self.around is None:
            raise UsageError("there are no variables here that could be kept")
        journal = self.parts.journal
        return open_checkpoints(
            self.home,
            self.around,
            env=self.env,
            session=self.session,
            place=lambda: self.parts.where.now,
            seq=lambda: journal.last_seq,
            now=utc_now_ms,
            note=self.note,
            closers=self.closers,
            emit=self._tell,
            on_capture=self._follow,
            say=self.notices.say,
            is_under_way=self.tracking.is_under_way,
            budget_bytes=self.parts.settings.checkpoints.budget_bytes,
            is_alone=not self.parts.settings.isolate_all,
        )

    @cached_property
    def note(self) -> Note:
        """Brings records of checkpoints into the log."""
        where = self.parts.where
        return noting(
            self.store, place=lambda: where.now, now=utc_now_ms, carry=self._carry_durably
        )

    @cached_property
    def automatic(self) -> Automatic:
        """The checkpoints that the session takes by itself."""
        checkpoints, around = self.checkpoints, self.around
        assert around is not None  # noqa: S101 - there are no checkpoints without
        automatic = Automatic(
            checkpoints,
            self.tracking,
            settings=self.parts.settings.checkpoints,
            reach=lambda ran, checkpoints: reach_of(ran, checkpoints, around.look_around),
            is_in_cell=lambda: self.recorder.innermost() is not None,
            say=self.notices.say,
            errands=self.errands,
        )
        self.closers.append(automatic.close)
        if self.errands.send is not None:
            automatic.follow()  # no capture here ever has it begin
        return automatic

    def _tell(self, name: str, /, **fields: Scalar) -> None:
        # A line between two cells would be nobody's: it is told with the next one.
        (self.emit if self.tracking.is_running() else self.keep)(name, **fields)

    def _follow(self) -> None:
        # Not as an argument: what is automatic needs the checkpoints, which are not there yet.
        self.automatic.follow()

    def _keep(self, tell: "Callable[[Automatic], None]") -> None:
        """Tell the automatic checkpoints of something, where there are any."""
        if self.around is None or not self.parts.settings.checkpoints.at_steps:
            return
        try:
            tell(self.automatic)
        except Exception as error:  # noqa: BLE001 - the user's cell goes on whatever became of ours
            self.notices.say(f"automatic checkpoints are not taken: {error}")

    def _carry_durably(self) -> None:
        """Answers and checkpoints are on the disk, in the log as in the store."""
        self.carry()
        self.parts.journal.sync()

    def _show_progress(self, step: object, progress: Progress) -> None:
        self.emit(
            "progress",
            task_id=self.parts.where.now.task_id,
            step=progress.name,
            done=progress.done,
            total=progress.total,
        )
        if self.show_progress is not None:
            self.show_progress(step, progress)
