"""Steps that ask a person: the question is put, and its answer found.

Called by `runner`. A question names its run, so an answer is good for one step of one run alone; it
may be given anywhere (`jupyter flow approve`, a notebook), whether a runner lives or not.

    answer                         the step
    approved                       ok, its output says who, when and how
    rejected, expired, cancelled   error
    skipped                        skipped; what needs it runs
    none yet                       waiting
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from flow_kernel.session import approval_terms as terms
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.approval_tasks import put_approval
from flow_kernel.store.contract import ApprovalRow, Store, Writing
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.spec_step import LONGEST_S
from flow_kernel.workflow.states import StepState

_LOOK_S: Final = 0.5
_STATES: Final = {
    "open": StepState.WAITING,
    "approved": StepState.OK,
    "skipped": StepState.SKIPPED,
    "expired": StepState.TIMEOUT,
}


class Asking:
    """The questions of one run.

    Args:
        store: Of the home.
        now: UTC with milliseconds.
        by: Who asks.
        session: 32 hex, of the process.
        redact: Takes secrets out of what is shown.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], str],
        by: str,
        session: str,
        redact: Callable[[str], str],
    ) -> None:
        self._store = store
        self._now = now
        self._by = by
        self._session = session
        self._redact = redact
        self._version = -1
        self._looked_s = -math.inf

    def ask(self, run: RunRow, step: Step, inputs: Mapping[str, bytes]) -> ApprovalRow:
        """The question of a step: put now, or found where it was put before, with its answer.

        Raises:
            UsageError: There is no message, or one that is too long.
        """
        message = terms.checked_message(step.code or step.name)
        said = {name: orjson.loads(raw) for name, raw in inputs.items()}
        payload = {"run": run.run_id, "step": step.id, **({"inputs": said} if said else {})}
        question = rules.Question(
            plan_id=run.plan_id,
            task_id=run.task_id,
            step=step.name,
            message=self._redact(message),
            code_sha256=run.sha256,
            payload_sha256=terms.payload_hash(payload),
            approval_hash=terms.approval_hash(
                code_sha256=run.sha256, message=message, payload=payload, ordinal=1
            ),
            # A person may take as long as they need, unless something else is said.
            timeout_s=None if step.timeout_s >= LONGEST_S else step.timeout_s,
            on_timeout="reject",
            requested_by=self._by,
            session=self._session,
            payload=terms.shown_payload(payload, self._redact),
        )
        with self._store.write(is_durable=True) as change:
            at = self._now()
            known = change.unused_approvals(question.approval_hash)
            resumed = rules.resume([*known], question, at=at)
            row = resumed.found or rules.asked(question, change.new_approval_id(), at=at)
            for changed in (*resumed.changed, *(() if resumed.found else (row,))):
                put_approval(change, changed, at=at)
        return row

    def answer(self, approval_id: str) -> ApprovalRow | None:
        """The question, if it has an answer by now or its time is over; None while it waits."""
        with self._store.read() as view:
            row = view.approval(approval_id)
        at = self._now()
        if row is not None and rules.is_overdue(row, at=at):
            return rules.expire(row, at=row.expires_at or at)
        return None if row is None or row.status == "open" else row

    def look_again(self) -> None:
        """There may be answers now, whatever was seen before."""
        self._looked_s = -math.inf

    def may_have_answers(self) -> bool:
        """False where no other process has changed the store since a moment ago; 8 us.

        Time alone changes answers as well, and so does this process.
        """
        before, self._version = self._version, self._store.version()
        now_s = time.monotonic()
        if before == self._version and now_s - self._looked_s < _LOOK_S:
            return False
        self._looked_s = now_s
        return True


def used(change: Writing, row: ApprovalRow, *, at: str) -> None:
    """Somebody acts on an answer: it serves nobody again."""
    known = change.approval(row.approval_id)
    if known is not None and not known.is_used and row.status != "cancelled":
        put_approval(change, rules.use(row), at=at)


def state_of(row: ApprovalRow) -> StepState:
    """What an answer makes of its step."""
    return _STATES.get(row.status, StepState.ERROR)


def output_of(row: ApprovalRow) -> dict[str, Any]:
    """The output of a step that asks."""
    return {
        "approved": row.status == "approved",
        "status": row.status,
        "approval_id": row.approval_id,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        "channel": row.channel,
        "comment": row.comment,
    }


def refusal_of(row: ApprovalRow) -> dict[str, Any]:
    """The error of a step whose answer is not yes."""
    by = f" by {row.decided_by}" if row.decided_by else ""
    comment = f": {row.comment}" if row.comment else ""
    return {
        "type": "ApprovalRejected",
        "message": f"{row.approval_id} was {row.status}{by}{comment}",
        "approval_id": row.approval_id,
    }
