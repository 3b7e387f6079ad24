"""`jupyter flow approvals | approve ID | reject ID`: the questions of a home, and their answers.

Called by `cli`.
"""

import argparse
import os
import shlex
from typing import Final

from flow_kernel.apps.state import add_home, has_store, opened
from flow_kernel.apps.tables import Cell, Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.redaction import Redactor
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_text import (
    MARKS,
    detail_of,
    document_of,
    level_of,
    outcome_of,
    title_of,
)
from flow_kernel.session.approvals_rules import STATUSES
from flow_kernel.session.flow import Flow
from flow_kernel.session.person import user_name
from flow_kernel.session.reminders import RemindCommand, Reminders
from flow_kernel.store.contract import ApprovalRow
from flow_kernel.workflow.going_on import go_on_beside, parked_on

_STYLES: Final = {"open": "yellow", "approved": "green", "rejected": "red", "expired": "red"}
_COLUMNS: Final = (
    Column(title="id"),
    Column(title=""),
    Column(title="question", share=3, floor=12),
    Column(title="task"),
    Column(title="asked (UTC)"),
    Column(title="answer", share=2, floor=12),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `approvals`, `approve` and `reject`."""
    add = parser.add_argument
    verb = parser.get_default("verb")
    if verb == "approvals":
        add("approval_id", metavar="ID", nargs="?", help="show this one with what it is bound to")
        add("--status", metavar="S", choices=STATUSES, help=f"only these: {', '.join(STATUSES)}")
        add("--remind", action="store_true", help="give the reminders that are due, and list them")
        add("--command", metavar="CMD", help="with --remind: a program to run for each of them")
        parser.epilog = "example: jupyter flow approvals A-0001"
    else:
        add("approval_id", metavar="ID", help="A-0001")
        add("--comment", metavar="TEXT", default="", help="why; kept with the answer")
        add("--as", metavar="NAME", dest="name", help="who answers; default: who is logged in")
        parser.epilog = f'example: jupyter flow {verb} A-0001 --comment "as agreed"'
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the questions, or answer one."""
    run_id: str | None = None
    if options.verb == "approvals":
        _check(options)
    is_list = options.verb == "approvals" and options.approval_id is None
    if is_list and options.json and not has_store(terminal, options.home):
        _list([], terminal, as_json=True)
        return 0
    with opened(terminal, options.home) as flow:
        redactor = Redactor(os.environ)
        desk = ApprovalDesk(flow.store, now=utc_now_ms, redact=lambda text: redactor.text(text)[0])
        if options.verb == "approvals":
            rows = _asked_for(options, desk, flow)
        else:
            name = user_name() if options.name is None else options.name
            rows = [
                desk.decide(
                    options.approval_id,
                    options.verb,
                    by=name,
                    channel="cli",
                    comment=options.comment,
                )
            ]
            run_id = _go_on(flow, rows[0].approval_id)
    if is_list:
        _list(rows, terminal, as_json=options.json)
    elif options.json:
        terminal.document(document_of(rows[0]))
    elif options.verb == "approvals":
        terminal.print("\n".join(detail_of(rows[0])))
    else:
        terminal.print(plain(title_of(rows[0])))
        terminal.print(f"  {plain(outcome_of(rows[0]))}")
        terminal.print(f"  {plain(level_of(rows[0]))}")
        if run_id is not None:
            terminal.print(f"  {run_id} goes on; see: jupyter flow runs show {run_id}")
    return 0


def _go_on(flow: Flow, approval_id: str) -> str | None:
    """Have the run that waited for this answer go on, if it is parked."""
    run_id = parked_on(flow.store, flow.home, approval_id)
    if run_id is not None:
        flow.sync()
        go_on_beside(flow.home, [run_id])
    return run_id


def _check(options: argparse.Namespace) -> None:
    if options.command and not options.remind:
        raise UsageError("--command goes with --remind")
    if options.remind and (options.approval_id or options.status):
        raise UsageError("--remind goes with neither an id nor --status")
    if options.approval_id and options.status:
        raise UsageError("--status goes with the list, not with one id")
    if options.command:
        _argv(options.command)


def _asked_for(options: argparse.Namespace, desk: ApprovalDesk, flow: Flow) -> list[ApprovalRow]:
    if options.remind:
        command = RemindCommand(_argv(options.command), os.environ) if options.command else None
        return Reminders(flow.store, now=utc_now_ms, tell=command or (lambda _: None)).give_due()
    if options.approval_id is None:
        return desk.list(status=options.status)
    return [desk.get(options.approval_id)]


def _argv(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command: {error}") from None


def _list(rows: list[ApprovalRow], terminal: Terminal, *, as_json: bool) -> None:
    if as_json:
        terminal.document({"items": [document_of(row) for row in rows], "next": None})
        return
    if not rows:
        terminal.print("no approvals")
        return
    one_plan = len({row.plan_id for row in rows}) == 1
    print_table(_COLUMNS, [_row(row, one_plan=one_plan) for row in rows], terminal)


def _row(row: ApprovalRow, *, one_plan: bool) -> list[Cell]:
    return [
        row.approval_id,
        [Painted(MARKS[row.status], _STYLES.get(row.status, ""))],
        plain(row.message),
        row.task_id if one_plan else plain(f"{row.plan_id}/{row.task_id}"),
        row.requested_at[:16].replace("T", " "),
        plain(outcome_of(row)),
    ]
