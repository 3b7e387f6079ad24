"""`jupyter flow task …`: a task from a terminal: begun, changed, ended and shown.

Called by `cli`. The rules and the refusals are those of `%task`: both end at one desk.
"""

import argparse
from collections.abc import Callable
from typing import Final

from flow_kernel.apps.flow_config import texts_of
from flow_kernel.apps.state import add_home, counts_of, opened
from flow_kernel.apps.tables import Painter, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.session.artifacts import KEY, artifacts_of
from flow_kernel.session.context_values import typed_pair
from flow_kernel.session.flow import Flow, TaskView
from flow_kernel.session.formatter import TaskTexts
from flow_kernel.session.task_states import TYPES
from flow_kernel.session.task_text import MARKS, as_document, context_lines

_STYLES: Final = {"done": "green", "failed": "red", "doing": "bold"}
_START: Final = "start"
_USAGE: Final = """jupyter flow task ID
       jupyter flow task start NAME [--describe TEXT] [--steps A,B,C] [--type T] [--plan P]
                               [--parent ID]
       jupyter flow task ID step NAME | log TEXT | set KEY=VALUE…
       jupyter flow task ID finish | fail REASON | cancel [REASON] | reopen"""
TAKES_WORDS: Final = True
"""`words` may hold options between them, and anything after two dashes."""

_OF_START: Final = ("describe", "steps", "type", "plan", "parent")


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `task`."""
    parser.usage = _USAGE
    add = parser.add_argument
    add("words", metavar="ID", nargs="*", help="T-0001, or PLAN/T-0001")
    add("--describe", metavar="TEXT", help="start: what is to be done")
    add("--steps", metavar="A,B,C", help="start: its plan, names with commas between them")
    add("--type", metavar="T", help=f"start: one of {', '.join(TYPES)}")
    add("--plan", metavar="P", help="start: the plan it belongs to")
    add("--parent", metavar="ID", help="start: the task that it is a part of")
    add("--json", action="store_true", help="the task as one document, for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow task start Clean the data --steps load,check"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Change the task where that is asked for, and print it."""
    if not options.words:
        raise UsageError("no task was named", hint="see: jupyter flow tasks")
    first, *rest = options.words
    if first != _START:
        given = [name for name in _OF_START if getattr(options, name) is not None]
        if given:
            raise UsageError(f"--{given[0]} belongs to: jupyter flow task start NAME")
    with opened(terminal, options.home, may_create=first == _START) as flow:
        if first == _START:
            view = _start(flow, " ".join(rest), options)
        else:
            view = _changed(flow, first, rest)
        counts = counts_of(flow.home)
    cells, failures = counts.get((view.task.plan_id, view.task.task_id), (0, 0))
    if options.json:
        terminal.document(as_document(view, cells=cells, failures=failures))
    else:
        _print(view, texts := texts_of(terminal), terminal)
        terminal.print(plain(texts.summary(view, cells=cells, failures=failures)))
    return 0


def _start(flow: Flow, name: str, options: argparse.Namespace) -> TaskView:
    steps = [step.strip() for step in (options.steps or "").split(",")]
    return flow.start_task(
        name,
        options.describe or "",
        steps=[step for step in steps if step],
        type="custom" if options.type is None else options.type,
        plan_id=options.plan,
        parent_id=options.parent,
    )


def _changed(flow: Flow, task_id: str, words: list[str]) -> TaskView:
    if not words:
        return flow.view(task_id)
    verb, *rest = words
    if verb not in _VERBS:
        raise UsageError(
            f'there is no verb "{verb[:40]}" of a task', hint=f"verbs: {', '.join(_VERBS)}"
        )
    return _VERBS[verb](flow, task_id, rest)


def _log(flow: Flow, task_id: str, words: list[str]) -> TaskView:
    if not words:
        raise UsageError("log takes a text")
    return flow.log(task_id, " ".join(words))


def _set(flow: Flow, task_id: str, words: list[str]) -> TaskView:
    if not words:
        raise UsageError("set takes KEY=VALUE")
    flow.update_task_context(task_id, dict(map(typed_pair, words)))
    return flow.view(task_id)


def _finish(flow: Flow, task_id: str, words: list[str]) -> TaskView:
    _refuse(words, "finish")
    return flow.finish_task(task_id)


def _reopen(flow: Flow, task_id: str, words: list[str]) -> TaskView:
    _refuse(words, "reopen")
    return flow.reopen_task(task_id)


_VERBS: Final[dict[str, Callable[[Flow, str, list[str]], TaskView]]] = {
    "step": lambda flow, task_id, words: flow.begin_step(task_id, " ".join(words)),
    "log": _log,
    "set": _set,
    "finish": _finish,
    "fail": lambda flow, task_id, words: flow.fail_task(task_id, " ".join(words)),
    "cancel": lambda flow, task_id, words: flow.cancel_task(task_id, " ".join(words)),
    "reopen": _reopen,
}


def _refuse(words: list[str], verb: str) -> None:
    if words:
        raise UsageError(f"{verb} takes no argument")


def _print(view: TaskView, texts: TaskTexts, terminal: Terminal) -> None:
    painter = Painter.of(terminal)
    task = view.task
    terminal.print(painter.paint(plain(texts.title(task)), "bold"))
    terminal.print(
        f"{plain(texts.state(view))} · {plain(texts.kind(task))} · by {plain(task.author)}"
    )
    if task.description:
        terminal.print(plain(task.description))
    for step in texts.steps(view.steps):
        mark = painter.paint(MARKS[step.state], _STYLES.get(step.state, ""))
        note = painter.paint(f"  {plain(step.note)}", "dim") if step.note else ""
        terminal.print(f"  {'  ' * step.depth}{mark} {plain(step.name)}{note}")
    for line in context_lines({k: v for k, v in view.context.items() if k != KEY}):
        terminal.print(f"  {plain(line)}")
    for item in artifacts_of(view.context):
        terminal.print(f"  {plain(item.path)}  {item.text()}")
    if view.tags:
        terminal.print(f"  tags: {plain(' '.join(view.tags))}")
