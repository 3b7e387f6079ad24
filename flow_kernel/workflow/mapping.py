"""What a step is given, and what it sets (pure).

Called by `runner`. Values stay the bytes of their JSON as long as nobody looks into them: a large
variable that a hundred steps see is encoded once.

The variables file of a step is one JSON object; what comes later wins:

    variables of the run  <  outputs of steps above it, by step id  <  mapped inputs  <  "_flow"
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from flow_kernel.errors import NotFound
from flow_kernel.workflow.upstream import Upstream

FLOW: Final = "_flow"
ERROR: Final = "_error"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step sees, as JSON.

    Attributes:
        variables: By name.
        outputs: By step id.
    """

    variables: Mapping[str, bytes]
    outputs: Mapping[str, bytes]

    def raw(self, name: str) -> bytes:
        """What a variable holds: one of the run, a step's output, or `step.key` of one.

        Raises:
            NotFound: There is none.
        """
        found = self.outputs.get(name, self.variables.get(name))
        if found is not None:
            return found
        head, dot, path = name.partition(".")
        source = self.outputs.get(head, self.variables.get(head))
        if not dot or source is None:
            raise NotFound(f'there is no variable "{name[:60]}"')
        value = orjson.loads(source)
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                raise NotFound(f'there is no "{key[:60]}" in the output of {head[:60]}')
            value = value[key]
        return orjson.dumps(value)

    def inputs(self, mapping: Mapping[str, str]) -> dict[str, bytes]:
        """The mapped inputs by parameter.

        Raises:
            NotFound: A variable is not there.
        """
        return {parameter: self.raw(variable) for parameter, variable in mapping.items()}

    def document(self, inputs: Mapping[str, bytes], extra: Mapping[str, object]) -> bytes:
        """The variables file of a step.

        Args:
            inputs: Mapped ones.
            extra: What is added by us: `_flow`, and `_error` for a handler.
        """
        # Put together by hand: the values are JSON already, and only names are encoded.
        parts = {**self.variables, **self.outputs, **inputs}
        for name in extra:
            parts.pop(name, None)
        said = [b"%b:%b" % (_encoded(name), raw) for name, raw in parts.items()]
        return b"{%b}" % b",".join([*said, orjson.dumps(extra)[1:-1]])


class Values:
    """The variables of a run and the outputs of its steps, as JSON.

    A variable that several steps set one after the other keeps each value: a step beside the later
    of them sees the earlier.

    Args:
        upstream: Of the workflow.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.initial: dict[str, bytes] = {}
        """What the run began with."""
        self.outputs: dict[str, bytes] = {}
        """By step id."""
        self._sets: dict[str, dict[str, bytes]] = {}
        """By the step that has set them."""
        self._last: dict[str, tuple[int, bytes]] = {}
        """The rank of the lowest step that has set a variable, and what it has set."""
        self._spoken = 0
        """The steps that have an output or have set something."""

    def say(self, step_id: str, output: bytes) -> None:
        """A step has an output."""
        self.outputs[step_id] = output
        self._spoken |= self._upstream.bit(step_id)

    def set(self, step_id: str, values: Mapping[str, bytes]) -> None:
        """A step sets variables."""
        if values:
            rank = self._upstream.rank(step_id)
            self._spoken |= self._upstream.bit(step_id)
        for name, raw in values.items():
            self._sets.setdefault(step_id, {})[name] = raw
            if name not in self._last or self._last[name][0] <= rank:
                self._last[name] = (rank, raw)

    def seen_by(self, step_id: str) -> Seen:
        """What a step that begins now sees."""
        upstream = self._upstream
        if upstream.has_all(self._spoken, of=step_id):  # as in a row of steps: no need to choose
            last = {name: raw for name, (_, raw) in self._last.items()}
            return Seen({**self.initial, **last}, dict(self.outputs))
        variables, outputs = dict(self.initial), {}
        for above in upstream.above(self._spoken, of=step_id):
            # In this order the lower one of two that set a variable comes later.
            variables.update(self._sets.get(above, ()))
            if above in self.outputs:
                outputs[above] = self.outputs[above]
        return Seen(variables, outputs)

    def final(self) -> dict[str, bytes]:
        """What came out of the run: the variables that steps have set, else their outputs."""
        if not self._sets:
            return dict(self.outputs)
        return {name: raw for name, (_, raw) in self._last.items()}


@lru_cache(maxsize=65_536)
def _encoded(name: str) -> bytes:
    return orjson.dumps(name)


def mapped(output: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, bytes]:
    """The variables that an output sets, as JSON; keys that it has not set nothing."""
    return {
        variable: orjson.dumps(output[key]) for variable, key in mapping.items() if key in output
    }


def idempotency_key(run_id: str, step_id: str, store_id: str) -> str:
    """The same for all attempts of one step of one run, and for no other: 32 hex.

    What a step did before it died may have had an effect: a service that is given the key again
    knows that it is asked for the same thing.
    """
    said = orjson.dumps([store_id, run_id, step_id])
    return hashlib.sha256(said).hexdigest()[:32]
