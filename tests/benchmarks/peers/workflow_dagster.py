"""Dagster with its default SQLite instance.

Run by `workflow_peers.py` in an environment with Dagster; the argument is `in_process`, or
`multiprocess` for a process of its own for each step.
"""

import os
import sys
from pathlib import Path
from typing import Any

import dagster
import workflow_dagster_job
from workflow_tool import serve


class Dagster:
    """See the module."""

    def __init__(self, executor: str) -> None:
        more: dict[str, Any] = {"max_concurrent": 2} if executor == "multiprocess" else {}
        self._config = {"execution": {"config": {executor: more}}}

    def begin(self) -> None:
        home = Path("dagster").absolute()
        home.mkdir(exist_ok=True)
        os.environ["DAGSTER_HOME"] = str(home)
        self._instance = dagster.DagsterInstance.get()

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        return self._run(length, nap_s, trace)

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        # It says STARTED for ever, and only failed runs can be taken up.
        started = dagster.RunsFilter(statuses=[dagster.DagsterRunStatus.STARTED])
        (run,) = self._instance.get_runs(started)
        self._instance.report_run_failed(run)
        options = dagster.ReexecutionOptions.from_failure(run.run_id, self._instance)
        return self._run(length, nap_s, trace, reexecution_options=options)

    def storage(self, length: int) -> None:
        del length

    def end(self) -> None:
        self._instance.dispose()

    def _run(self, length: int, nap_s: float, trace: str, **more: Any) -> int:
        job = workflow_dagster_job.reconstructed(length, nap_s, trace)
        with dagster.execute_job(job, self._instance, run_config=self._config, **more) as result:
            if not result.success:
                raise ValueError("the run has failed")
            found: int = result.output_for_node(f"s{length - 1}")
            return found


if __name__ == "__main__":
    serve(lambda: Dagster(sys.argv[1]))
