"""Questions to people: asked in the session, answered by them, looked at by the agent.

Used by `serving` and `reading`. No tool answers one: where the client can ask its person itself
(elicitation), the answer is passed on as theirs, with the client's name and the channel `mcp`.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.shaping import Answer, clean
from flow_kernel.errors import AlreadyDecided, UsageError
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_text import document_of
from flow_kernel.session.open_home import store_of

CHANNEL: Final = "mcp"
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "enum": ["approve", "reject"], "title": "Decision"},
        "comment": {"type": "string", "title": "Comment"},
    },
    "required": ["decision"],
}
"""What a client asks its person."""
_TICK_S: Final = 0.05
_PROGRESS_S: Final = 5.0
Arguments = Mapping[str, Any]


class Questions:
    """The questions of one agent."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    async def ask(self, given: Arguments, caller: Caller) -> dict[str, Any]:
        """The question as the store has it: open, or with an answer that is used by this call.

        Raises:
            UsageError: It cannot be asked.
        """
        link = await self._kernels.link()
        risk = f" [risk: {given['risk']}]" if "risk" in given else ""
        asked = {key: given[key] for key in ("payload", "code") if key in given}
        message = f"{given['message']}{risk}"
        return dict(await link.ask("ask", message=message, by=caller.actor, **asked))

    async def answered(self, given: Arguments, wait_s: float, caller: Caller) -> Answer:
        """The same as an answer for the agent, after `wait_s` seconds at most."""
        row = await self.ask(given, caller)
        if row["status"] == "open" and wait_s:
            return await self.status(row["approval_id"], wait_s, caller)
        return _answer(row, is_ours=True)

    async def takes_answers(self) -> bool:
        """False where only people may answer, and no program for them."""
        link = await self._kernels.link()
        return (await link.ask("status")).get("human_only") is not True

    async def pass_on(self, row: Mapping[str, Any], content: object, caller: Caller) -> None:
        """Hand on what the person before the client has answered; an earlier answer stands.

        Raises:
            UsageError: The client gave no decision.
        """
        said = content if isinstance(content, Mapping) else {}
        decision, comment = said.get("decision"), said.get("comment") or ""
        if decision not in ("approve", "reject"):
            raise UsageError("the client gave no decision; the question is still open")
        link = await self._kernels.link()
        try:
            await link.ask(
                "approve",
                approval_id=row["approval_id"],
                decision=decision,
                by=caller.actor,
                channel=CHANNEL,
                comment=str(comment)[:2000],
            )
        except AlreadyDecided:
            return

    async def status(self, approval_id: str, wait_s: float, caller: Caller) -> Answer:
        """A question by its id, whoever asked it; an answer to this agent is used by telling it."""
        row = await self.wait(approval_id, wait_s, caller)
        link = await self._kernels.link()
        if row["status"] == "open":
            await link.ask("status", actor=caller.actor, tool="run_status")
            return _answer(row, is_ours=False)
        asked = {"approval_id": approval_id, "by": caller.actor}
        told = await link.ask("use", **asked, actor=caller.actor, tool="run_status")
        known = told["approval"]
        return _answer(known if isinstance(known, dict) else row, is_ours=told["used"] is True)

    async def wait(self, approval_id: str, wait_s: float, caller: Caller) -> dict[str, Any]:
        """A question once it is answered, or as it is after `wait_s` seconds."""
        began_s = time.monotonic()
        told_s = began_s
        with closing(store_of(self._kernels.home)) as store:
            desk = ApprovalDesk(store, now=utc_now_ms, redact=str)
            while True:
                row = document_of(await asyncio.to_thread(desk.get, approval_id))
                now_s = time.monotonic()
                if row["status"] != "open" or now_s > began_s + wait_s:
                    return row
                if now_s > told_s + _PROGRESS_S:
                    told_s = now_s
                    await caller.progress(round(now_s - began_s, 1), f"{approval_id} is open")
                await asyncio.sleep(_TICK_S)


def _answer(row: Mapping[str, Any], *, is_ours: bool) -> Answer:
    """What the agent is told; only the call that uses a yes may act on it."""
    status = row["status"]
    is_open, is_spent = status == "open", status == "approved" and row["is_used"] and not is_ours
    return {
        "ok": (status == "approved" and is_ours) or None,
        "approval": row["approval_id"],
        "status": "used" if is_spent else status,
        "message": clean(str(row["message"])),
        "by": row["decided_by"],
        "channel": row["channel"],
        "comment": clean(str(row["comment"] or "")),
        "level": row["level"],
        "bound_sha256": str(row["approval_hash"])[:16],
        "how": f"a person answers: jupyter flow approve {row['approval_id']}" if is_open else None,
    }
