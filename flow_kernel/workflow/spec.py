"""Definitions of workflows: read, checked as a whole, written down again.

Called by `load` for files and objects, and by the store side of the runner for kept ones.

    {"name": "...", "description": "...", "variables": {...}, "strict": true, "steps": [{
        "id": "fetch", "name": "Fetch", "step_type": "PYTHON_SCRIPT", "needs": [...] or "order": 1,
        "code": "..." or "file": "fetch.py" (an approval: "message"),
        "input_mapping": {"param": "variable"}, "output_mapping": {"variable": "output_key"},
        "timeout": "10m", "retries": {"most": 2, "delay": 1, "backoff": 2, "max_delay": 60},
        "when": "rows > 0", "cache": true, "on_error": "stop" | "continue" | "goto:HANDLER",
        "resources": {"cpu": 1, "memory": "2G", "isolation": "fork"}}]}

Nothing of a workflow runs until all of it was read; every problem is told at once, with its place.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flow_kernel.workers.limits import shown
from flow_kernel.workflow import checks
from flow_kernel.workflow.check_graph import Graph
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.spec_document import as_document, from_document
from flow_kernel.workflow.spec_fields import (
    Problems,
    at,
    read_flag,
    read_keys,
    read_name,
    read_text,
    wrong_with_id,
    wrong_with_json,
)
from flow_kernel.workflow.spec_order import Places, resolve
from flow_kernel.workflow.spec_sources import read_sources
from flow_kernel.workflow.spec_step import Draft, read_step

__all__ = ["MOST_STEPS", "as_document", "from_document", "parse"]

MOST_STEPS: Final = 100_000

_KEYS: Final = ("name", "description", "variables", "strict", "steps")


def parse(document: object, *, directory: Path, source: str = "") -> Workflow:
    """The workflow that a definition describes.

    Reads the files that it names; runs nothing.

    Args:
        document: Values of JSON, as a file or a program gives them.
        directory: What the names of files are relative to, and where the steps will run.
        source: What to call the definition in messages, as the path of its file.

    Raises:
        WorkflowInvalid: With everything that is wrong.
    """
    problems = Problems()
    said = read_keys(document, "", _KEYS, problems)
    name = _read_title(said, problems)
    description = read_text(said.get("description", ""), "description", problems)
    variables = _read_variables(said.get("variables", {}), problems)
    is_strict = read_flag(said.get("strict", True), "strict", problems)
    drafts = _read_steps(said, problems)
    home = Path(os.path.abspath(directory))  # noqa: PTH100  # a link stays the way it was said
    read_sources(drafts, home, problems)
    index = _index(drafts, problems)
    places = resolve(drafts, index, problems)
    steps = _made(drafts, places, index, variables, problems)
    if problems:
        problems.refuse(source)
    return Workflow(
        name=name,
        description=description,
        steps=tuple(steps),
        variables=variables,
        directory=str(home),
        is_strict=is_strict,
    )


def _read_title(said: Mapping[str, object], problems: Problems) -> str:
    if "name" in said:
        return read_name(said["name"], "name", problems)
    problems.add("name", "is missing: a workflow is kept and shown under its name")
    return ""


def _read_variables(value: object, problems: Problems) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        problems.add("variables", f"must be an object, not {shown(value)}")
        return {}
    read: dict[str, Any] = {}
    for name, each in value.items():
        wrong = (
            wrong_with_id(name)
            if isinstance(name, str)
            else f"a name must be text, not {shown(name)}"
        )
        if wrong:
            problems.add("variables", wrong)
            continue
        place, wrong = wrong_with_json(each, at("variables", name))
        if wrong:
            problems.add(place, wrong)
            continue
        # A copy: what a program does to its objects later is not the workflow's.
        read[name] = json.loads(json.dumps(each))
    return read


def _read_steps(said: Mapping[str, object], problems: Problems) -> list[Draft]:
    steps = said.get("steps")
    if not isinstance(steps, list | tuple):
        problems.add("steps", f"must be a list of steps, not {shown(steps)}")
        return []
    if not steps:
        problems.add("steps", "is empty: there is nothing to run")
    if len(steps) > MOST_STEPS:
        problems.add("steps", f"are {len(steps):,}, and may be {MOST_STEPS:,}")
        return []
    return [read_step(step, number, problems) for number, step in enumerate(steps)]


def _index(drafts: Sequence[Draft], problems: Problems) -> dict[str, int]:
    """Where the step of each id stands."""
    index: dict[str, int] = {}
    for number, draft in enumerate(drafts):
        # What could not be read was told, and is no id.
        if not draft.id:
            continue
        first = index.setdefault(draft.id, number)
        if first != number:
            same = f"{shown(draft.id)} is the id of {drafts[first].place} too"
            problems.add(draft.id_place, same)
    return index


def _made(
    drafts: Sequence[Draft],
    places: Places,
    index: Mapping[str, int],
    variables: Mapping[str, object],
    problems: Problems,
) -> list[Step]:
    """The steps, after the checks that regard all of them."""
    needs = places.needs
    failures = places.failures
    graph = Graph.of(needs, index, failures)
    levels = graph.levels() if places.has_needs else []
    steps = [
        Step(
            id=draft.id,
            name=draft.name,
            step_type=draft.step_type,
            needs=needs[number],
            order=levels[number] if levels else places.orders[number],
            code=draft.code or "",
            file=draft.file,
            input_mapping=draft.input_mapping,
            output_mapping=draft.output_mapping,
            timeout_s=draft.timeout_s,
            retries=draft.retries,
            when=draft.when,
            is_cached=draft.is_cached,
            resources=draft.resources,
            on_error=draft.on_error,
            handler=draft.handler,
            is_handler=draft.id in places.handlers,
        )
        for number, draft in enumerate(drafts)
    ]
    checks.check_circles(steps, graph, problems)
    checks.check_hidden(steps, variables, problems)
    checks.check_variables(steps, variables, graph, problems)
    return steps
