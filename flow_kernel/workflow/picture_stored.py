"""Stored runs as pictures show them, read from the store of a home.

Called by `%workflow` and, through `draw`, by reports of tasks.
"""

from typing import Final

from flow_kernel.errors import NotFound
from flow_kernel.session.flow import Flow
from flow_kernel.workflow.book import Book
from flow_kernel.workflow.picture_details import wanted_outputs
from flow_kernel.workflow.picture_html import html_of
from flow_kernel.workflow.picture_sight import Sight, sight_of
from flow_kernel.workflow.views import Run

_MOST_CHARS: Final = 100_000
"""Of an output that is shown below a picture; a larger one is told of by its step alone."""


def stored_sight(flow: Flow, run_id: str) -> Sight:
    """A run as it is stored.

    Raises:
        NotFound: There is none of that id.
    """
    book = Book(flow.store, flow.home, flow.now)
    run = book.run(run_id)
    outputs = outputs_of(flow, run)
    try:
        return sight_of(run, book.workflow_of(run_id), outputs=outputs)
    except NotFound:  # its definition is lost
        return sight_of(run, None, outputs=outputs)


def draw(flow: Flow, run_id: str) -> str:
    """The picture of a run as HTML; see `session.report_runs`."""
    return html_of(stored_sight(flow, run_id))


def outputs_of(flow: Flow, run: Run) -> dict[str, str]:
    """What came out of the steps that a picture tells of, by id and as JSON."""
    wanted = {*wanted_outputs(run.steps)}
    with flow.store.read() as view:
        rows = view.run_steps(run.run_id)
    found = {row.step_id: row.output for row in rows if row.step_id in wanted and row.output}
    return {name: text for name, text in found.items() if len(text) <= _MOST_CHARS}
