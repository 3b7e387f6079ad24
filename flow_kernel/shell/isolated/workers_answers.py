"""What `%workers` answers: a table of workers, one of them, or what was done to one.

Called by `shell.isolated.workers_magics`. Looking at workers starts none.
"""

from collections.abc import Callable
from typing import Final

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.session.isolation.steering import Steering
from flow_kernel.session.isolation.worker_looks import WorkerView, find
from flow_kernel.session.session import Session
from flow_kernel.shell.isolated.background import JobTable, handle_of
from flow_kernel.shell.views.workers_display import RestartCard, StopCard, WorkerCard, WorkerTable

_CANCEL_S: Final = 10.0
"""A cell that ignores its interrupt is killed by then."""


def _views(session: Session) -> list[WorkerView]:
    isolation = session.find_isolation()
    return [] if isolation is None else isolation.steering.views()


def _list(session: Session, word: str) -> WorkerTable:
    if word:
        raise UsageError("list takes no argument", hint=f"try: %workers show {word[:40]}")
    return WorkerTable(_views(session))


def _show(session: Session, word: str) -> WorkerCard:
    return WorkerCard(find(_views(session), _one(word, "show")))


def _stop(session: Session, word: str) -> StopCard:
    return StopCard(_steering(session).stop(_one(word, "stop")))


def _restart(session: Session, word: str) -> RestartCard:
    return RestartCard(_steering(session).restart(_one(word, "restart")))


def _jobs(session: Session, word: str) -> JobTable:
    if word:
        raise UsageError("jobs takes no argument", hint="try: %workers wait JOB")
    isolation = session.find_isolation()
    return JobTable([] if isolation is None else isolation.background.jobs)


def _wait(session: Session, word: str) -> object:
    if not word:
        for job in (jobs := _jobs(session, "")):
            job.wait()
        return JobTable([*jobs])
    handle = handle_of(session, _one_job(word, "wait"))
    handle.result()
    return handle


def _cancel(session: Session, word: str) -> object:
    handle = handle_of(session, _one_job(word, "cancel"))
    handle.cancel()
    handle.wait(_CANCEL_S)
    return handle.card


def _one_job(word: str, verb: str) -> str:
    if not word or " " in word:
        raise UsageError(f"{verb} takes the id of one cell", hint="see %workers jobs")
    return word


def _one(word: str, verb: str) -> str:
    if not word or " " in word:
        raise UsageError(f"{verb} takes the id or the name of one worker", hint="see %workers")
    return word


def _steering(session: Session) -> Steering:
    isolation = session.find_isolation()
    if isolation is None:
        raise NotFound("this session has no workers", hint="an isolated cell starts the first one")
    return isolation.steering


ANSWERS: Final[dict[str, Callable[[Session, str], object]]] = {
    "list": _list,
    "show": _show,
    "stop": _stop,
    "restart": _restart,
    "jobs": _jobs,
    "wait": _wait,
    "cancel": _cancel,
}


def names(session: Session) -> list[str]:
    """What may stand for a worker: ids, then names."""
    views = _views(session)
    ids = [view.line.worker_id for view in views]
    isolation = session.find_isolation()
    jobs = [] if isolation is None else isolation.background.jobs
    ids += [job.job_id for job in jobs if not job.has_ended]
    return [*ids, *(view.line.name for view in views if view.line.name is not None)]
