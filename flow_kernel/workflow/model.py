"""A workflow as values: its steps, what each needs, takes and gives (pure).

Made by `spec` out of files and objects; read by everything that runs, stores or shows a workflow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DEFAULT_TIMEOUT_S: Final = 300.0


class StepType(StrEnum):
    """What a step is."""

    PYTHON_SCRIPT = "PYTHON_SCRIPT"
    COMMAND = "COMMAND"
    NOTEBOOK = "NOTEBOOK"
    APPROVAL = "APPROVAL"


class OnError(StrEnum):
    """What becomes of a run when a step fails for good."""

    STOP = "stop"
    """What needs the step does not run; independent branches do; the run fails."""
    CONTINUE = "continue"
    """What needs the step runs without its outputs."""
    GOTO = "goto"
    """The handler of the step runs; what needs the step does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a failed step is tried again, and how long is waited before.

    Attributes:
        most: Attempts beyond the first.
        delay_s: Before the second attempt.
        backoff: Each further wait is so many times as long.
        most_delay_s: No wait is longer.
    """

    most: int = 0
    delay_s: float = 0.0
    backoff: float = 2.0
    most_delay_s: float = 300.0

    def wait_s(self, failed_attempts: int) -> float:
        """How long to wait after that many failed attempts, from 1."""
        # More doublings than this overflow a float, and the cap holds long before.
        exponent = min(failed_attempts - 1, 64)
        return float(min(self.delay_s * self.backoff**exponent, self.most_delay_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a step takes of the machine; 0 and empty where nothing was said.

    Attributes:
        cpu: Processors it keeps busy; no more steps run at once than there are processors for.
        memory_bytes: The most that the step and all it starts may take; it is killed above.
        isolation: The executor: fork, kernel, subprocess, inline, dask, or one of another package.
            Empty for the default of the run.
    """

    cpu: float = 0.0
    memory_bytes: int = 0
    isolation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        id: Unique in the workflow; what earlier outputs are found under.
        name: For people; by default the id.
        step_type: What it is.
        needs: Ids of the steps that it waits for, sorted; orders are resolved to these.
        order: Its place in copies and lists, from 1; equal ones may run at the same time.
        code: Source of the script, the command line, or the question of an approval. Of a notebook:
            empty, the file is opened when it runs.
        file: Where the code was read from, absolute; None for code in the definition.
        input_mapping: Parameter to variable; `step.key` names a key of an earlier output.
        output_mapping: Variable to key of the output.
        timeout_s: From its start to its end; kills it.
        retries: After errors and timeouts.
        when: Condition over the variables; empty for always. See `conditions`.
        is_cached: True when a result of the same code and inputs may be taken.
        resources: See there.
        on_error: What becomes of the run.
        handler: Id of the step that runs on an error, with `goto`; else empty.
        is_handler: True when it runs only as a handler of another.
    """

    id: str
    name: str
    step_type: StepType = StepType.PYTHON_SCRIPT
    needs: tuple[str, ...] = ()
    order: int = 1
    code: str = ""
    file: str | None = None
    input_mapping: Mapping[str, str] = field(default_factory=dict)
    output_mapping: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    retries: Retries = Retries()
    when: str = ""
    is_cached: bool = False
    resources: Resources = Resources()
    on_error: OnError = OnError.STOP
    handler: str = ""
    is_handler: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Steps in the order in which they were written, checked as a whole.

    Attributes:
        name: What it is stored and shown under.
        description: For people, else empty.
        steps: At least one; ids are unique, `needs` and `handler` name steps; there is no cycle.
        variables: Values that a run begins with unless it is given others; JSON values.
        directory: What relative files were looked for in, and where the steps run; absolute.
        is_strict: True when an output that lacks a mapped key fails its step; else it is a warning.
    """

    name: str
    description: str = ""
    steps: tuple[Step, ...]
    variables: Mapping[str, object] = field(default_factory=dict)
    directory: str = ""
    is_strict: bool = True
