"""The tools that change something: cells, tasks, checkpoints, rollbacks, workflows.

Called by `serving`, each with its checked arguments. All of them are cells of the session, so a
person sees in the notebook's history what the agent did, in the order in which it happened. None is
waited for longer than the caller wants; what waits behind another cell says so at once.
"""

import json
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.mcp import magics
from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cells import WAIT_S, Cells, Wanted
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.shaping import Answer, running_answer
from flow_kernel.errors import UsageError
from flow_kernel.records.plain import one_line

_MOST_HANDLES: Final = 100
Arguments = Mapping[str, Any]


class Working:
    """The tools of one server that change something.

    Args:
        kernels: Where.
        cells: What runs there.
    """

    def __init__(self, kernels: Kernels, cells: Cells) -> None:
        self._kernels = kernels
        self._cells = cells
        self._handles: dict[str, tuple[str, str, str, int]] = {}
        self._specs: tempfile.TemporaryDirectory[str] | None = None

    async def run_cell(self, given: Arguments, caller: Caller) -> Answer:
        """Run code."""
        if "task" in given:
            link = await self._kernels.link()
            status = await link.ask("status")
            if status["task_id"] != given["task"]:
                raise UsageError(
                    f"the open task is {status['task_id']}, not {one_line(given['task'], 20)}",
                    hint="the cell did not run",
                )
        wanted = Wanted(
            code=given["code"],
            isolated=given.get("isolated", False),
            timeout_s=given.get("timeout"),
            expect_rev=given.get("expect_rev"),
            key=given.get("idempotency_key", ""),
        )
        return await self._run(wanted, given.get("wait_s", WAIT_S), caller)

    async def task(self, given: Arguments, caller: Caller) -> Answer:
        """Tasks and their steps."""
        wanted = Wanted(code=_task_code(given), label="task", finish=self._with_task)
        return await self._state(wanted, given, caller)

    async def checkpoint(self, given: Arguments, caller: Caller) -> Answer:
        """Keep, list, compare."""
        action, name = given.get("action", "take"), given.get("name", "")
        if action == "list":
            code = magics.magic("checkpoint", "list")
        elif action == "diff":
            if not name:
                raise UsageError("name the checkpoint to compare with")
            code = magics.checkpoint_diff(name)
        else:
            code = magics.checkpoint(name)
        wanted = Wanted(code=code, label="checkpoint", finish=_without_diff)
        return await self._state(wanted, given, caller)

    async def rollback(self, given: Arguments, caller: Caller) -> Answer:
        """Say what going back would change; do it where the handle of that is brought."""
        to, what = given["to"], given.get("what", "")
        link = await self._kernels.link()
        handle = self._handles.get(given.get("confirm", ""))
        is_real = given.get("dry_run") is False and handle is not None
        if is_real and handle is not None and handle[:3] != (link.lease.session, to, what):
            raise UsageError("this confirm is of another dry run", hint="begin with a dry run")
        if not is_real or handle is None:
            dry = self._dry_run(to, what, link.lease.session)
            return await self._state(dry, given, caller)
        code = magics.rollback(to, what, is_dry=False)
        self._handles.pop(given["confirm"], None)
        wanted = Wanted(code=code, expect_rev=handle[3], label="rollback")
        return await self._state(wanted, given, caller)

    async def run_workflow(self, given: Arguments, caller: Caller) -> Answer:
        """Run a workflow of a file, or one that is given."""
        if ("file" in given) == ("spec" in given):
            raise UsageError("give a file or a spec")
        file = given["file"] if "file" in given else self._spec_file(given["spec"])
        code = magics.workflow(file, given.get("variables", {}))
        return await self._state(Wanted(code=code, label="run_workflow"), given, caller)

    def close(self) -> None:
        """Remove what was written for workflows."""
        if self._specs is not None:
            self._specs.cleanup()

    # -- inside ------------------------------------------------------------------------------------

    async def _state(self, wanted: Wanted, given: Arguments, caller: Caller) -> Answer:
        """Run what is no cell to the agent: not waited for behind others unless that is asked."""
        wait_s = given.get("wait_s", WAIT_S)
        return await self._run(wanted, wait_s, caller, is_patient="wait_s" in given)

    async def _run(
        self, wanted: Wanted, wait_s: float, caller: Caller, *, is_patient: bool = True
    ) -> Answer:
        started = await self._cells.start(wanted, caller)
        if await self._cells.wait(started, wait_s, caller, is_patient=is_patient):
            return await self._cells.answer(started, caller)
        standing = await self._cells.look(started)
        if started.run.has_ended:  # while it was looked at
            return await self._cells.answer(started, caller)
        return running_answer(started.run, None, standing)

    async def _with_task(self, answer: Answer) -> Answer:
        link = await self._kernels.link()
        status = await link.ask("status")
        return {**answer, "diff": None, "task": status["task_id"], "step": status["step"]}

    def _dry_run(self, to: str, what: str, session: str) -> Wanted:
        confirm = secrets.token_hex(6)

        async def finish(answer: Answer) -> Answer:
            rev = answer.get("rev")
            if not answer.get("ok") or not isinstance(rev, int):
                return {**answer, "diff": None}
            self._handles[confirm] = (session, to, what, rev)
            while len(self._handles) > _MOST_HANDLES:
                del self._handles[next(iter(self._handles))]
            return {**answer, "diff": None, "dry_run": True, "confirm": confirm}

        code = magics.rollback(to, what, is_dry=True)
        return Wanted(code=code, label="rollback", finish=finish)

    def _spec_file(self, spec: Mapping[str, object]) -> str:
        if self._specs is None:
            self._specs = tempfile.TemporaryDirectory(prefix="flow-mcp-")
        name = "".join(c for c in str(spec.get("name", "")) if c.isalnum())[:40] or "workflow"
        path = Path(self._specs.name) / f"{name}-{secrets.token_hex(3)}.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        return str(path)


async def _without_diff(answer: Answer) -> Answer:
    return {**answer, "diff": None}


def _task_code(given: Arguments) -> str:
    action, text, name = given["action"], given.get("text", ""), given.get("name", "")
    if action == "start":
        return magics.task_start(name, text, given.get("steps", ()))
    if action == "set":
        return magics.task_set(given.get("values", {}))
    if action in ("finish", "status"):
        return magics.magic("task", action)
    said = name or text
    if not said:
        raise UsageError(f"{action} takes a {'name' if action == 'step' else 'text'}")
    return magics.task_text(action, said)
