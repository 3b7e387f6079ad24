"""Arguments of functions as context of a task."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import flow_kernel
from flow_kernel import legacy
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.session.flow import Flow
from flow_kernel.store.contract import TaskRow

_AT = "2026-11-21T10:00:00.000Z"


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """The state of a home with one task."""
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / ".flow"))
    flow = flow_kernel.open_flow()
    with flow.store.write() as change:
        task_id = change.new_task_id("local")
        change.put_task(TaskRow(plan_id="local", task_id=task_id, name="x", created_at=_AT), at=_AT)
    yield flow
    flow.close()


def test_arguments_are_kept_with_their_defaults(flow: Flow) -> None:
    @flow_kernel.auto_context("repo_url", "branch")
    def deploy(task_id: str, repo_url: str, branch: str = "main", *, secret: str = "") -> str:
        return f"{repo_url}@{branch}{secret}"

    assert deploy("T-0001", "git://here", secret="!") == "git://here@main!"
    assert flow.get_task_context("T-0001") == {"repo_url": "git://here", "branch": "main"}


def test_the_result_is_kept_when_asked_and_only_after_success(flow: Flow) -> None:
    @flow_kernel.auto_context("n", result="half")
    def halve(n: float, task_id: str) -> float:
        return 1 / n

    with pytest.raises(ZeroDivisionError):
        halve(0, task_id="T-0001")
    assert flow.get_task_context("T-0001") == {}
    halve(4, task_id="T-0001")
    assert flow.get_task_context("T-0001") == {"n": 4, "half": 0.25}


def test_an_error_is_kept_when_asked_and_still_raised(flow: Flow) -> None:
    @flow_kernel.auto_context("n", on_error=True)
    def halve(n: float, task_id: str) -> float:
        return 1 / n

    with pytest.raises(ZeroDivisionError):
        halve(0, task_id="T-0001")

    assert flow.get_task_context("T-0001") == {
        "n": 0,
        "error": "ZeroDivisionError: division by zero",
    }


def test_methods_name_the_task_by_their_object_and_coroutines_are_awaited(flow: Flow) -> None:
    class Job:
        task_id = "T-0001"

        @flow_kernel.auto_context("part", result="rows")
        async def load(self, part: int) -> int:
            await asyncio.sleep(0)
            return part * 10

    assert asyncio.run(Job().load(3)) == 30
    assert flow.get_task_context("T-0001") == {"part": 3, "rows": 30}


@pytest.mark.parametrize("task_id", ["T-0099", "nonsense"])
def test_what_cannot_be_kept_is_a_warning_and_the_function_has_its_way(
    flow: Flow, task_id: str
) -> None:
    @flow_kernel.auto_context("n")
    def double(n: int, task_id: str) -> int:
        return 2 * n

    with pytest.warns(RuntimeWarning, match="kept nothing"):
        assert double(2, task_id) == 4


def test_without_a_task_it_says_how_to_name_one(flow: Flow) -> None:
    @flow_kernel.auto_context("n")
    def double(n: int) -> int:
        return 2 * n

    with pytest.warns(RuntimeWarning, match="no flow session"):
        assert double(2) == 4


def test_an_unknown_parameter_is_refused_where_it_is_written(flow: Flow) -> None:
    with pytest.raises(UsageError, match="no parameter 'm'"):

        @flow_kernel.auto_context("m")
        def double(n: int) -> int:
            return 2 * n


def test_the_functions_of_the_first_design_still_work(flow: Flow) -> None:
    legacy.update_task_context("T-0001", "a", 1)

    assert legacy.add_to_context("T-0001", b=[2]) == {"a": 1, "b": [2]}
    with pytest.raises(NotFound):
        legacy.update_task_context("T-0042", "a", 1)
