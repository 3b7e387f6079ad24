"""What a store holds and what it can do, whatever database is behind it (pure).

Built by `sqlite`; called by `session`, which decides what a change means and never writes SQL.

A `Transaction` that writes holds the store's one write lock from its first statement on, so what it
reads is still true when it commits. Each change of state adds a row to the outbox in the same
transaction; `outbox` carries the rows into the log of the task.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flow_kernel.store.pages import Page, TaskPlace, TaskWanted
from flow_kernel.store.run_rows import RunReading, RunWriting


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One unit of work. Times are UTC with milliseconds; None where it has not happened.

    Attributes:
        plan_id: The body of work it belongs to.
        task_id: `T-0001`, counted per plan.
        name: As the user gave it.
        description: Longer text, empty when there is none.
        type: One of the types of `session.task_states`.
        status: One of the statuses of `session.task_states`.
        reason: Why it failed or was cancelled, else empty.
        parent_id: The task that it is a part of.
        author: Who created it.
        created_at: When it was created.
        started_at: When work on it began.
        ended_at: When it was finished, failed or cancelled.
    """

    plan_id: str
    task_id: str
    name: str
    description: str = ""
    type: str = "custom"
    status: str = "todo"
    reason: str = ""
    parent_id: str | None = None
    author: str = ""
    created_at: str = ""
    started_at: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One named part of a task, planned or not.

    Attributes:
        plan_id: Of the task.
        task_id: Of the task.
        number: From 1, in the order in which steps were planned or begun.
        name: As the user gave it.
        state: planned, doing, done or failed.
        is_planned: True when it was listed before the work began.
        parent: Number of the step it was begun in.
        reason: Why it failed, else empty.
        started_at: When it began.
        ended_at: When it ended.
    """

    plan_id: str
    task_id: str
    number: int
    name: str
    state: str = "planned"
    is_planned: bool = True
    parent: int | None = None
    reason: str = ""
    started_at: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """One question and its answer. Times are UTC with milliseconds; None where unknown.

    Attributes:
        approval_id: `A-0001`, counted per home.
        plan_id: Of the task it was asked in.
        task_id: Of the task it was asked in.
        step: Name of the step it was asked in; None outside any.
        message: What the person reads.
        code_sha256: Of the source that asked, or that is to run; None where nobody knows it.
        payload_sha256: Of the payload as canonical JSON; None without one.
        approval_hash: What the answer is bound to; see `session.approvals_rules`.
        level: How hard the answer is to get around.
        status: open, approved, rejected, skipped, expired or cancelled.
        requested_by: Who asked.
        requested_at: When it was asked.
        session: The session that asked, 32 hex.
        decided_by: Who answered; `timeout` when nobody did in time.
        decided_at: When it was answered.
        channel: How: cli, stdin, timeout, interrupt or replaced.
        comment: What the person added, else empty.
        expires_at: Until when it can be answered; None for ever.
        on_timeout: What happens then: reject, skip or approve.
        is_used: True once a cell has acted on the answer; no other will.
        code: The source behind `code_sha256`, without secrets and cut where it is long.
        payload: The payload as JSON, likewise.
        remind_s: How often to remind while it is open; None for never.
        next_remind_at: When the next reminder is due; None once it is no longer open.
        reminded: How many reminders there were.
    """

    approval_id: str
    plan_id: str
    task_id: str
    step: str | None
    message: str
    code_sha256: str | None
    payload_sha256: str | None
    approval_hash: str
    level: str
    status: str = "open"
    requested_by: str
    requested_at: str
    session: str
    decided_by: str | None = None
    decided_at: str | None = None
    channel: str | None = None
    comment: str = ""
    expires_at: str | None = None
    on_timeout: str = "reject"
    is_used: bool = False
    code: str | None = None
    payload: str | None = None
    remind_s: float | None = None
    next_remind_at: str | None = None
    reminded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextValue:
    """What a key of a task's context held, and who set it.

    Attributes:
        task_id: Of the task.
        key: Any text.
        value: A JSON value.
        is_set: False where the key was removed.
        author: Who did it.
        at: When, UTC with milliseconds.
    """

    task_id: str
    key: str
    value: object
    is_set: bool
    author: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of the outbox: a change of state that belongs into the log of a task.

    Attributes:
        number: Grows by one with each change of the store.
        store_id: The store that gave the number; empty for one that is older than such ids.
        kind: The kind of the record: task, step, context, tag, …
        plan_id: Of the task.
        task_id: Of the task.
        at: When, UTC with milliseconds.
        fields: What the record says.
    """

    number: int
    kind: str
    plan_id: str
    task_id: str
    at: str
    fields: Mapping[str, object]
    store_id: str = ""


class PlanRow(NamedTuple):
    """A body of work.

    Attributes:
        plan_id: Its name.
        created_at: When its first task was made, UTC with milliseconds.
        tasks: How many it has.
        open_tasks: How many of them have not ended.
    """

    plan_id: str
    created_at: str
    tasks: int
    open_tasks: int


class Use(NamedTuple):
    """A value that a task gave to a key, now or before.

    Attributes:
        value: As JSON in the one form of the store.
        plan_id: Of the task.
        task_id: Of the task.
    """

    value: str
    plan_id: str
    task_id: str


class Reading(RunReading, Protocol):
    """What can be asked inside a transaction; unknown ids give None or nothing."""

    def plans(self) -> list[PlanRow]:
        """The plans by name."""

    def task(self, plan_id: str, task_id: str) -> TaskRow | None:
        """One task."""

    def has_task(self, plan_id: str, task_id: str) -> bool:
        """True when there is such a task; cheaper than `task`."""

    def tasks(self, plan_id: str | None = None, *, status: str | None = None) -> list[TaskRow]:
        """Tasks in the order of plan and id; None means any."""

    def steps(self, plan_id: str, task_id: str) -> list[StepRow]:
        """The steps of a task by number."""

    def context(self, plan_id: str, task_id: str) -> dict[str, object]:
        """The merged context of a task, its keys sorted."""

    def context_history(self, plan_id: str, task_id: str, key: str) -> list[ContextValue]:
        """What a key held, oldest first."""

    def uses_of(self, key: str, *, limit: int) -> list[Use]:
        """The last uses of a key by tasks, the newest first, those that were replaced too.

        A store may look through the last 50,000 changes alone.
        """

    def tasks_with(self, key: str, value: object) -> list[TaskRow]:
        """Tasks whose context holds this value under this key."""

    def tags(self, plan_id: str, task_id: str) -> list[str]:
        """The tags of a task, sorted."""

    def tasks_tagged(self, tag: str) -> list[TaskRow]:
        """Tasks that carry a tag."""

    def newest(self) -> int:
        """The number of the last change; 0 before the first."""

    def lives(self) -> list[str]:
        """The id of this store, and after it those of the stores that it was made from."""

    def resumable(self, notebook: str) -> tuple[str, str] | None:
        """Plan and id of the task that was open in a notebook when its kernel ended."""

    def approval(self, approval_id: str) -> ApprovalRow | None:
        """One approval."""

    def approvals(self) -> list[ApprovalRow]:
        """All approvals in the order in which they were asked."""

    def open_approvals(self, plan_id: str | None = None, task_id: str = "") -> list[ApprovalRow]:
        """Approvals without an answer in the order in which they were asked, of a task or all."""

    def newest_open_approvals(self, session: str, *, limit: int) -> list[ApprovalRow]:
        """The last open ones that a session has asked, in the order in which they were asked."""

    def unused_approvals(self, approval_hash: str) -> list[ApprovalRow]:
        """Approvals with this hash whose answer, if there is one, nobody has used."""

    def task_page(
        self, wanted: TaskWanted, *, before: TaskPlace | None, limit: int, looked_at: int
    ) -> Page[TaskRow, TaskPlace]:
        """Tasks that are older than a place, of which `looked_at` are read at most."""

    def open_approval_page(
        self, *, at: str, before: str | None, limit: int
    ) -> Page[ApprovalRow, str]:
        """Questions that can be answered at a time."""

    def other_approval_page(
        self, statuses: Sequence[str], *, at: str, before: str | None, limit: int, looked_at: int
    ) -> Page[ApprovalRow, str]:
        """Questions that cannot: with one of some statuses in the store; empty for any."""

    def count_open_approvals(self, *, at: str) -> int:
        """How many questions can be answered at a time."""

    def approvals_of(self, plan_id: str, task_id: str, *, limit: int) -> list[ApprovalRow]:
        """The newest questions of a task, in the order in which they were asked."""


class Writing(RunWriting, Reading, Protocol):
    """A transaction that may change things; it commits when its block ends without an error."""

    def new_task_id(self, plan_id: str) -> str:
        """The next free id of a plan, which is made when it is new."""

    def reserve_task_id(self, plan_id: str, task_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""

    def reserve_approval_id(self, approval_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""

    def put_task(self, task: TaskRow, *, at: str) -> None:
        """Insert or replace a task, and note it in the outbox."""

    def put_step(self, step: StepRow, *, at: str) -> None:
        """Insert or replace a step, and note it in the outbox."""

    def put_context(
        self, plan_id: str, task_id: str, values: Mapping[str, bytes], *, author: str, at: str
    ) -> None:
        """Set keys to values given as JSON, each noted in the outbox."""

    def remove_context(
        self, plan_id: str, task_id: str, keys: Sequence[str], *, author: str, at: str
    ) -> None:
        """Remove keys, each noted in the outbox."""

    def put_tag(self, plan_id: str, task_id: str, tag: str, *, is_set: bool, at: str) -> None:
        """Add or remove a tag, and note it in the outbox."""

    def put_resumable(self, notebook: str, plan_id: str, task_id: str | None) -> None:
        """Remember which task is open in a notebook; None forgets it."""

    def new_approval_id(self) -> str:
        """The next free id of the home."""

    def put_approval(self, approval: ApprovalRow, *, at: str) -> None:
        """Insert or replace an approval, and note it in the outbox."""

    def note(self, kind: str, plan_id: str, task_id: str, at: str, fields: object) -> int:
        """Add a row to the outbox. Returns its number."""

    def waiting(self, *, limit: int) -> list[Change]:
        """Rows of the outbox that were not yet carried into a log, oldest first."""

    def carried(self, number: int) -> None:
        """All rows up to this one are in the logs."""


class Store(Protocol):
    """A database of one home; safe with several threads and processes."""

    def read(self) -> AbstractContextManager[Reading]:
        """A view that does not change while it is open."""

    def write(self, *, is_durable: bool = False) -> AbstractContextManager[Writing]:
        """A transaction that waits for its turn.

        Args:
            is_durable: True when it must be on the disk once it is committed, power loss or not.

        Raises:
            StoreError: The database cannot be written.
        """

    def version(self) -> int:
        """A number that changes when another process has committed; about 8 us."""

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences; empty when nothing is."""

    def close(self) -> None:
        """Close it; harmless the second time."""
