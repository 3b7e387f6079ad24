"""The tools that look: history, variables, runs, kernels.

Called by `serving`, each with its checked arguments. They are answered on the control channel, also
while a cell runs; the log has one record of a burst of them, with the agent's name.
"""

import asyncio
import re
import uuid
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.apps.mcp.cells import Cells
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.link import KernelLink
from flow_kernel.apps.mcp.questions import Questions
from flow_kernel.apps.mcp.shaping import Answer, clean, diff_of, fits, head_of, running_answer
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.lease import living
from flow_kernel.records.plain import one_line

_LOOK_CHARS: Final = 1500
_LOOK_S: Final = 5.0
_HISTORY: Final = 20
_CODE_CHARS: Final = 120
_TEXT_CHARS: Final = 120
_APPROVAL: Final = re.compile(r"A-[0-9]{4,9}\Z")
_LEFT_OUT: Final = frozenset({
    "v", "kind", "session", "seq", "plan_id", "task_id", "timestamp", "prev", "crc", "trace_id",
    "span_id", "parent_span_id", "actor", "author", "redacted", "id", "code_sha256", "cell_id",
    "msg_id", "payload_sha256", "approval_hash",
})  # fmt: skip
Arguments = Mapping[str, Any]


class Reading:
    """The tools of one server that look.

    Args:
        kernels: Where.
        cells: What runs there.
        questions: What people were asked.
    """

    def __init__(self, kernels: Kernels, cells: Cells, questions: Questions) -> None:
        self._kernels = kernels
        self._cells = cells
        self._questions = questions

    async def run_status(self, given: Arguments, caller: Caller) -> Answer:
        """A run, a question, or the session itself."""
        word = given.get("run", "")
        if _APPROVAL.match(word):
            return await self._questions.status(word, given.get("wait_s", 0.0), caller)
        if not word:
            return await self._session(caller)
        started = await self._cells.find(word, caller)
        if given.get("cancel") and not started.run.has_ended:
            await started.link.cancel(started.run)
        await self._note(started.link, caller, "run_status")
        if await self._cells.wait(started, given.get("wait_s", 0.0), caller):
            return await self._cells.answer(started, caller)
        standing = await self._cells.look(started)
        if started.run.has_ended:  # while it was looked at
            return await self._cells.answer(started, caller)
        return running_answer(started.run, given.get("since"), standing)

    async def get_history(self, given: Arguments, caller: Caller) -> Answer:
        """The newest records."""
        link = await self._kernels.link()
        asked = {key: given[key] for key in ("since_seq", "before_seq", "kinds") if key in given}
        told = await link.ask(
            "history",
            **asked,
            limit=given.get("limit", _HISTORY),
            actor=caller.actor,
            tool="get_history",
        )
        records = told["items"] if isinstance(told["items"], list) else []
        items = [_told(record) for record in records if record.get("kind") != "cell_started"]
        answer: Answer = {"items": items, "older": told["next"], "rev": told["last_seq"]}
        while len(items) > 1 and not fits(answer):
            answer["older"] = items[1]["seq"]
            del items[0]
        return answer

    async def get_variable(self, given: Arguments, caller: Caller) -> Answer:
        """One variable, or all of them in a line each."""
        link = await self._kernels.link()
        name, view = given.get("name", ""), given.get("view", "repr")
        noted = {"actor": caller.actor, "tool": "get_variable"}
        if not name:
            told = await link.ask("variables", limit=60, **noted)
            heads = told["items"] if isinstance(told["items"], list) else []
            return {"variables": [head_of(str(head["name"]), head) for head in heads]}
        if not name.isidentifier() or iskeyword(name):
            raise UsageError(f"{name[:40]!r} is no name of a variable", hint="run code instead")
        told = await link.ask("variables", names=[name], **noted)
        status = await link.ask("status")
        heads = told["items"] if isinstance(told["items"], list) else []
        if not status["busy"] and (text := await _value(link, name, view)) is not None:
            return {"name": name, "view": view, "value": text, "rev": status["last_seq"]}
        if not heads:
            raise NotFound(
                f"the log knows no variable {name[:40]!r}", hint="a cell runs; ask later"
            )
        said = head_of(name, heads[0])
        return {"name": name, "value": said, "from": f"record {heads[0]['seq']}, a cell runs now"}

    async def kernel(self, given: Arguments, caller: Caller) -> Answer:
        """Which sessions run on this home, and which one is worked in."""
        if given["action"] == "attach":
            link = await self._kernels.attach(given.get("name", ""))
        else:
            link = await self._kernels.link()
        await self._note(link, caller, "kernel")
        leases = await asyncio.to_thread(living, self._kernels.home.run_dir)
        mine = link.lease.session
        items = [
            {
                "session": lease.session[:8],
                "pid": lease.process.pid,
                "notebook": one_line(Path(lease.notebook).name, 80),
                "task": lease.task_id,
                "here": lease.session == mine or None,
            }
            for lease in leases
        ]
        return {"session": mine[:8], "items": items, "notes": self._kernels.notes()}

    # -- inside ------------------------------------------------------------------------------------

    async def _session(self, caller: Caller) -> Answer:
        link = await self._kernels.link()
        status = await link.ask("status", actor=caller.actor, tool="run_status")
        questions = status["approvals"] if isinstance(status["approvals"], list) else []
        workers = status["workers"] if isinstance(status["workers"], list) else []
        return {
            "session": str(status["session"])[:8],
            "pid": status["pid"],
            "busy": status["busy"],
            "cell": status["cell"],
            "task": status["task_id"],
            "step": status["step"],
            "open_approvals": [
                one_line(f"{row['approval_id']} {row['message']}", _TEXT_CHARS) for row in questions
            ],
            "workers": [f"{each['worker_id']} {each['state']}" for each in workers],
            "recording": status["recording"],
            "rev": status["last_seq"],
            "notes": self._kernels.notes(),
        }

    async def _note(self, link: KernelLink, caller: Caller, tool: str) -> None:
        if not link.death and not link.is_closed:
            await link.ask("status", actor=caller.actor, tool=tool)


async def _value(link: KernelLink, name: str, view: str) -> str | None:
    """What the variable says of itself; None where the kernel is busy after all."""
    call = "__import__('flow_kernel.session.looks', fromlist=['look']).look"
    run = CellRun(uuid.uuid4().hex, "get_variable")
    content = {
        "code": "",
        "silent": False,
        "store_history": False,
        "user_expressions": {"told": f"{call}({name}, {view!r}, {_LOOK_CHARS})"},
        "allow_stdin": False,
        "stop_on_error": False,
    }
    link.send(run, content, {})
    try:
        await asyncio.wait_for(run.ended.wait(), _LOOK_S)
    except TimeoutError:
        return None
    told = ((run.reply or {}).get("content") or {}).get("user_expressions", {}).get("told", {})
    if told.get("status") == "ok":
        return clean(str(told.get("data", {}).get("text/plain", "")))
    if told.get("ename") == "NameError":
        raise NotFound(f"there is no variable {name[:40]!r}")
    raise UsageError(f"{name} cannot be shown: {told.get('ename')}: {told.get('evalue')}"[:300])


def _told(record: Mapping[str, Any]) -> Answer:
    """A record in a few words."""
    item: Answer = {
        "seq": record.get("seq"),
        "kind": record.get("kind"),
        "by": record.get("actor") or record.get("author") or record.get("requested_by"),
        "t": str(record.get("timestamp", ""))[11:19],
    }
    if record.get("kind") == "cell":
        error = record.get("error")
        item |= {
            "code": one_line(str(record.get("code", "")), _CODE_CHARS),
            "ms": record.get("elapsed_ms"),
            "err": one_line(f"{error.get('ename')}: {error.get('evalue')}", _TEXT_CHARS)
            if isinstance(error, Mapping)
            else None,
            "diff": diff_of(record, None),
        }
    else:
        item |= {
            key: one_line(str(value), _TEXT_CHARS)
            for key, value in record.items()
            if key not in _LEFT_OUT and value not in (None, "", [], {})
        }
    return {key: value for key, value in item.items() if value not in (None, "", {})}
