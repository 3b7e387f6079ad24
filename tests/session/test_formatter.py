"""Words of the user's for tasks: used, made safe to print, and stood in for when they fail."""

from pathlib import Path

import pytest

from flow_kernel.session.flow import TaskView
from flow_kernel.session.formatter import TaskTexts, load_texts
from flow_kernel.session.progress import Progress
from flow_kernel.session.task_text import TaskFormatter
from flow_kernel.settings import ISOLATED_TYPES
from flow_kernel.store.contract import StepRow, TaskRow
from tests.installed import offer

TASK = TaskRow(plan_id="local", task_id="T-0001", name="Clean", type="build")
STEP = StepRow(plan_id="local", task_id="T-0001", number=1, name="load")
VIEW = TaskView(task=TASK, steps=[STEP], context={}, tags=[])
HALF = Progress(name="load", done=1, total=2, elapsed_s=1.0)


class Words(TaskFormatter):
    """Some texts of its own."""

    def title(self, task: TaskRow) -> str:
        """In capitals."""
        return f"{task.name.upper()}\n\x1b[31mred\u202e"


class Broken:
    """Everything that can go wrong."""

    def title(self, task: TaskRow) -> str:
        """Raises."""
        raise ZeroDivisionError(task.name)

    def state(self, view: TaskView) -> str:
        """Gives no text."""
        return 7  # type: ignore[return-value]  # that is the test

    def step(self) -> str:
        """Takes too little."""
        return ""


class _Refuses:
    def __init__(self) -> None:
        raise OSError("no")


def _all(texts: TaskTexts) -> list[object]:
    return [
        texts.title(TASK),
        texts.state(VIEW),
        texts.kind(TASK),
        texts.steps([STEP]),
        texts.progress(HALF),
        texts.summary(VIEW, cells=2, failures=1),
    ]


def test_a_replaced_text_is_one_safe_line_and_the_others_stay() -> None:
    ours, theirs = _all(TaskTexts()), _all(TaskTexts(Words()))

    assert theirs == ["CLEAN", *ours[1:]]
    assert ours[0] == "T-0001 Clean"


def test_a_formatter_that_fails_is_stood_in_for_and_said_once() -> None:
    said: list[str] = []
    broken = TaskTexts(Broken(), say=said.append)

    assert _all(broken) == _all(TaskTexts())
    assert said == [
        "formatter Broken.title raised ZeroDivisionError: Clean; the plain text is shown instead"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module.Words", "ModuleNotFoundError"),
        (f"{__name__}.Missing", "AttributeError"),
        (f"{__name__}.TASK", "UsageError: it is no class"),
        (f"{__name__}._Refuses", "OSError: no"),
        ("nobody-offers-this", "no package offers the formatter"),
    ],
)
def test_a_formatter_that_cannot_be_had_is_said_and_ours_is_used(name: str, why: str) -> None:
    said: list[str] = []

    texts = load_texts(name, isolated_types=ISOLATED_TYPES, say=said.append)

    assert _all(texts) == _all(TaskTexts())
    assert len(said) == 1
    assert f"formatter {name} cannot be used" in said[0]
    assert why in said[0]


def test_a_package_can_offer_a_formatter_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, group="flow_kernel.formatters", name="loud", value=f"{__name__}:Words")
    monkeypatch.syspath_prepend(tmp_path)

    texts = load_texts("loud", isolated_types=(), say=pytest.fail)

    assert texts.title(TASK) == "CLEAN"


def test_a_type_says_that_it_is_isolated_by_default_only_where_the_setting_lists_it() -> None:
    listed, others = TaskTexts(isolated_types={"build"}), TaskTexts(isolated_types={"test"})

    assert others.kind(TASK) == "build"
    assert listed.kind(TASK).startswith("build, its cells run in a worker")
    assert {"sandbox-execution", "compilation", "build", "test"} == ISOLATED_TYPES
