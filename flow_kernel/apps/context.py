"""`jupyter flow context ID`: what a task knows, and who said so.

Called by `cli`.
"""

import argparse

from flow_kernel.apps.state import add_home, opened
from flow_kernel.apps.tables import Column, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session.context_values import typed_pair
from flow_kernel.session.task_text import context_lines
from flow_kernel.store.contract import ContextValue


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `context`."""
    add = parser.add_argument
    add("task_id", metavar="ID", help="T-0001, or PLAN/T-0001")
    add("values", metavar="KEY=VALUE", nargs="*", help="set these; values are JSON, or else text")
    add("--history", metavar="KEY", help="what KEY held, when, and who set it")
    add("--json", action="store_true", help="the merged dict, for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow context T-0001 rows=1200"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the context, after setting what was given."""
    with opened(terminal, options.home) as flow:
        if options.values:
            flow.update_task_context(options.task_id, dict(map(typed_pair, options.values)))
        if options.history is not None:
            values = flow.context_history(options.task_id, options.history)
        context = flow.get_task_context(options.task_id)
    if options.history is not None:
        _print_history(values, terminal, as_json=options.json)
        return 0
    if options.json:
        terminal.document(context)
        return 0
    for line in context_lines(context, width=terminal.columns) or ["(empty)"]:
        terminal.print(plain(line))
    return 0


def _print_history(values: list[ContextValue], terminal: Terminal, *, as_json: bool) -> None:
    if as_json:
        items = [
            {"at": value.at, "author": value.author, "is_set": value.is_set, "value": value.value}
            for value in values
        ]
        terminal.document({"items": items, "next": None})
        return
    columns = (Column(title="when"), Column(title="who"), Column(title="value", share=1))
    rows = [
        [value.at, plain(value.author), plain(repr(value.value)) if value.is_set else "(removed)"]
        for value in values
    ]
    print_table(columns, rows, terminal)
