"""The magics `%task` and `%%step`: work with a shape, from inside a notebook.

Called by IPython; each answer prints as text, shows as HTML and is a Python value.
"""

import json
import shlex
from collections.abc import Callable
from typing import Any, Final

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from flow_kernel.errors import FlowError, UsageError
from flow_kernel.session.ambient import current_session
from flow_kernel.session.context_values import typed_pair
from flow_kernel.session.session import Session
from flow_kernel.session.task_card import ReportCard, TaskCard
from flow_kernel.session.task_states import TYPES
from flow_kernel.session.tasks import Tasks
from flow_kernel.shell.body import run_body
from flow_kernel.shell.display import Facts
from flow_kernel.shell.task_display import TaskTable

VERBS: Final = {
    "start": "begin a task; its planned steps are shown",
    "step": "begin a step; the one before it is done",
    "log": "add a line to the log of the task",
    "set": "set keys of its context: KEY=VALUE",
    "finish": "the task is done",
    "fail": "the task failed, and why",
    "cancel": "give the task up",
    "reopen": "go on with a task that has ended",
    "status": "the open task: planned against done",
    "list": "all tasks of this project",
    "show": "one task, the open one by default",
}
_START_OPTIONS: Final = {
    "--describe": "what is to be done",
    "--steps": "its plan: names with commas between them",
    "--type": f"one of {', '.join(TYPES)}",
    "--plan": "the plan it belongs to",
}


@magics_class
class TaskMagics(Magics):  # type: ignore[misc]  # IPython's base has no types here
    """Magics for tasks and steps."""

    @line_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def task(self, line: str) -> object:
        """Give the work of this session a name, a plan and an end.

        ::

          %task start NAME [--describe TEXT] [--steps A,B,C] [--type T] [--plan P]
          %task step NAME              begin a step; the one before it is done
          %task log TEXT               add a line to the log of the task
          %task set KEY=VALUE …        set keys of its context; values are JSON, or else text
          %task finish                 the task is done
          %task fail REASON            the task failed
          %task cancel                 give it up
          %task reopen [ID]            go on with a task that has ended
          %task status                 the open task: planned against done
          %task list                   all tasks of this project
          %task show [ID]              one task with its steps and context

        Cells that run while a task is open are recorded in its own log. A task that is started
        while another one is open is a part of it. Each answer is also a Python value.
        """
        verb, _, rest = line.strip().partition(" ")
        return _answered("%task", verb or "status", rest.strip())

    @cell_magic  # type: ignore[untyped-decorator]  # IPython's decorators have no types
    def step(self, line: str, cell: str) -> None:
        """Run this cell as a step of the open task; an error fails the step.

        The step that `%task step` has begun is done.

        ::

          %%step NAME
          …
        """
        has_begun = False
        try:
            with current_session().tasks.alone(_unquoted(line.strip())):
                has_begun = True
                run_body(self.shell, cell, failure="the step failed")
        except FlowError as error:
            if has_begun:  # of the body, among them a question that waits for its answer
                raise
            raise IPythonUsageError(f"%%step: {error}") from None


def _answered(magic: str, verb: str, rest: str) -> object:
    if verb not in _ANSWERS:
        raise IPythonUsageError(f'{magic}: there is no verb "{verb[:40]}"; try: {magic}?')
    try:
        return _ANSWERS[verb](current_session(), rest)
    except FlowError as error:
        raise IPythonUsageError(f"{magic}: {error}") from None


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
    session.tasks.step(_unquoted(rest))
    return TaskCard(session.tasks.show(), session.texts)


def _log(session: Session, rest: str) -> None:
    if not rest:
        raise UsageError("log takes a text")
    session.tasks.log(_unquoted(rest))


def _set(session: Session, rest: str) -> Facts:
    words = _words(rest)
    if not words:
        raise UsageError("%task set takes KEY=VALUE")
    return Facts("context", session.tasks.set(dict(map(typed_pair, words))))


def _finish(session: Session, rest: str) -> ReportCard:
    _refuse(rest, "finish")
    return session.finish()


def _fail(session: Session, rest: str) -> ReportCard:
    return session.fail(_unquoted(rest))


def _cancel(session: Session, rest: str) -> TaskCard:
    return TaskCard(session.tasks.cancel(_unquoted(rest)), session.texts)


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
    return TaskCard(session.tasks.show(rest or None), session.texts)


_ANSWERS: Final[dict[str, Callable[[Session, str], object]]] = {
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


def _unquoted(text: str) -> str:
    """A message without the quotes around the whole of it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _refuse(rest: str, verb: str) -> None:
    if rest:
        raise UsageError(f"%task {verb} takes no argument")


def complete(_: Any, event: Any) -> list[str]:
    """What may follow on the line of `event`."""
    words = event.line.split()
    if len(words) < 2 or (len(words) == 2 and not event.line.endswith(" ")):
        return list(VERBS)
    try:
        return _completions(current_session().tasks, words, event.line)
    except FlowError:
        return []


def _completions(tasks: Tasks, words: list[str], line: str) -> list[str]:
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
