"""Checkpoints of the variables of a worker: what the session does for them.

Called by `shell.isolated.calls` while a cell of the worker runs, and by `errands` when none does.
The worker freezes, writes and restores; the session says where in the log that is, notes it there,
and tells agents. Both go as JSON:

    place  {"home", "session", "seq", "plan_id", "task_id", "trace_id", "step", "budget_bytes"}
    news   {"notes": [[kind, fields], …], "events": [[name, fields], …], "says": [text, …]}
"""

from collections.abc import Mapping
from concurrent.futures import Future, wait
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import StoreError, UsageError
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.checkpoints.errands import Wish
from flow_kernel.session.isolation.service import DEFAULT_WORKER
from flow_kernel.workers.job import KEEP

if TYPE_CHECKING:
    from flow_kernel.session.session import Session
    from flow_kernel.workers.worker import Worker

_SLICE_S: Final = 0.1
_AGAIN_S: Final = 2.0
_MOST_INTERRUPTS: Final = 4
_SILENT_S: Final = 60.0
_TOLD: Final = ("checkpoint", "rollback")
"""Kinds of records, and names of events."""


def place_of(session: "Session") -> dict[str, object]:
    """Where a checkpoint of now stands.

    Raises:
        UsageError: The worker cannot reach the home.
    """
    if session.isolation.pool.is_elsewhere:
        raise UsageError(
            "every cell runs on another machine, which cannot reach the checkpoints of this"
            " project; nothing was done",
            hint="%checkpoint and %rollback work where the workers are on this machine",
        )
    now = session.where.now
    return {
        "home": str(session.home.root.absolute()),
        "session": session.identity.session,
        "seq": session.journal.last_seq,
        "plan_id": now.plan_id,
        "task_id": now.task_id,
        "trace_id": now.trace_id,
        "step": now.step,
        "budget_bytes": session.settings.checkpoints.budget_bytes,
    }


def take_in(session: "Session", news: Mapping[str, Any]) -> None:
    """Note what a worker has done, and tell it.

    Raises:
        StoreError: It could not be noted.
        UsageError: That is no news of a checkpoint.
    """
    for text in news.get("says", ()):
        session.notices.say(str(text))
    for kind, fields in news.get("notes", ()):
        if kind not in _TOLD:
            raise UsageError(f"a worker notes no {str(kind)[:40]!r}")
        session.note_checkpoint(kind, fields)
    announcer = session.announcer
    emit = announcer.emit if session.recorder.is_in_cell() else announcer.keep
    for name, fields in news.get("events", ()):
        if name in _TOLD:
            emit(name, **fields)


def send(session: "Session", wish: Wish) -> bool:
    """Have the worker take a checkpoint now, and wait for it.

    Returns:
        False where there is no worker, and so no variable.

    Raises:
        StoreError: It was not taken, or could not be noted.
        KeyboardInterrupt: It was given up, and the worker is free again.
    """
    isolation = session.find_isolation()
    if isolation is None or isolation.pool.is_elsewhere or not isolation.pool.has(DEFAULT_WORKER):
        return False
    worker = isolation.pool.find(DEFAULT_WORKER)
    if not worker.is_ready:
        raise StoreError("the worker that holds the variables is busy")
    asked = worker.ask(KEEP, {"place": place_of(session), "wish": list(wish)})
    with NotedInterrupts() as held:  # what the worker has done by then is to be noted
        reply = _reply(asked, worker, held)
        take_in(session, reply)
    held.pass_on()
    if reply.get("status") != "ok":
        raise StoreError(str(reply.get("evalue") or "the worker said nothing"))
    return True


def _reply(
    asked: "Future[dict[str, Any]]", worker: "Worker", held: NotedInterrupts
) -> dict[str, Any]:
    """What the worker says; an interrupt is the worker's, which gives it up and says so.

    One that comes before it has begun goes past it: it gets some more, and then is left alone.

    Raises:
        StoreError: It has died, or stands still: its heart is silent.
    """
    interrupts, next_s = 0, 0.0
    beats, heard_s = worker.heart.beats, monotonic()
    while True:
        if wait([asked], timeout=_SLICE_S).done:
            return asked.result()
        if worker.died is not None:
            raise StoreError("the worker that holds the variables has died")
        worker.heart.ask()
        if worker.heart.beats != beats:
            beats, heard_s = worker.heart.beats, monotonic()
        if monotonic() - heard_s > _SILENT_S:
            raise StoreError("the worker that holds the variables does not answer")
        if held.was_interrupted and monotonic() > next_s:
            if interrupts == _MOST_INTERRUPTS:
                return {"status": "error", "evalue": "it was interrupted"}
            interrupts, next_s = interrupts + 1, monotonic() + _AGAIN_S
            worker.interrupt(None)
