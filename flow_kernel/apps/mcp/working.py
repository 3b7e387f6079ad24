"""The tools that change something: cells, tasks, checkpoints, rollbacks, workflows.

Called by `serving`, each with its checked arguments. All of them are cells of the session, so a
person sees in the notebook's history what the agent did, in the order in which it happened.
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

_STATE_WAIT_S: Final = 60.0
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
                    f"the open task is {status['task_id']}, not {given['task'][:20]}",
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
        code = _task_code(given)
        answer = await self._run(Wanted(code=code, label="task"), _STATE_WAIT_S, caller)
        link = await self._kernels.link()
        status = await link.ask("status")
        return {**answer, "diff": None, "task": status["task_id"], "step": status["step"]}

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
        answer = await self._run(Wanted(code=code, label="checkpoint"), _STATE_WAIT_S, caller)
        return {**answer, "diff": None}

    async def rollback(self, given: Arguments, caller: Caller) -> Answer:
        """Say what going back would change; do it where the handle of that is brought."""
        to, what = given["to"], given.get("what", "")
        link = await self._kernels.link()
        handle = self._handles.get(given.get("confirm", ""))
        is_real = given.get("dry_run") is False and handle is not None
        if is_real and handle is not None and handle[:3] != (link.lease.session, to, what):
            raise UsageError("this confirm is of another dry run", hint="begin with a dry run")
        if not is_real or handle is None:
            return await self._dry_run(to, what, link.lease.session, caller)
        self._handles.pop(given["confirm"], None)
        code = magics.rollback(to, what, is_dry=False)
        wanted = Wanted(code=code, expect_rev=handle[3], label="rollback")
        return await self._run(wanted, _STATE_WAIT_S, caller)

    async def run_workflow(self, given: Arguments, caller: Caller) -> Answer:
        """Run a workflow of a file, or one that is given."""
        if ("file" in given) == ("spec" in given):
            raise UsageError("give a file or a spec")
        file = given["file"] if "file" in given else self._spec_file(given["spec"])
        code = magics.workflow(file, given.get("variables", {}))
        wait_s = given.get("wait_s", _STATE_WAIT_S)
        return await self._run(Wanted(code=code, label="run_workflow"), wait_s, caller)

    def close(self) -> None:
        """Remove what was written for workflows."""
        if self._specs is not None:
            self._specs.cleanup()

    # -- inside ------------------------------------------------------------------------------------

    async def _run(self, wanted: Wanted, wait_s: float, caller: Caller) -> Answer:
        started = await self._cells.start(wanted, caller)
        if await self._cells.wait(started, wait_s, caller):
            return await self._cells.answer(started, caller)
        return running_answer(started.run, None)

    async def _dry_run(self, to: str, what: str, session: str, caller: Caller) -> Answer:
        code = magics.rollback(to, what, is_dry=True)
        answer = await self._run(Wanted(code=code, label="rollback"), _STATE_WAIT_S, caller)
        rev = answer.get("rev")
        if answer.get("ok") and isinstance(rev, int):
            confirm = secrets.token_hex(6)
            self._handles[confirm] = (session, to, what, rev)
            while len(self._handles) > _MOST_HANDLES:
                del self._handles[next(iter(self._handles))]
            answer = {**answer, "dry_run": True, "confirm": confirm}
        return {**answer, "diff": None}

    def _spec_file(self, spec: Mapping[str, object]) -> str:
        if self._specs is None:
            self._specs = tempfile.TemporaryDirectory(prefix="flow-mcp-")
        name = "".join(c for c in str(spec.get("name", "")) if c.isalnum())[:40] or "workflow"
        path = Path(self._specs.name) / f"{name}-{secrets.token_hex(3)}.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        return str(path)


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
