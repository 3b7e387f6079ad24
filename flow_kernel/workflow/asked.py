"""What a person asked to run, in words: which workflow, with which variables, which of its steps.

Called by the command line and by `%workflow`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.names import is_task_id
from flow_kernel.session.flow import Flow
from flow_kernel.session.reports import records_of
from flow_kernel.workflow import load, spec
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.service import Selection, Service

SUFFIXES: Final = (".json", ".toml")
"""Of files that hold a workflow."""


def find_workflow(asked: str, flow: Flow, service: Service, directory: Path) -> Workflow:
    """A file, the name of a stored workflow, or a task whose recorded steps are to run again.

    Args:
        asked: What the person wrote.
        flow: A handle on the home.
        service: Of that home.
        directory: Where the person is.

    Raises:
        NotFound: It is none of these.
        WorkflowInvalid: It has problems.
    """
    path = directory / Path(asked).expanduser()
    if path.is_file():
        return load.load(path)
    stored = service.book.stored(asked)
    if stored is not None:
        return stored
    if is_task_id(asked.rpartition("/")[2]):
        task = flow.task(asked)
        flow.sync()
        document = load.steps_of_task(records_of(flow.home, task))
        return spec.parse(document, directory=directory, source=f"{task.task_id} {task.name}")
    if path.suffix in SUFFIXES or "/" in asked:
        raise NotFound(f"there is no file {path}")
    raise NotFound(
        f'there is no file and no stored workflow "{asked[:80]}"',
        hint="a run with --store keeps one under its name",
    )


def variables_of(pairs: Sequence[str], file: Path | None) -> dict[str, object]:
    """The variables of a file of JSON, and those of `K=V`, whose values are JSON or else text.

    Raises:
        UsageError: One of them is no variable, or the file cannot be read.
    """
    found: dict[str, object] = {}
    if file is not None:
        said = load.json_of(file)
        if not isinstance(said, dict):
            raise UsageError(f"{file} holds no object of variables")
        found.update(said)
    for each in pairs:
        name, equals, text = each.partition("=")
        if not (name and equals):
            raise UsageError(f'--var "{each[:60]}" is no K=V')
        found[name] = _value(text)
    return found


def selection_of(start_at: str, only: str, of_run: str) -> Selection:
    """Which steps, from lists with commas; all empty for all of them.

    Raises:
        UsageError: Both were named.
    """
    if start_at and only:
        raise UsageError("--from and --only exclude each other")
    return Selection(start_at=_names(start_at), only=_names(only), of_run=of_run)


def _value(text: str) -> object:
    try:
        orjson.loads(text)
        # This keeps long integers: they are refused later, and do not become other numbers.
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
