"""Homes with a service, and workflows out of a few words.

Used by the tests of this folder.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.workflow import events, spec
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Selection, Service
from flow_kernel.workflow.views import Run

READ: Final = "import json, sys\nwith open(sys.argv[2]) as f:\n    v = json.load(f)\n"
"""How a script begins that wants its variables."""


@contextmanager
def opened(directory: Path) -> Iterator[tuple[Flow, Service]]:
    """A handle on the home of a directory, and its workflows."""
    home = Home(directory / ".flow")
    home.ensure()
    flow = flow_of(home, author="ada")
    try:
        yield flow, Service(flow, by="ada")
    finally:
        flow.close()


def script(**output: str) -> str:
    """A script whose output has keys with values of expressions over `v`, its variables."""
    said = ", ".join(f"{name!r}: {text}" for name, text in output.items())
    return f"{READ}print(json.dumps({{{said}}}))\n"


def workflow(directory: Path, *steps: Mapping[str, Any], **more: Any) -> Workflow:
    """A checked workflow."""
    document = {"name": "made", "steps": [dict(step) for step in steps], **more}
    return spec.parse(document, directory=directory)


def run(
    directory: Path,
    found: Workflow,
    variables: Mapping[str, object] | None = None,
    *,
    executor: str = "inline",
    selection: Selection | None = None,
    told: list[events.Event] | None = None,
    **options: Any,
) -> Run:
    """A run from its beginning to where nothing is left to do."""
    with opened(directory) as (_, service):
        row = service.begin(
            found,
            variables,
            options=RunOptions(executor=executor, **options),
            selection=selection,
        )
        return service.run(row, (lambda _: None) if told is None else told.append)


def states(found: Run) -> dict[str, str]:
    """The state of each step."""
    return {step.id: str(step.state) for step in found.steps}


def records(directory: Path) -> list[dict[str, Any]]:
    """What the log of tasks without a name says of runs."""
    path = directory / ".flow/log/local/T-0000.jsonl"
    found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [record for record in found if record["kind"] == "run"]
