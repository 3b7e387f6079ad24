"""Old runs go with what only they held, and nothing else does."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flow_kernel.records.home import Home
from flow_kernel.workflow.pruning import prune_runs
from tests.workflow.homes import opened, run, script, workflow

BIG = {"id": "a", "cache": True, "code": script(big="'x' * v['n']")}


def test_runs_that_are_over_go_with_their_values_and_what_others_hold_stays(tmp_path: Path) -> None:
    kept = workflow(tmp_path, {"id": "ask", "step_type": "APPROVAL", "message": "Go?"})
    run(tmp_path, workflow(tmp_path, BIG, variables={"n": 100_000}))
    run(tmp_path, workflow(tmp_path, BIG, variables={"n": 200_000}))
    run(tmp_path, kept)
    home = Home(tmp_path / ".flow")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    for path in (home.root / "objects/steps").rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))

    early = prune_runs(home, datetime.now(UTC) - timedelta(days=1), dry_run=False)
    told = prune_runs(home, soon, dry_run=True)
    done = prune_runs(home, soon, dry_run=False)
    again = prune_runs(home, soon, dry_run=False)

    assert not early
    assert (told.runs, told.results) == (("R-0001", "R-0002"), 2)
    assert (done.runs, done.results, done.objects) == (("R-0001", "R-0002"), 2, 2)
    assert done.bytes > 300_000
    assert not again
    with opened(tmp_path) as (flow, service):
        assert [each.run_id for each in service.book.runs()] == ["R-0003"]
        assert service.book.workflow_of("R-0003") == kept
        with flow.store.read() as view:
            assert view.named_objects() == set()
