"""Runs cells for an agent: started once each, waited for in bounds, answered in few words.

Used by the tools; made by `serving`.
"""

import asyncio
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cell_run import LEFT, CellRun
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.link import KernelLink
from flow_kernel.apps.mcp.shaping import Answer, run_answer
from flow_kernel.apps.mcp.spool import Budget
from flow_kernel.apps.mcp.standing import Standing, standing_of, words
from flow_kernel.errors import FlowError, KernelGone, NotFound, UsageError

WAIT_S: Final = 20.0
_KEPT_RUNS: Final = 200
_FIRST_S: Final = 1.0
_TICK_S: Final = 5.0
_JOIN_S: Final = 0.25
_ID_CHARS: Final = 16
_MOST_ID: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A cell that is to be run.

    Attributes:
        code: Its source.
        isolated: In a worker.
        timeout_s: After which it is interrupted; None for never.
        expect_rev: What the agent knows of the session; None where it does not care.
        key: A repeat with the same one is the same run; empty for a new run.
        label: What it is of.
        finish: Makes the answer of its tool of what came of it; None where that is the answer.
    """

    code: str
    isolated: bool = False
    timeout_s: float | None = None
    expect_rev: int | None = None
    key: str = ""
    label: str = "run_cell"
    finish: Callable[[Answer], Awaitable[Answer]] | None = None


@dataclass(slots=True)
class Started:
    """A run and the kernel that it runs in."""

    run: CellRun
    link: KernelLink
    sha256: str
    finish: Callable[[Answer], Awaitable[Answer]] | None = None
    standing: Standing = field(default_factory=Standing)
    is_timed_out: bool = False


class Cells:
    """The runs of one server."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._budget = Budget()
        self._runs: OrderedDict[str, Started] = OrderedDict()
        self._timers: set[asyncio.Task[None]] = set()

    async def start(self, wanted: Wanted, caller: Caller) -> Started:
        """Send a cell, or find the run that the same key has begun.

        Raises:
            KernelGone: There is no kernel.
            UsageError: The key belongs to other code.
        """
        link = await self._kernels.link()
        sha256 = hashlib.sha256(wanted.code.encode("utf-8", "surrogatepass")).hexdigest()
        run_id = _run_id(link.lease.session, caller.actor, wanted.key)
        known = self._runs.get(run_id)
        if known is not None and not await self._is_back(known, link):
            return _same(known, sha256)
        run = CellRun(run_id, wanted.label, budget=self._budget)
        started = Started(run, link, sha256, finish=wanted.finish)
        self._keep(started)
        try:
            if wanted.key and await self._found(started):
                return _same(started, sha256)
            self._send(started, wanted, caller)
        except BaseException as error:  # a call that was given up, too: nothing was sent
            self._runs.pop(run_id, None)
            why = error.message if isinstance(error, FlowError) else "its call was given up"
            started.run.lose(f"{why}; it was not sent: call again", kind="NotSent")
            started.run.close()
            raise
        return started

    async def wait(
        self, started: Started, wait_s: float, caller: Caller, *, is_patient: bool = True
    ) -> bool:
        """True once the run has ended; False when it still goes on after `wait_s` seconds.

        Args:
            started: The run.
            wait_s: At most.
            caller: Told how it stands.
            is_patient: False to come back as soon as it is known to wait behind another cell.
        """
        run = started.run
        deadline_s = time.monotonic() + wait_s
        tick_s = _JOIN_S if run.is_joined else _FIRST_S
        while not run.has_ended:
            try:
                left_s = max(deadline_s - time.monotonic(), 0)
                await asyncio.wait_for(run.ended.wait(), min(left_s, tick_s))
            except TimeoutError:
                if time.monotonic() >= deadline_s:
                    return run.has_ended
                if run.is_joined:
                    await self._look(started)  # its end may have been told before we listened
                await self.look(started)
                await caller.progress(run.elapsed_s, words(run, started.standing))
                if run.state == "queued" and started.standing.cell and not is_patient:
                    return run.has_ended
                tick_s = tick_s if run.is_joined else _TICK_S
        return True

    async def look(self, started: Started) -> Standing:
        """How a run stands: asked of the kernel where its output does not tell."""
        run = started.run
        if run.has_ended or (run.state == "running" and not run.is_joined):
            started.standing = Standing()
            return started.standing
        with suppress(FlowError):  # dead or deaf, it is waited for all the same
            status = await started.link.ask("status")
            before = list(takewhile(lambda each: each is not started, self._runs.values()))
            calls = sum(not each.run.has_ended and each.link is started.link for each in before)
            started.standing = standing_of(run, status, calls)
            if started.standing.is_begun and run.state == "queued":
                run.state = "running"
        return started.standing

    async def answer(self, started: Started, caller: Caller) -> Answer:
        """What came of a run that has ended."""
        answer = await self._answer(started)
        if started.finish is None or started.run.loss:
            return answer
        return await started.finish(answer)

    async def _answer(self, started: Started) -> Answer:
        run = started.run
        if run.is_repeat:
            return await self._repeated(started)
        record = run.record
        facts = ((run.reply or {}).get("metadata") or {}).get("flow") or {}
        if record is None and not run.loss:
            record = await self._record(started, facts)
        answer = run_answer(run, record)
        if started.is_timed_out and answer["err"]:
            how = " before it began" if run.is_withdrawn else "; it was interrupted"
            answer["err"] = {"type": "CellTimeout", "msg": f"its time was over{how}"}
        if answer["rev"] is None and not run.loss:
            with suppress(KernelGone):
                answer["rev"] = (await started.link.ask("status"))["last_seq"]
        answer["notes"] = self._kernels.notes()
        return answer

    async def find(self, run_id: str, caller: Caller) -> Started:
        """A run by its id: one of ours, or one that the log knows.

        Raises:
            NotFound: There is none.
        """
        known = self._runs.get(run_id)
        if known is not None and known.run.loss_kind != LEFT:
            return known
        link = await self._kernels.link()
        if known is not None and not await self._is_back(known, link):
            return known
        started = Started(CellRun(run_id, "run_cell", budget=self._budget), link, "")
        started.finish = None if known is None else known.finish
        if len(run_id) > _MOST_ID or not await self._found(started):
            raise NotFound(f"no run {run_id[:40]!r} is known", hint="see get_history")
        return started

    def known(self, run_id: str) -> CellRun | None:
        """A run of ours, while it is remembered."""
        started = self._runs.get(run_id)
        return None if started is None else started.run

    def close(self) -> None:
        """Let go of everything; what runs runs on."""
        for timer in self._timers:
            timer.cancel()
        for started in self._runs.values():
            started.run.close()

    # -- inside ------------------------------------------------------------------------------------

    def _send(self, started: Started, wanted: Wanted, caller: Caller) -> None:
        flow: dict[str, object] = {"actor": caller.actor}
        if wanted.isolated:
            flow["isolated"] = True
            if wanted.timeout_s:
                flow["timeout"] = wanted.timeout_s
        elif wanted.timeout_s:
            timer = asyncio.create_task(self._interrupt_after(started, wanted.timeout_s))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
        if wanted.key:
            flow["once"] = started.run.run_id
        if wanted.expect_rev is not None:
            flow["expect_rev"] = wanted.expect_rev
        content = {
            "code": wanted.code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        caller.started(started.run, started.link)
        started.link.send(started.run, content, flow)

    async def _interrupt_after(self, started: Started, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(started.run.ended.wait(), timeout_s)
        except TimeoutError:
            started.is_timed_out = True
            await started.link.cancel(started.run)

    async def _is_back(self, left: Started, link: KernelLink) -> bool:
        """True where its kernel is worked in again, which knows what became of the run."""
        if left.run.loss_kind != LEFT or left.link.lease.session != link.lease.session:
            return False
        told = await link.ask("record", msg_id=left.run.run_id)
        is_back = bool(told["record"] or told["is_running"])
        if is_back:
            left.run.close()
        return is_back

    async def _found(self, started: Started) -> bool:
        """True where the log or the kernel knows the run already; it is joined then."""
        told = await started.link.ask("record", msg_id=started.run.run_id)
        record = told["record"]
        if isinstance(record, dict):
            started.sha256 = str(record.get("code_sha256"))
            started.run.settle(record)
            return True
        if not told["is_running"]:
            return False
        started.run.is_joined = True
        started.run.state = "running"
        started.link.follow(started.run)
        self._keep(started)
        return True

    async def _repeated(self, started: Started) -> Answer:
        """The kernel knows the run, though the log did not when it was asked for."""
        run = started.run
        told = await started.link.ask("record", msg_id=run.run_id)
        record = told["record"]
        if not isinstance(record, dict):
            raise UsageError(
                "this idempotency_key has run before, and its record is further back than is read"
                " (8 MiB); nothing was run",
                hint="look with get_history, or take another key",
            )
        asked, started.sha256 = started.sha256, str(record.get("code_sha256"))
        run.reply, run.record = None, record
        _same(started, asked)
        return {**run_answer(run, record), "notes": self._kernels.notes()}

    async def _look(self, started: Started) -> None:
        record = await self._record(started, {})
        if record is not None and not started.run.has_ended:
            started.run.settle(record)

    async def _record(self, started: Started, facts: dict[str, Any]) -> dict[str, object] | None:
        """The record of a run, where it says more than the reply."""
        seq = facts.get("seq")
        changes = ("added_vars", "changed_vars", "mutated_vars")
        try:
            if isinstance(seq, int):
                if not any(facts.get(key) for key in changes):
                    return None
                told = await started.link.ask("history", since_seq=seq - 1, kinds=["cell"], limit=2)
                items = told["items"]
                return items[0] if isinstance(items, list) and items else None
            if not started.run.is_joined:
                return None
            told = await started.link.ask("record", msg_id=started.run.run_id)
        except KernelGone:
            return None
        record = told["record"]
        return record if isinstance(record, dict) else None

    def _keep(self, started: Started) -> None:
        self._runs[started.run.run_id] = started
        while len(self._runs) > _KEPT_RUNS:
            oldest = next((key for key, one in self._runs.items() if one.run.has_ended), None)
            if oldest is None:
                return
            self._runs.pop(oldest).run.close()


def _run_id(session: str, actor: str, key: str) -> str:
    if not key:
        return uuid.uuid4().hex[:_ID_CHARS]
    told = f"{session}\0{actor}\0{key}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(told).hexdigest()[:_ID_CHARS]


def _same(known: Started, sha256: str) -> Started:
    if known.sha256 not in ("", sha256):
        raise UsageError("this idempotency_key was used with other code", hint="take another key")
    return known
