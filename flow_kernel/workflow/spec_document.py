"""Workflows as values of JSON that are kept, and back (pure).

Called by whoever stores a workflow or starts a stored one; `spec` offers both functions.

A kept document is not a definition: it holds the code of all files and resolved needs, and leaves
out what has its default. Steps that wait for the same say so (`needs_as`: the id of the first of
them): a hundred layers of a hundred steps would be a million names otherwise.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from flow_kernel.workflow.model import OnError, Resources, Retries, Step, StepType, Workflow

FORMAT: Final = 1

_PLAIN: Final = (
    "order", "code", "file", "input_mapping", "output_mapping", "timeout_s", "when",
    "is_cached", "on_error", "handler", "is_handler",
)  # fmt: skip
_NEEDS_WORTH_SHARING: Final = 2


def as_document(workflow: Workflow) -> dict[str, Any]:
    """A workflow as values of JSON, complete: no file is needed to run it again."""
    shared: dict[tuple[str, ...], str] = {}
    return {
        "format": FORMAT,
        "name": workflow.name,
        "description": workflow.description,
        "directory": workflow.directory,
        "is_strict": workflow.is_strict,
        "variables": dict(workflow.variables),
        "steps": [_step_document(step, shared) for step in workflow.steps],
    }


def from_document(document: Mapping[str, Any]) -> Workflow:
    """The workflow of a document that `as_document` made.

    The document is trusted: nothing is checked again, and no file is read.
    """
    needs: dict[str, tuple[str, ...]] = {}
    return Workflow(
        name=document["name"],
        description=document["description"],
        steps=tuple([_step(each, needs) for each in document["steps"]]),
        variables=document["variables"],
        directory=document["directory"],
        is_strict=document["is_strict"],
    )


def _step_document(step: Step, shared: dict[tuple[str, ...], str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": step.id,
        "name": step.name,
        "step_type": step.step_type.value,
    }
    if len(step.needs) >= _NEEDS_WORTH_SHARING:
        first = shared.setdefault(step.needs, step.id)
        said |= {"needs": list(step.needs)} if first == step.id else {"needs_as": first}
    elif step.needs:
        said["needs"] = list(step.needs)
    for name in _PLAIN:
        value = getattr(step, name)
        if value != _DEFAULTS.get(name):
            said[name] = dict(value) if isinstance(value, Mapping) else value
    if "on_error" in said:
        said["on_error"] = step.on_error.value
    if step.retries != _DEFAULTS["retries"]:
        said["retries"] = {each.name: getattr(step.retries, each.name) for each in fields(Retries)}
    if step.resources != _DEFAULTS["resources"]:
        said["resources"] = {
            each.name: getattr(step.resources, each.name) for each in fields(Resources)
        }
    return said


def _step(said: Mapping[str, Any], needs: dict[str, tuple[str, ...]]) -> Step:
    made = dict(said)
    made["step_type"] = StepType(said["step_type"])
    same = made.pop("needs_as", None)
    if same is not None:
        made["needs"] = needs[same]
    elif "needs" in made:
        made["needs"] = needs[said["id"]] = tuple(said["needs"])
    if "on_error" in made:
        made["on_error"] = OnError(said["on_error"])
    if "retries" in made:
        made["retries"] = Retries(**said["retries"])
    if "resources" in made:
        made["resources"] = Resources(**said["resources"])
    return Step(**made)


def _defaults() -> dict[str, Any]:
    empty = Step(id="", name="")
    return {each.name: getattr(empty, each.name) for each in fields(Step)}


_DEFAULTS: Final = cast("Mapping[str, Any]", _defaults())
