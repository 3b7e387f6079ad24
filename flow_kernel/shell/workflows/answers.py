"""What `%workflow` answers: a run, or a table of runs; and what a run that ends badly raises.

Called by `shell.workflows.magics`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flow_kernel.errors import ApprovalPending, NotFound, StepFailed, UsageError
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.session.approval_text import need_of
from flow_kernel.session.session import Session
from flow_kernel.shell.workflows.display import RunTable, ShownRun, cell_now, shown
from flow_kernel.shell.workflows.live import Live
from flow_kernel.shell.workflows.options import (
    OPTIONS,
    VERBS,
    read,
    run_options_of,
)
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow import asked, registry
from flow_kernel.workflow.book import checked_id
from flow_kernel.workflow.model import OnError, Workflow
from flow_kernel.workflow.picture_sight import error_text, ways_on
from flow_kernel.workflow.picture_stored import stored_sight
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.states import FAILED, RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

_SUGGESTED: Final = 30


def answer(session: Session, line: str) -> object:
    """What was asked for.

    Raises:
        StepFailed: A step of the run has failed.
        ApprovalPending: The run waits for an answer.
        KeyboardInterrupt: It was stopped.
        FlowError: It cannot be done.
    """
    options = read(line)
    return _ANSWERS[options.verb](session, options)


def _run(session: Session, options: argparse.Namespace) -> ShownRun:
    service = _service(session)
    workflow = asked.find_workflow(options.workflow, session.tasks.flow, service, Path.cwd())
    file = Path(options.vars).expanduser().absolute() if options.vars else None
    variables = asked.variables_of(options.var, file)
    if options.store:
        service.book.store_workflow(workflow)
    row = service.begin(
        workflow,
        variables,
        options=run_options_of(options),
        selection=asked.selection_of(options.start_at, options.only, options.of_run),
        task_id=options.task or _task_of(session),
    )
    return _go(session, service, row, workflow)


def _resume(session: Session, options: argparse.Namespace) -> ShownRun:
    service = _service(session)
    run_id = checked_id(options.run) if options.run else _last_unfinished(service)
    row = service.book.claim(run_id, again=options.failed, waits=options.wait)
    return _go(session, service, row, service.book.workflow_of(run_id))


def _list(session: Session, options: argparse.Namespace) -> RunTable:
    if options.limit < 1:
        raise UsageError("--limit takes a number from 1 on")
    return RunTable(_service(session).book.rows(limit=options.limit))


def _show(session: Session, options: argparse.Namespace) -> ShownRun:
    run_id = checked_id(options.run) if options.run else ""
    if not run_id:
        newest = _service(session).book.rows(limit=1)
        if not newest:
            raise NotFound("nothing was run yet", hint="begin with: %workflow run FILE")
        run_id = newest[0].run_id
    return shown(stored_sight(session.tasks.flow, run_id))


_ANSWERS: Final[dict[str, Callable[[Session, argparse.Namespace], object]]] = {
    "run": _run,
    "list": _list,
    "show": _show,
    "resume": _resume,
}


def _service(session: Session) -> Service:
    flow = session.tasks.flow
    return Service(flow, session=session.identity.session, by=session.recorder.actor())


def _task_of(session: Session) -> str:
    """The open task; nothing outside any."""
    place = session.where.now
    return "" if place.task_id == ADHOC_TASK else f"{place.plan_id}/{place.task_id}"


def _last_unfinished(service: Service) -> str:
    unfinished = service.book.unfinished()
    if not unfinished:
        raise NotFound(
            "no run can go on", hint="run again what has failed: %workflow resume RUN --failed"
        )
    return unfinished[-1].run_id


# -- going through a run ---------------------------------------------------------------------------


def _go(session: Session, service: Service, row: RunRow, workflow: Workflow) -> ShownRun:
    def ask(approval_id: str) -> None:
        with session.tasks.flow.store.read() as view:
            question = view.approval(approval_id)
        if question is not None:
            session.announcer.emit("need_approval", **need_of(question))

    live = Live(service, row, workflow, emit=session.announcer.emit, ask=ask)
    outcome = live.go()
    sight = stored_sight(session.tasks.flow, row.run_id)
    live.end(sight)
    found = shown(sight, shown_in=cell_now())
    if outcome.was_interrupted:
        raise _stopped(found)
    _raise_for(found)
    return found


def _raise_for(run: ShownRun) -> None:
    """What does not end well ends its cell."""
    if run.status == RunStatus.WAITING:
        asked = [step for step in run.steps if step.state == StepState.WAITING and step.approval_id]
        approval_id = asked[0].approval_id if asked else None
        raise ApprovalPending(
            f"{run.run_id} waits for an answer to {approval_id}",
            approval_id=approval_id or "",
            hint="; ".join(ways_on(run)),
        )
    if run.status == RunStatus.FAILED:
        failed = [step for step in run.steps if step.state in FAILED]
        step = next((each for each in failed if not _is_handled(run, each)), failed[0])
        raise StepFailed(
            _failure(run, step, len(failed)),
            run_id=run.run_id,
            step_id=step.id,
            state=str(step.state),
            hint="; ".join(ways_on(run)),
        )


def _is_handled(run: ShownRun, failed: StepView) -> bool:
    """True where the run goes on in spite of it."""
    step = next((each for each in run.seen.steps if each.id == failed.id), None)
    if step is None:  # the definition is lost
        return False
    if step.on_error == OnError.GOTO:
        return run.step(step.handler).state == StepState.OK
    return step.on_error == OnError.CONTINUE


def _failure(run: Run, step: StepView, count: int) -> str:
    more = f", and {count - 1} more" if count > 1 else ""
    return f"{step.name} of {run.run_id} failed ({error_text(step, 160) or step.state}){more}"


def _stopped(run: Run) -> KeyboardInterrupt:
    # It may have been over by then, or wait.
    became = "was stopped" if run.status == RunStatus.CANCELLED else f"is {run.status}"
    said = "; ".join([f"{run.run_id} {became}", *ways_on(run)])
    error = KeyboardInterrupt(said)
    # IPython's protocol: what was running when it came is no code of the user.
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {said}"]  # type: ignore[attr-defined]  # see above
    return error


# -- completion ------------------------------------------------------------------------------------


def completions(session: Callable[[], Session], line: str) -> list[str]:
    """What may follow on a line.

    Args:
        session: Gives the session, where it is needed.
        line: The whole of it, as far as it is written.
    """
    words = line.split()
    if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
        return list(VERBS)
    verb, last = words[1], "" if line.endswith(" ") else words[-1]
    before = words[-1] if line.endswith(" ") else words[-2]
    if before == "--on":
        return registry.names()
    if last.startswith("-"):
        return list(OPTIONS.get(verb, ()))
    if verb == "run":
        given = [word for word in words[2:] if not word.startswith("-")]
        is_file = not given or (len(given) == 1 and last == given[0])
        files = [str(path) for end in asked.SUFFIXES for path in sorted(Path().glob(f"*{end}"))]
        return files if is_file else list(OPTIONS[verb])
    if verb in ("show", "resume"):
        rows = _service(session()).book.rows(limit=_SUGGESTED)
        return [*(row.run_id for row in rows), *OPTIONS[verb]]
    return list(OPTIONS.get(verb, ()))
