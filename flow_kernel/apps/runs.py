"""`jupyter flow runs list | show R-0001 | diff A B`: what was run, step by step.

Called by `cli`.
"""

import argparse
from typing import Any, Final

from flow_kernel.apps.run_screen import message_of
from flow_kernel.apps.state import add_home, has_store, opened
from flow_kernel.apps.tables import Cell, Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.records.plain import human_ms
from flow_kernel.workflow.comparing import difference
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.shortened import lines_of
from flow_kernel.workflow.states import RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

_STATUS_STYLES: Final = {
    RunStatus.SUCCESS: "green",
    RunStatus.FAILED: "red",
    RunStatus.WAITING: "yellow",
    RunStatus.CANCELLED: "yellow",
}
_STATE_STYLES: Final = {
    StepState.OK: "green",
    StepState.ERROR: "red",
    StepState.TIMEOUT: "red",
    StepState.BLOCKED: "red",
    StepState.WAITING: "yellow",
    StepState.SKIPPED: "dim",
    StepState.PENDING: "dim",
}
_RUNS: Final = (
    Column(title="id"),
    Column(title="workflow", share=2, floor=10),
    Column(title="status"),
    Column(title="steps", align=">"),
    Column(title="started (UTC)"),
    Column(title="", share=3, floor=8),
)
_STEPS: Final = (
    Column(title="step", share=1, floor=8),
    Column(title="state"),
    Column(title="time", align=">"),
    Column(title="in"),
    Column(title="", share=3, floor=12),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `runs`."""
    add = parser.add_argument
    add("action", nargs="?", default="list", choices=("list", "show", "diff"), help="default: list")
    add("run_ids", metavar="RUN", nargs="*", help="show: one, by default the last; diff: two")
    add("--logs", action="store_true", help="show: with what each step wrote to stderr")
    add("--limit", metavar="N", type=int, default=50, help="list: so many, the newest; default 50")
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow runs show R-0001 --logs"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print what was asked for."""
    wanted = {"list": (0, 0), "show": (0, 1), "diff": (2, 2)}[options.action]
    if not wanted[0] <= len(options.run_ids) <= wanted[1]:
        raise UsageError(f"runs {options.action} takes {_counted(wanted)}")
    if options.action == "list" and options.json and not has_store(terminal, options.home):
        _list([], options, terminal)
        return 0
    with opened(terminal, options.home) as flow:
        book = Service(flow).book
        if options.action == "list":
            _list(book.runs(limit=options.limit), options, terminal)
            return 0
        if options.action == "diff":
            before, after = (book.run(each) for each in options.run_ids)
            return _diff(before, after, options, terminal)
        newest = [row.run_id for row in book.rows(limit=1)]
        if not (options.run_ids or newest):
            raise UsageError("nothing was run yet", hint="begin with: jupyter flow run FILE")
        _show(book.run((options.run_ids or newest)[0]), options, terminal)
    return 0


def _list(runs: list[Run], options: argparse.Namespace, terminal: Terminal) -> None:
    if options.json:
        terminal.document({"items": [each.as_dict() for each in runs], "next": None})
    elif not runs:
        terminal.print("no runs")
    else:
        print_table(_RUNS, [_run_row(each) for each in runs], terminal)


def _run_row(found: Run) -> list[Cell]:
    done = sum(step.state in (StepState.OK, StepState.SKIPPED) for step in found.steps)
    return [
        found.run_id,
        plain(found.workflow),
        [Painted(str(found.status), _STATUS_STYLES.get(found.status, ""))],
        f"{done}/{len(found.steps)}",
        (found.started_at or "")[:19].replace("T", " "),
        plain(found.reason),
    ]


def _show(found: Run, options: argparse.Namespace, terminal: Terminal) -> None:
    if options.json:
        said = found.as_dict()
        if options.logs:
            for step, view in zip(said["steps"], found.steps, strict=True):
                step["logs"] = view.logs
        terminal.document(said)
        return
    terminal.print(plain(str(found)))
    terminal.print(f"  task {'/'.join(found.task)}, started {found.started_at or 'not yet'}")
    print_table(_STEPS, [_step_row(step) for step in found.steps], terminal)
    for step in found.steps:
        trace = (step.error or {}).get("traceback") or (step.error or {}).get("stderr")
        text = step.logs if options.logs else trace
        if text:
            terminal.print()
            terminal.print(plain(f"{step.name}:"))
            for line in str(text).splitlines():
                terminal.print(f"  {plain(line)}")
    if found.output_data is not None:
        terminal.print()
        terminal.print("what came out (whole with --json):")
        for line in lines_of(found.output_data):
            terminal.print(f"  {plain(line)}")


def _step_row(step: StepView) -> list[Cell]:
    time = "" if step.elapsed_ms is None else human_ms(step.elapsed_ms)
    told = message_of(dict(step.error)) if step.error else ""
    if step.approval_id and step.state == StepState.WAITING:
        told = f"jupyter flow approve {step.approval_id}"
    if step.reused_from:
        told = f"taken from {step.reused_from}"
    state = str(step.state) if step.attempt < 2 else f"{step.state} (attempt {step.attempt})"
    style = _STATE_STYLES.get(step.state, "")
    return [plain(step.name), [Painted(state, style)], time, step.executor, plain(told)]


def _diff(before: Run, after: Run, options: argparse.Namespace, terminal: Terminal) -> int:
    found = difference(before, after)
    if options.json:
        terminal.document(found)
        return 0
    terminal.print(plain(f"{before.run_id} ({before.status}) and {after.run_id} ({after.status})"))
    lines = [*_step_changes(found["steps"]), *_output_changes(found["output_data"])]
    for line in lines or ["  nothing is different but the times"]:
        terminal.print(plain(line))
    return 0


def _step_changes(changes: list[dict[str, Any]]) -> list[str]:
    lines = []
    for each in changes:
        states = " → ".join(str(each[side] or "not there") for side in ("before", "after"))
        lines.append(f"  step {each['id']}: {states}")
    return lines


def _output_changes(changes: dict[str, list[str]]) -> list[str]:
    words = {"added": "+", "removed": "-", "changed": "~"}
    return [f"  output {words[kind]} {name}" for kind, names in changes.items() for name in names]


def _counted(wanted: tuple[int, int]) -> str:
    return {(0, 0): "no run", (0, 1): "one run at most"}.get(wanted, "two runs")
