"""Workflows, runs and their steps as a store holds them, and what can be done with them (pure).

Built by `runs_sql`; called by `workflow`. A part of `contract`, in a file of its own.

Each change of a run or of a step adds a row of kind `run` to the outbox in the same transaction.
JSON is text in one form, as it is stored; who reads a row decides whether to take it apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One execution of a workflow. Times are UTC with milliseconds; None where unknown.

    Attributes:
        run_id: `R-0001`, counted per home.
        workflow: Name of the workflow.
        sha256: Of its definition.
        plan_id: Of the task that it belongs to.
        task_id: Of the task that it belongs to.
        status: pending, running, waiting, success, failed or cancelled.
        reason: Why it failed or was cancelled, else empty.
        options: How it is run, as JSON.
        output_data: What came out of it, as JSON; None while it is not over.
        owner: The process that works on it, as JSON; empty where none does.
        created_at: When it was asked for.
        started_at: When its first step was to begin.
        completed_at: When it was over.
    """

    run_id: str
    workflow: str
    sha256: str
    plan_id: str
    task_id: str
    status: str
    reason: str = ""
    options: str = "{}"
    output_data: str | None = None
    owner: str = ""
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStepRow:
    """One step of a run that has begun, or never will.

    Attributes:
        run_id: Of the run.
        step_id: Of the step.
        number: Its place in the definition, from 1.
        state: One of those of `workflow.states`.
        attempt: How often it was begun.
        executor: What it runs in.
        started_at: When its last attempt began.
        ended_at: When it was over.
        elapsed_ms: Of its last attempt.
        error: `{"type", "message", …}` as JSON; None where there was none.
        output: As JSON; None where there is none, or it is an object of the home.
        output_object: SHA-256 of the object that holds the output.
        logs: What it wrote to stderr, its head and tail.
        approval_id: The question that it asks.
        reused_from: The run that its result is taken from.
    """

    run_id: str
    step_id: str
    number: int
    state: str
    attempt: int = 1
    executor: str = ""
    started_at: str | None = None
    ended_at: str | None = None
    elapsed_ms: float | None = None
    error: str | None = None
    output: str | None = None
    output_object: str | None = None
    logs: str = ""
    approval_id: str | None = None
    reused_from: str | None = None


class RunVariable(NamedTuple):
    """A variable of a run.

    Attributes:
        name: Of the variable.
        value: As JSON; None where it is an object of the home.
        object: SHA-256 of the object that holds it.
        step_id: The step that has set it; empty for one that the run began with.
    """

    name: str
    value: str | None
    object: str | None
    step_id: str


class StepResult(NamedTuple):
    """A result that was kept for steps of the same code and inputs.

    Attributes:
        output: As JSON; None where it is an object of the home.
        output_object: SHA-256 of that object.
        run_id: The run that it comes from.
    """

    output: str | None
    output_object: str | None
    run_id: str


class RunReading(Protocol):
    """What can be asked of runs."""

    def run(self, run_id: str) -> RunRow | None:
        """One run."""

    def runs(self, *, limit: int = -1) -> list[RunRow]:
        """The newest runs, the newest first; all of them with a negative limit."""

    def run_page(self, *, before: str | None, limit: int) -> list[RunRow]:
        """Runs that are older than one."""

    def unfinished_runs(self) -> list[RunRow]:
        """Runs that are not over, oldest first."""

    def run_steps(self, run_id: str) -> list[RunStepRow]:
        """The steps of a run that have begun, or never will, in the order of the definition."""

    def run_step(self, run_id: str, step_id: str) -> RunStepRow | None:
        """One of them."""

    def run_variables(self, run_id: str) -> list[RunVariable]:
        """The variables of a run by name: one value for each step that has set it."""

    def run_of_approval(self, approval_id: str) -> str | None:
        """The run whose step asks a question."""

    def workflow_document(self, sha256: str) -> str | None:
        """A definition, as JSON."""

    def workflows(self) -> list[tuple[str, str, str]]:
        """Id, SHA-256 and time of the definitions that are stored under an id, by id."""

    def step_result(self, cache_key: str) -> StepResult | None:
        """A result that was kept."""

    def runs_over_before(self, at: str) -> list[str]:
        """Ids of runs that were over before a time, oldest first."""

    def count_step_results(self, before: str) -> int:
        """How many results were made before a time."""

    def named_objects(self) -> set[str]:
        """The objects of the home that rows of runs name."""


class RunWriting(RunReading, Protocol):
    """What can be changed of runs."""

    def new_run_id(self) -> str:
        """The next free id of the home."""

    def reserve_run_id(self, run_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""

    def put_workflow_document(self, sha256: str, document: str) -> None:
        """Keep a definition; harmless the second time."""

    def put_workflow(self, workflow_id: str, sha256: str, *, at: str) -> None:
        """Store a definition under an id, in place of the one before."""

    def put_run(self, run: RunRow, *, at: str) -> None:
        """Insert or replace a run, and note it in the outbox."""

    def put_run_step(self, step: RunStepRow, run: RunRow, *, at: str) -> None:
        """Insert or replace a step of `run`, and note it in the outbox."""

    def remove_run_steps(self, run_id: str, step_ids: Sequence[str]) -> None:
        """Steps are as if they had never begun."""

    def remove_run(self, run_id: str) -> None:
        """Delete a run with its steps and variables; its changes stay in the logs."""

    def forget_workflow_documents(self) -> None:
        """Forget definitions that no run has and that are stored under no id."""

    def put_run_variable(self, run_id: str, variable: RunVariable) -> None:
        """Set a variable of a run."""

    def put_step_result(self, cache_key: str, result: StepResult, *, at: str) -> None:
        """Keep a result, in place of the one before."""

    def forget_step_results(self, before: str) -> int:
        """Forget results that were made before a time. Returns how many."""
