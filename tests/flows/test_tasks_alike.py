"""Magics, Python and the command line: one way to do things to a task, and one set of refusals."""

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from flow_kernel.apps.cli import main
from flow_kernel.errors import FlowError, UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from tests.kernels import Kernel
from tests.promises import promise

_SESSION: Final = "import flow_kernel; session = flow_kernel.current_session()"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.ready().run(_SESSION)
        kernel.run("session.start_task('First'); session.finish()")
        yield kernel


@pytest.fixture
def flow(kernel: Kernel) -> Iterator[Flow]:
    flow = flow_of(Home(kernel.home), author="ann")
    yield flow
    flow.close()


Cli = Callable[..., tuple[int, Any]]


@pytest.fixture
def cli(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, Any]:
        """Exit code and document of a verb."""
        code = main(["task", "--json", "--home", str(kernel.home), *arguments])
        return code, json.loads(capsys.readouterr().out)

    return call


NAMES: Final = {
    "with slashes": ("a/b\\c", "a/b\\c"),
    "with leading dashes": ("-v --force", "-v --force"),
    "that is a verb": ("finish", "finish"),
    "with marks that reorder": ("\u202eabc", "\u202eabc"),
    "with NUL": ("a\0b", "ab"),
    "with line ends": (" a\n b ", "a b"),
    "with markup": ("<script>x</script>", "<script>x</script>"),
    "of 5 kB": ("n" * 5000, "n" * 5000),
}


@promise("task.alike", "task.hostile")
@pytest.mark.parametrize(("name", "kept"), NAMES.values(), ids=NAMES)
def test_a_name_is_kept_alike_wherever_it_is_given(
    kernel: Kernel, flow: Flow, cli: Cli, name: str, kept: str
) -> None:
    line = " ".join(name.replace("\0", "").split())
    by_magic = kernel.run(f"_ = %task start '{line}'\nprint(_.view.task.name)\n_ = %task finish")
    by_session = kernel.run(f"print(session.start_task({name!r}).task.name)\n_ = session.finish()")
    by_flow = flow.start_task(name)
    code, by_cli = cli("start", "--", name)

    assert (by_magic.reply["status"], by_session.reply["status"], code) == ("ok", "ok", 0)
    assert [by_magic.stdout, by_session.stdout] == [f"{kept}\n"] * 2
    assert [by_flow.task.name, by_cli["name"]] == [kept] * 2


REFUSED: Final = {
    "no name": ("start", "a name has at least one character"),
    "a blank name": ("start ' '", "a name has at least one character"),
    "a reserved name": ("start List", '"List" is a reserved name'),
    "a name of 6 kB": ("start " + "n" * 6000, "a name of 6000 characters is too long"),
    "an unknown type": ("start x --type magic", 'there is no task type "magic"'),
    "an ill-formed plan": ("start x --plan 'a b'", '"a b" is no plan id'),
    "a reserved step": ("start x --steps load,show", '"show" is a reserved name'),
}


@promise("task.alike", "task.hostile")
@pytest.mark.parametrize(("line", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_started_is_refused_alike(
    kernel: Kernel, flow: Flow, cli: Cli, line: str, said: str
) -> None:
    before = len(flow.tasks())
    words, options = _parsed(line)

    told = [kernel.run(f"%task {line}").reply["evalue"]]
    told.append(kernel.run(f"session.tasks.start({words!r}, **{options!r})").reply["evalue"])
    with pytest.raises(FlowError) as raised:
        flow.start_task(words, **options)  # type: ignore[arg-type]  # as parsed
    told.append(str(raised.value))
    code, document = cli(*_shell_words(line))
    told.append(document["error"]["message"])

    assert [said in text for text in told] == [True] * 4, told
    assert [text.count("\n") for text in told] == [0] * 4
    assert (code, len(flow.tasks())) == (2, before)


WRONG: Final[dict[str, Callable[[Flow], object]]] = {
    "name": lambda flow: flow.start_task(None),  # type: ignore[arg-type]  # as users do
    "description": lambda flow: flow.start_task("x", 5),  # type: ignore[arg-type]  # as users do
    "steps": lambda flow: flow.start_task("x", steps="load,check"),
    "step": lambda flow: flow.start_task("x", steps=[1]),  # type: ignore[list-item]  # as users do
    "type": lambda flow: flow.start_task("x", type=7),  # type: ignore[arg-type]  # as users do
    "plan": lambda flow: flow.start_task("x", plan_id=7),  # type: ignore[arg-type]  # as users do
    "parent": lambda flow: flow.start_task("x", parent_id="7"),
    "id": lambda flow: flow.finish_task(None),  # type: ignore[arg-type]  # as users do
    "line": lambda flow: flow.log("T-0001", b"x"),  # type: ignore[arg-type]  # as users do
    "reason": lambda flow: flow.fail_task("T-0001", None),  # type: ignore[arg-type]  # as users do
}


@promise("task.hostile")
@pytest.mark.parametrize("act", WRONG.values(), ids=WRONG)
def test_what_is_no_text_is_refused_in_one_sentence_and_changes_nothing(
    flow: Flow, act: Callable[[Flow], object]
) -> None:
    before = [flow.view(task.task_id) for task in flow.tasks()]

    with pytest.raises(UsageError) as told:
        act(flow)

    assert "\n" not in str(told.value)
    assert [flow.view(task.task_id) for task in flow.tasks()] == before


ENDED: Final = ["finish", "fail why", "cancel", "step more"]


@promise("task.alike", "task.hostile")
@pytest.mark.parametrize("line", ENDED)
def test_a_task_that_has_ended_refuses_alike(
    kernel: Kernel, flow: Flow, cli: Cli, line: str
) -> None:
    task_id = flow.start_task("Over").task.task_id
    flow.finish_task(task_id)
    verb, *rest = line.split()

    by_flow = {
        "finish": flow.finish_task,
        "fail": lambda known: flow.fail_task(known, *rest),
        "cancel": flow.cancel_task,
        "step": lambda known: flow.begin_step(known, *rest),
    }[verb]
    with pytest.raises(FlowError) as raised:
        by_flow(task_id)
    code, document = cli(task_id, verb, *rest)
    # In one cell: after it, the session notices and has left the task.
    end_it = "session.start_task('Over'); other.finish_task(session.current_task.task_id)"
    by_magic = kernel.run(f"other = flow_kernel.open_flow(); {end_it}\n%task {line}")

    told = [str(raised.value), document["error"]["message"], by_magic.reply["evalue"]]
    assert [" is done" in text and "nothing was changed" in text for text in told] == [True] * 3
    assert code == 2
    assert flow.task(task_id).status == "done"


@promise("task.alike", "task.hostile")
@pytest.mark.parametrize(
    ("task_id", "said"),
    [("T-0999", "there is no task T-0999 in plan local"), ("no/such/thing", "is no task id")],
)
def test_an_unknown_task_is_refused_alike(
    kernel: Kernel, flow: Flow, cli: Cli, task_id: str, said: str
) -> None:
    with pytest.raises(FlowError) as raised:
        flow.log(task_id, "x")
    answers = [cli(task_id, *words) for words in ([], ["finish"], ["log", "x"], ["set", "a=1"])]
    by_magic = [kernel.run(f"%task {verb} {task_id}") for verb in ("show", "reopen")]

    assert said in str(raised.value)
    assert [(code, said in found["error"]["message"]) for code, found in answers] == [(2, True)] * 4
    assert [said in ran.reply["evalue"] for ran in by_magic] == [True, True]


def _parsed(line: str) -> tuple[str, dict[str, object]]:
    _, name, *rest = _shell_words(line) if line != "start" else ["start", ""]
    options: dict[str, object] = {}
    for option, value in zip(rest[::2], rest[1::2], strict=True):
        key = {"--plan": "plan_id"}.get(option, option[2:])
        options[key] = value.split(",") if key == "steps" else value
    return name, options


def _shell_words(line: str) -> list[str]:
    return shlex.split(line)
