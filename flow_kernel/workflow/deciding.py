"""What is over before it begins: a condition that says no, a result that was kept, a missing input.

Called by `runner` for each step that is ready, just before it would begin.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.workflow.cache import cache_key
from flow_kernel.workflow.conditions import evaluate
from flow_kernel.workflow.mapping import Seen, mapped
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.output import missing
from flow_kernel.workflow.states import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a step that is ready.

    Attributes:
        state: What it is at once; None where it begins.
        seen: What the step sees.
        inputs: The mapped ones, as JSON.
        output: Of a result that was kept.
        sets: Variables that this sets.
        error: Why it fails.
        reason: Why it is skipped.
        reused_from: The run that its result comes from.
    """

    state: StepState | None = None
    seen: Seen
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    output: bytes | None = None
    sets: Mapping[str, bytes] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    reason: str = ""
    reused_from: str | None = None


class Decider:
    """See the module.

    Args:
        kept: Finds a result, and the run that it comes from, by its key.
        environment: Interpreter, packages and directory; asked when the first key is made.
        uses_cache: False to let nothing be taken; results are kept all the same.
    """

    def __init__(
        self,
        kept: Callable[[str], tuple[bytes, str] | None],
        environment: Callable[[], str],
        *,
        uses_cache: bool,
    ) -> None:
        self._kept = kept
        self._find_environment = environment
        self._environment = ""
        self._uses_cache = uses_cache
        self._keys: dict[str, str] = {}

    def decide(self, step: Step, seen: Seen) -> Decision:
        """What becomes of `step`, by what it sees."""
        try:
            if step.when and not evaluate(step.when, _Lazily(seen)):
                reason = f"its condition is not met: {step.when}"
                return Decision(state=StepState.SKIPPED, seen=seen, reason=reason)
            inputs = seen.inputs(step.input_mapping)
        except (NotFound, UsageError) as failure:
            error = {"type": "InputMissing", "message": failure.message}
            return Decision(state=StepState.ERROR, seen=seen, error=error)
        if not step.is_cached:
            return Decision(seen=seen, inputs=inputs)
        self._environment = self._environment or self._find_environment()
        key = self._keys[step.id] = cache_key(step, seen, inputs, self._environment)
        found = self._kept(key) if self._uses_cache else None
        if found is None or self._lacks(step, found[0]):
            return Decision(seen=seen, inputs=inputs)
        output, run_id = found
        return Decision(
            state=StepState.OK,
            seen=seen,
            inputs=inputs,
            output=output,
            sets=self.sets(step, output),
            reused_from=run_id,
        )

    def key_of(self, step_id: str) -> str | None:
        """What the result of a step is to be kept under; None for one that is not to be kept."""
        return self._keys.get(step_id)

    @staticmethod
    def _lacks(step: Step, output: bytes) -> bool:
        """True where a result has not what this step maps: the step itself is to say so."""
        return bool(step.output_mapping) and bool(
            missing(orjson.loads(output), step.output_mapping)
        )

    @staticmethod
    def sets(step: Step, output: bytes) -> dict[str, bytes]:
        """The variables that an output sets."""
        found = orjson.loads(output) if step.output_mapping else {}
        return mapped(found, step.output_mapping) if isinstance(found, dict) else {}


class _Lazily(Mapping[str, object]):
    """Values that are taken apart when somebody looks at them."""

    def __init__(self, seen: Seen) -> None:
        self._parts = {**seen.variables, **seen.outputs}

    def __getitem__(self, name: str) -> object:
        return orjson.loads(self._parts[name])

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
