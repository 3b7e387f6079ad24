"""`jupyter flow run FILE` and `jupyter flow resume`: workflows from a terminal, live.

Called by `cli`. What follows is read from the state of a run alone, so a run that was killed, or
that waits for an answer, goes on in any later process.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flow_kernel.apps.run_screen import Screen, screen_for
from flow_kernel.apps.state import add_home, has_store, opened
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import FlowError, IllegalTransition, UsageError
from flow_kernel.records.plain import counted
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.shortened import lines_of
from flow_kernel.workflow.states import RunStatus
from flow_kernel.workflow.views import Run

_CODES: Final = {
    RunStatus.SUCCESS: 0,
    RunStatus.FAILED: 1,
    RunStatus.WAITING: 3,
    RunStatus.CANCELLED: 130,
}
_LINES: Final = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `run` and `resume`."""
    add = parser.add_argument
    if parser.get_default("verb") == "resume":
        add("run_ids", metavar="RUN", nargs="*", help="R-0001; default: all that can go on")
        add("--failed", action="store_true", help="run the steps again that failed")
        parser.epilog = "example: jupyter flow resume R-0001 --failed"
    else:
        _configure_run(parser)
    add("--wait", action="store_true", help="wait for answers in place of parking the run")
    add("--json", action="store_true", help="one document for programs; nothing else on stdout")
    add("--quiet", action="store_true", help="the outcome only")
    add_home(parser)


def _configure_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("workflow", metavar="FILE", help="JSON or TOML, a stored one's name, or a task: its steps")
    add("--var", metavar="K=V", action="append", default=[], help="a variable; JSON, else text")
    add("--vars", metavar="FILE", type=Path, help="variables from a file of JSON")
    add(
        "--on", metavar="EXECUTOR", default="", help="fork, subprocess, kernel, inline, dask[=ADDR]"
    )
    add("--workers", metavar="N", type=int, default=0, help="steps at once; default: processors")
    add("--task", metavar="ID", default="", help="the task that the run belongs to")
    add(
        "--from",
        metavar="STEP",
        dest="start_at",
        default="",
        help="this step (A,B) and what needs it",
    )
    add("--only", metavar="STEP", default="", help="these steps alone (A,B)")
    add("--of-run", metavar="RUN", default="", help="take results from that run, not the last one")
    add("--no-cache", action="store_true", help="run steps that could take a kept result")
    add("--keep-files", metavar="DIR", type=Path, help="keep the files of the steps there")
    add("--durable", action="store_true", help="each step survives a power loss, not kills alone")
    add("--store", action="store_true", help="keep the workflow under its name")
    add("--check", action="store_true", help="only say what is wrong with it")
    parser.epilog = "example: jupyter flow run etl.toml --var day=2026-01-31"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Go through a run, or through those that can go on."""
    if options.verb == "resume":
        return _resume(options, terminal)
    from flow_kernel.workflow import asked

    with opened(terminal, options.home, may_create=True) as flow:
        service = Service(flow)
        workflow = asked.find_workflow(options.workflow, flow, service, terminal.cwd)
        file = None if options.vars is None else terminal.cwd / options.vars
        variables = asked.variables_of(options.var, file)
        if options.check:
            return _checked(workflow, options, terminal)
        if options.store:
            service.book.store_workflow(workflow)
        row = service.begin(
            workflow,
            variables,
            options=_run_options(options, terminal),
            selection=asked.selection_of(options.start_at, options.only, options.of_run),
            task_id=options.task,
        )
        screen = _screen(options, terminal)
        with screen:
            found = service.run(row, screen.tell, is_interruptible=True)
    return _told(found, options, terminal)


def _resume(options: argparse.Namespace, terminal: Terminal) -> int:
    if options.json and not (options.run_ids or has_store(terminal, options.home)):
        return _none_goes_on(options, terminal)
    with opened(terminal, options.home) as flow:
        service = Service(flow)
        run_ids = options.run_ids or [row.run_id for row in service.book.unfinished()]
        if not run_ids:
            return _none_goes_on(options, terminal)
        found, codes = _all_gone_on(service, run_ids, options, terminal)
    if options.json and len(found) != 1:
        terminal.document({"items": [run.as_dict() for run in found], "next": None})
    else:
        for run in found:
            _told(run, options, terminal)
    return max((*codes, *(_CODES.get(run.status, 1) for run in found)), default=0)


def _none_goes_on(options: argparse.Namespace, terminal: Terminal) -> int:
    if options.json:
        terminal.document({"items": [], "next": None})
    else:
        terminal.print("no run can go on")
    return 0


def _all_gone_on(
    service: Service, run_ids: Sequence[str], options: argparse.Namespace, terminal: Terminal
) -> tuple[list[Run], list[int]]:
    """The runs that went on, and the exit codes of those that could not: one keeps no other."""
    found: list[Run] = []
    codes: list[int] = []
    for run_id in run_ids:
        try:
            run = _gone_on(service, run_id, options, terminal)
        except FlowError as error:
            if len(run_ids) == 1:
                raise
            terminal.remark(f"{plain(run_id)}: {plain(str(error))}")
            codes.append(error.exit_code)
            continue
        if run is not None:
            found.append(run)
            if run.status == RunStatus.CANCELLED:  # nothing more is wanted
                break
    return found, codes


def _gone_on(
    service: Service, run_id: str, options: argparse.Namespace, terminal: Terminal
) -> Run | None:
    """The run, as far as it got; None where somebody was faster and nobody asked for this one."""
    try:
        row = service.book.claim(run_id, again=options.failed, waits=options.wait)
    except IllegalTransition:
        if options.run_ids:
            raise
        return None
    screen = _screen(options, terminal)
    with screen:
        return service.run(row, screen.tell, is_interruptible=True)


# -- what was asked for ----------------------------------------------------------------------------


def _run_options(options: argparse.Namespace, terminal: Terminal) -> RunOptions:
    if options.workers < 0:
        raise UsageError("--workers is a number of steps")
    keep_in = ""
    if options.keep_files is not None:
        keep_in = str(terminal.cwd / options.keep_files)
    return RunOptions(
        executor=options.on,
        workers=options.workers,
        is_durable=options.durable,
        uses_cache=not options.no_cache,
        keep_in=keep_in,
        waits=options.wait,
    )


# -- what is answered ------------------------------------------------------------------------------


def _screen(options: argparse.Namespace, terminal: Terminal) -> Screen:
    return screen_for(terminal, is_quiet=options.quiet or options.json)


def _checked(workflow: Workflow, options: argparse.Namespace, terminal: Terminal) -> int:
    if options.json:
        terminal.document({"ok": True, "workflow": workflow.name, "steps": len(workflow.steps)})
    else:
        terminal.print(
            plain(f"{workflow.name}: {counted(len(workflow.steps), 'step')}, nothing is wrong")
        )
    return 0


def _told(found: Run, options: argparse.Namespace, terminal: Terminal) -> int:
    if options.json:
        terminal.document(found.as_dict())
    else:
        terminal.print(plain(str(found)))
        if found.status == RunStatus.SUCCESS and found.output_data:
            lines = lines_of(found.output_data)
            for line in lines[:_LINES]:
                terminal.print(f"  {plain(line)}")
            if len(lines) > _LINES:
                terminal.print(f"  and {len(lines) - _LINES} more: jupyter flow runs show")
        for hint in _hints(found):
            terminal.print(f"  {plain(hint)}")
    return _CODES.get(found.status, 1)


def _hints(found: Run) -> list[str]:
    if found.status == RunStatus.WAITING:
        asked = [step.approval_id for step in found.steps if step.state == "waiting"]
        return [f"answer: jupyter flow approve {each}" for each in asked] + [
            f"then: jupyter flow resume {found.run_id}"
        ]
    if found.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        return [
            f"what happened: jupyter flow runs show {found.run_id}",
            f"run what is left again: jupyter flow resume {found.run_id} --failed",
        ]
    return []
