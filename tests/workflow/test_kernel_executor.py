"""Steps in warm sub-kernels: what only they have."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.states import StepState
from tests.workflow.attempts import Attempts, made

Shown = list[dict[str, Any]]


@pytest.fixture(scope="module")
def shown() -> Shown:
    """The contents of what was displayed."""
    return []


@pytest.fixture(scope="module")
def steps(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempts]:
    with asyncio.Runner() as runner:
        directory: Path = tmp_path_factory.mktemp("steps")
        steps = made(runner, "kernel", directory, on_display=shown.append)
        yield steps
        steps.wait(steps.executor.close())


def test_what_a_step_displays_is_passed_on_whole_and_in_order(
    steps: Attempts, shown: Shown
) -> None:
    shown.clear()

    outcome, _ = steps.run(
        "from IPython.display import HTML, display\n"
        "for number in range(200): display(HTML(f'<b>{number}</b>'))"
    )

    assert (outcome.state, outcome.stdout, outcome.how) == (StepState.OK, b"", "kernel")
    assert [each["data"]["text/html"] for each in shown] == [f"<b>{n}</b>" for n in range(200)]


def test_a_figure_is_displayed(steps: Attempts, shown: Shown) -> None:
    shown.clear()

    outcome, _ = steps.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")

    assert (outcome.state, [sorted(each["data"]) for each in shown]) == (
        StepState.OK, [["image/png", "text/plain"]],
    )  # fmt: skip


def test_a_step_that_cannot_go_on_is_ended_and_told_where_it_stood(steps: Attempts) -> None:
    order = steps.order(
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        limits=Limits(timeout_s=20.0),
    )

    outcome, _ = steps.run(order)

    assert outcome.error is not None
    assert (outcome.state, outcome.error["block"]["stack"]) == (
        StepState.BLOCKED, ["line 4 of the script: lock.acquire()"],
    )  # fmt: skip


def test_a_step_that_wants_a_session_is_told_that_there_is_none(steps: Attempts) -> None:
    outcome, _ = steps.run("import flow_kernel\nprint(flow_kernel.current_session().task('x'))")

    assert outcome.state == StepState.ERROR


def test_a_step_that_is_cancelled_before_it_has_a_worker_leaves_nothing(
    tmp_path: Path,
) -> None:
    async def cancel(steps: Attempts) -> None:
        running = asyncio.ensure_future(steps.executor.run(steps.order("1"), lambda _: None))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with asyncio.Runner() as runner:
        steps = made(runner, "kernel", tmp_path)
        steps.wait(cancel(steps))
        outcome, _ = steps.run("print(1)")
        steps.wait(steps.executor.close())

    assert (outcome.state, outcome.stdout) == (StepState.OK, b"1\n")
