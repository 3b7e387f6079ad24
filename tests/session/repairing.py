"""What the tests of repairs share: a home with work in it, and all that its store holds.

Called by `test_store_repair` and `test_store_repair_trouble`.
"""

from pathlib import Path
from typing import Any, Final

from flow_kernel.records.home import Home
from flow_kernel.session.logged_changes import changes_in
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.store_repair import Repaired, faults_of, repair_store
from flow_kernel.store.contract import ApprovalRow, Reading, StepRow
from tests.records.journals import run_python
from tests.store.stores import AT, PLACE, task_row

LATER: Final = "2026-11-21T02:00:00.000Z"


def worked_home(folder: Path) -> Home:
    """A home with two tasks, steps, a context with history, tags and questions; all in the logs."""
    home = Home(folder / ".flow")
    flow = flow_of(home, author="ann")
    with flow.store.write() as change:
        for number in (1, 2):
            change.put_task(task_row(change.new_task_id("local"), name=f"task {number}"), at=AT)
        change.put_resumable("nb.ipynb", *PLACE)
        for number, name in enumerate(("load", "save"), 1):
            change.put_step(_step(number, name), at=AT)
        for status in ("approved", "open"):
            change.put_approval(_approval(change.new_approval_id(), status), at=AT)
    for value in (1, [2, {"x": None}], "three"):
        flow.update_task_context("T-0001", {"k": value, "other": 1})
    flow.update_task_context("T-0002", {"gone": 1})
    flow.set_task_context("T-0002", {"k": 1.5})
    flow.tag("T-0001", "may")
    flow.tag("T-0001", "june")
    flow.tag("T-0001", "june", is_set=False)
    flow.close()
    return home


def change_and_die(home: Home) -> None:
    """A process is killed after its commit: the change is in no log yet."""
    run_python(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from flow_kernel.records.home import Home\n"
        "from flow_kernel.session.open_home import flow_of\n"
        "flow_of(Home(Path(sys.argv[1]))).update_task_context('T-0001', {'late': 1})\n"
        "os._exit(0)",
        home.root,
    )


def faults(home: Home) -> list[str]:
    return faults_of(home, changes_in(home))


def repaired(home: Home, *, at: str = LATER) -> Repaired:
    done = repair_store(home, at=at)
    assert done is not None
    flow_of(home).close()
    return done


def new_ids(home: Home) -> tuple[str, str]:
    flow = flow_of(home)
    try:
        with flow.store.write() as change:
            return change.new_task_id("local"), change.new_approval_id()
    finally:
        flow.close()


def state_of(home: Home) -> dict[str, Any]:
    """All that a store holds."""
    flow = flow_of(home)
    try:
        with flow.store.read() as view:
            tasks = view.tasks()
            places = {f"{row.plan_id}/{row.task_id}": (row.plan_id, row.task_id) for row in tasks}
            return {
                "tasks": tasks,
                "steps": {name: view.steps(*place) for name, place in places.items()},
                "context": {name: view.context(*place) for name, place in places.items()},
                "history": {name: _history(view, place) for name, place in places.items()},
                "tags": {name: view.tags(*place) for name, place in places.items()},
                "approvals": view.approvals(),
                "resumable": view.resumable("nb.ipynb"),
            }
    finally:
        flow.close()


def _history(view: Reading, place: tuple[str, str]) -> list[Any]:
    return [view.context_history(*place, key) for key in ("k", "other", "gone")]


def files_of(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(home.root.glob("flow.db*"))}


def _step(number: int, name: str) -> StepRow:
    return StepRow(plan_id="local", task_id="T-0001", number=number, name=name)


def _approval(approval_id: str, status: str) -> ApprovalRow:
    return ApprovalRow(
        approval_id=approval_id,
        plan_id="local",
        task_id="T-0001",
        step=None,
        message="sure?",
        code_sha256="c" * 64,
        payload_sha256=None,
        approval_hash=approval_id[-1] * 64,
        level="advisory",
        status=status,
        requested_by="ann",
        requested_at=AT,
        session="5e" * 16,
    )
