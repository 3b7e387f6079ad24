"""The statements for workflows and runs inside one transaction on the SQLite store.

Used by `sqlite_rows`, whose transaction takes them in.

A step of a fast run costs as much here as in its process, so the rows are taken apart by position
and the notes are written by hand.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

import orjson

from flow_kernel.store.run_rows import RunRow, RunStepRow, RunVariable, StepResult
from flow_kernel.store.upsert import upsert

_RUN: Final = tuple(f.name for f in fields(RunRow))
_STEP: Final = tuple(f.name for f in fields(RunStepRow))
_values_of_run: Final = attrgetter(*_RUN)
_values_of_step: Final = attrgetter(*_STEP)


_PUT_RUN: Final = upsert("run", _RUN, ("run_id",))
_PUT_STEP: Final = upsert("run_step", _STEP, ("run_id", "step_id"))
_PUT_VARIABLE: Final = upsert(
    "run_variable",
    ("run_id", "name", "value", "object", "step_id"),
    ("run_id", "name", "step_id"),
)
_PUT_RESULT: Final = upsert(
    "step_result", ("cache_key", "output", "output_object", "run_id", "made_at"), ("cache_key",)
)
_SELECT_RUN: Final = f"SELECT {', '.join(_RUN)} FROM run"  # noqa: S608 - our own names
_SELECT_STEP: Final = f"SELECT {', '.join(_STEP)} FROM run_step WHERE run_id = ?"  # noqa: S608 - our own names
_BY_ID: Final = "ORDER BY LENGTH(run_id), run_id"
_NEWEST_FIRST: Final = "ORDER BY CAST(SUBSTR(run_id, 3) AS INTEGER) DESC"


class RunStatements:
    """Reads and writes of runs; see `run_rows.RunReading` and `run_rows.RunWriting`."""

    __slots__ = ()

    _run: Callable[..., sqlite3.Cursor]

    def note(self, kind: str, plan_id: str, task_id: str, at: str, fields: object) -> int:
        """Add a row to the outbox; the transaction's own."""
        raise NotImplementedError

    # -- asking ------------------------------------------------------------------------------------

    def run(self, run_id: str) -> RunRow | None:
        """One run."""
        row = self._run(f"{_SELECT_RUN} WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else _run_of(row)

    def runs(self, *, limit: int = -1) -> list[RunRow]:
        """The newest runs, the newest first; all of them with a negative limit."""
        return [
            _run_of(row) for row in self._run(f"{_SELECT_RUN} {_NEWEST_FIRST} LIMIT ?", (limit,))
        ]

    def unfinished_runs(self) -> list[RunRow]:
        """Runs that are not over, oldest first."""
        query = f"{_SELECT_RUN} WHERE status IN ('pending', 'running', 'waiting') {_BY_ID}"
        return [_run_of(row) for row in self._run(query)]

    def run_steps(self, run_id: str) -> list[RunStepRow]:
        """The steps of a run that have begun, or never will, in the order of the definition."""
        return [_step_of(row) for row in self._run(f"{_SELECT_STEP} ORDER BY number", (run_id,))]

    def run_step(self, run_id: str, step_id: str) -> RunStepRow | None:
        """One of them."""
        row = self._run(f"{_SELECT_STEP} AND step_id = ?", (run_id, step_id)).fetchone()
        return None if row is None else _step_of(row)

    def run_variables(self, run_id: str) -> list[RunVariable]:
        """The variables of a run by name: one value for each step that has set it."""
        query = (
            "SELECT name, value, object, step_id FROM run_variable WHERE run_id = ? ORDER BY name"
        )
        return [RunVariable(*row) for row in self._run(query, (run_id,))]

    def run_of_approval(self, approval_id: str) -> str | None:
        """The run whose step asks a question."""
        query = (
            "SELECT s.run_id FROM run r JOIN run_step s ON s.run_id = r.run_id"
            " WHERE r.status IN ('pending', 'running', 'waiting') AND s.approval_id = ?"
        )
        found = self._run(query, (approval_id,)).fetchone()
        return None if found is None else str(found[0])

    def workflow_document(self, sha256: str) -> str | None:
        """A definition, as JSON."""
        query = "SELECT document FROM workflow_document WHERE sha256 = ?"
        found = self._run(query, (sha256,)).fetchone()
        return None if found is None else str(found[0])

    def workflows(self) -> list[tuple[str, str, str]]:
        """Id, SHA-256 and time of the definitions that are stored under an id, by id."""
        query = "SELECT workflow_id, sha256, stored_at FROM workflow ORDER BY workflow_id"
        return self._run(query).fetchall()

    def step_result(self, cache_key: str) -> StepResult | None:
        """A result that was kept."""
        query = "SELECT output, output_object, run_id FROM step_result WHERE cache_key = ?"
        row = self._run(query, (cache_key,)).fetchone()
        return None if row is None else StepResult(*row)

    def runs_over_before(self, at: str) -> list[str]:
        """Ids of runs that were over before a time, oldest first."""
        query = f"SELECT run_id FROM run WHERE completed_at < ? {_BY_ID}"  # noqa: S608 - our own names
        return [run_id for (run_id,) in self._run(query, (at,))]

    def count_step_results(self, before: str) -> int:
        """How many results were made before a time."""
        query = "SELECT COUNT(*) FROM step_result WHERE made_at < ?"
        return int(self._run(query, (before,)).fetchone()[0])

    def named_objects(self) -> set[str]:
        """The objects of the home that rows of runs name."""
        rows = self._run(
            "SELECT output_object FROM run_step WHERE output_object IS NOT NULL"
            " UNION SELECT object FROM run_variable WHERE object IS NOT NULL"
            " UNION SELECT output_object FROM step_result WHERE output_object IS NOT NULL"
        )
        return {name for (name,) in rows}

    # -- changing ----------------------------------------------------------------------------------

    def new_run_id(self) -> str:
        """The next free id of the home."""
        made = self._run(
            "INSERT INTO counter (letter, last) VALUES ('R', 1)"
            " ON CONFLICT (letter) DO UPDATE SET last = last + 1 RETURNING last"
        )
        return f"R-{made.fetchone()[0]:04d}"

    def reserve_run_id(self, run_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""
        number = int(run_id.removeprefix("R-"))
        self._run("INSERT INTO counter (letter, last) VALUES ('R', 0) ON CONFLICT DO NOTHING")
        self._run("UPDATE counter SET last = ? WHERE letter = 'R' AND last < ?", (number, number))

    def put_workflow_document(self, sha256: str, document: str) -> None:
        """Keep a definition; harmless the second time."""
        self._run(
            "INSERT INTO workflow_document (sha256, document) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (sha256, document),
        )

    def put_workflow(self, workflow_id: str, sha256: str, *, at: str) -> None:
        """Store a definition under an id, in place of the one before."""
        names = ("workflow_id", "sha256", "stored_at")
        self._run(upsert("workflow", names, names[:1]), (workflow_id, sha256, at))

    def put_run(self, run: RunRow, *, at: str) -> None:
        """Insert or replace a run, and note it in the outbox."""
        self._run(_PUT_RUN, _values_of_run(run))
        said: dict[str, Any] = {
            "run_id": run.run_id,
            "workflow": run.workflow,
            "workflow_sha256": run.sha256,
            "status": run.status,
            "reason": run.reason,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
        }
        self.note("run", run.plan_id, run.task_id, at, said)

    def put_run_step(self, step: RunStepRow, run: RunRow, *, at: str) -> None:
        """Insert or replace a step of `run`, and note it in the outbox."""
        self._run(_PUT_STEP, _values_of_step(step))
        said: dict[str, Any] = {
            "run_id": step.run_id,
            "workflow": run.workflow,
            "status": run.status,
            "step_id": step.step_id,
            "number": step.number,
            "state": step.state,
            "attempt": step.attempt,
            "executor": step.executor,
        }
        if step.ended_at is not None:
            said["elapsed_ms"] = step.elapsed_ms
        for name in ("error", "approval_id", "reused_from"):
            value = getattr(step, name)
            if value is not None:
                said[name] = orjson.Fragment(value) if name == "error" else value
        self.note("run", run.plan_id, run.task_id, at, said)

    def remove_run_steps(self, run_id: str, step_ids: Sequence[str]) -> None:
        """Steps are as if they had never begun."""
        for step_id in step_ids:
            for table in ("run_step", "run_variable"):
                query = f"DELETE FROM {table} WHERE run_id = ? AND step_id = ?"  # noqa: S608 - our own names
                self._run(query, (run_id, step_id))

    def remove_run(self, run_id: str) -> None:
        """Delete a run with its steps and variables; its changes stay in the logs."""
        for table in ("run", "run_step", "run_variable"):
            self._run(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - our own names

    def forget_workflow_documents(self) -> None:
        """Forget definitions that no run has and that are stored under no id."""
        self._run(
            "DELETE FROM workflow_document WHERE sha256 NOT IN"
            " (SELECT sha256 FROM run UNION SELECT sha256 FROM workflow)"
        )

    def put_run_variable(self, run_id: str, variable: RunVariable) -> None:
        """Set a variable of a run."""
        self._run(_PUT_VARIABLE, (run_id, *variable))

    def put_step_result(self, cache_key: str, result: StepResult, *, at: str) -> None:
        """Keep a result, in place of the one before."""
        self._run(_PUT_RESULT, (cache_key, *result, at))

    def forget_step_results(self, before: str) -> int:
        """Forget results that were made before a time. Returns how many."""
        return self._run("DELETE FROM step_result WHERE made_at < ?", (before,)).rowcount


def _run_of(row: tuple[Any, ...]) -> RunRow:
    return RunRow(**dict(zip(_RUN, row, strict=True)))


def _step_of(row: tuple[Any, ...]) -> RunStepRow:
    return RunStepRow(**dict(zip(_STEP, row, strict=True)))
