"""What `%task` answers: a task, its report, or a table of tasks.

Called by `shell.magics.task_magics`.
"""

import json
import shlex
from collections.abc import Callable
from typing import Final

from flow_kernel.errors import UsageError
from flow_kernel.session.context_values import typed_pair
from flow_kernel.session.report_runs import runs_of_task
from flow_kernel.session.session import Session
from flow_kernel.session.task_card import ReportCard, TaskCard
from flow_kernel.session.task_states import TYPES
from flow_kernel.session.tasks import Tasks
from flow_kernel.shell.magics.body import unquoted
from flow_kernel.shell.views.display import Facts
from flow_kernel.shell.views.task_display import TaskTable

_START_OPTIONS: Final = {
    "--describe": "what is to be done",
    "--steps": "its plan: names with commas between them",
    "--type": f"one of {', '.join(TYPES)}",
    "--plan": "the plan it belongs to",
}


def _start(session: Session, rest: str) -> TaskCard:
    name, options = _name_and_options(_words(rest))
    steps = [step.strip() for step in options.get("--steps", "").split(",")]
    view = session.tasks.start(
        name,
        options.get("--describe", ""),
        steps=[step for step in steps if step],
        type=options.get("--type", "custom"),
        plan_id=options.get("--plan"),
    )
    return TaskCard(view, session.texts)


def _name_and_options(words: list[str]) -> tuple[str, dict[str, str]]:
    """The words of a name, which may begin with dashes themselves, and the options among them."""
    name: list[str] = []
    options: dict[str, str] = {}
    left = iter(words)
    for word in left:
        option, sign, value = word.partition("=")
        if option not in _START_OPTIONS:
            name.append(word)
        elif sign:
            options[option] = value
        else:
            given = next(left, None)
            if given is None:
                raise UsageError(f"{option} takes a value: {_START_OPTIONS[option]}")
            options[option] = given
    return " ".join(name), options


def _step(session: Session, rest: str) -> TaskCard:
    session.tasks.step(unquoted(rest))
    return TaskCard(session.tasks.show(), session.texts)


def _log(session: Session, rest: str) -> None:
    if not rest:
        raise UsageError("log takes a text")
    session.tasks.log(unquoted(rest))


def _set(session: Session, rest: str) -> Facts:
    words = _words(rest)
    if not words:
        raise UsageError("%task set takes KEY=VALUE")
    return Facts("context", session.tasks.set(dict(map(typed_pair, words))))


def _finish(session: Session, rest: str) -> ReportCard:
    _refuse(rest, "finish")
    return session.finish()


def _fail(session: Session, rest: str) -> ReportCard:
    return session.fail(unquoted(rest))


def _cancel(session: Session, rest: str) -> TaskCard:
    return TaskCard(session.tasks.cancel(unquoted(rest)), session.texts)


def _reopen(session: Session, rest: str) -> TaskCard:
    return TaskCard(session.tasks.reopen(rest or session.tasks.last_ended()), session.texts)


def _status(session: Session, rest: str) -> TaskCard | Facts:
    _refuse(rest, "status")
    if session.tasks.current is None:
        return Facts("Task", {"open": "none; begin one: %task start NAME"})
    return TaskCard(session.tasks.show(), session.texts)


def _list(session: Session, rest: str) -> TaskTable:
    _refuse(rest, "list")
    return TaskTable(session.tasks.list())


def _show(session: Session, rest: str) -> TaskCard:
    view = session.tasks.show(rest or None)
    return TaskCard(view, session.texts, runs_of_task(session.tasks.flow, view.task))


ANSWERS: Final[dict[str, Callable[[Session, str], object]]] = {
    "start": _start,
    "step": _step,
    "log": _log,
    "set": _set,
    "finish": _finish,
    "fail": _fail,
    "cancel": _cancel,
    "reopen": _reopen,
    "status": _status,
    "list": _list,
    "show": _show,
}


def _words(text: str) -> list[str]:
    """The words of a line; quotes hold words together, an apostrophe alone is a character."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _refuse(rest: str, verb: str) -> None:
    if rest:
        raise UsageError(f"%task {verb} takes no argument")


def completions(tasks: Tasks, words: list[str], line: str) -> list[str]:
    """What may follow `words` on a line."""
    verb = words[1]
    if verb == "start":
        is_type = "--type" in (words[-1], words[-2] if not line.endswith(" ") else "")
        return list(TYPES if is_type else _START_OPTIONS)
    if verb in ("show", "reopen"):
        return [task.task_id for task in tasks.list()]
    if verb == "step" and tasks.current is not None:
        return [step.name for step in tasks.show().steps if step.state == "planned"]
    if verb == "set" and "=" in words[-1]:
        key = words[-1].partition("=")[0]
        return [f"{key}={_typed(value)}" for value in tasks.suggest(key)]
    return []


def _typed(value: object) -> str:
    """A value as one would type it after `KEY=`."""
    text = value if type(value) is str else json.dumps(value)
    return shlex.quote(text)
