"""What was done already is taken or done again, as it is asked for."""

from pathlib import Path
from typing import Any

import pytest

from flow_kernel.errors import IllegalTransition, UsageError
from flow_kernel.workflow.service import Selection
from flow_kernel.workflow.states import RunStatus
from tests.workflow.homes import opened, run, script, states, workflow


def test_a_result_is_taken_where_code_and_inputs_are_the_same(tmp_path: Path) -> None:
    def once(factor: int, code: str = "", **options: Any) -> tuple[Any, list[str | None]]:
        steps = [
            {
                "id": "a",
                "code": script(m="v['n'] * 2") + code,
                "cache": True,
                "input_mapping": {"n": "n"},
                "output_mapping": {"m": "m"},
            },
            {"id": "b", "code": script(k="v['m']"), "output_mapping": {"k": "k"}},
        ]
        found = run(tmp_path, workflow(tmp_path, *steps), {"n": factor}, **options)
        return found.output_data, [step.reused_from for step in found.steps]

    assert once(1) == ({"m": 2, "k": 2}, [None, None])
    assert once(1) == ({"m": 2, "k": 2}, ["R-0001", None])
    assert once(2) == ({"m": 4, "k": 4}, [None, None])
    assert once(1, "# other code") == ({"m": 2, "k": 2}, [None, None])
    assert once(1, uses_cache=False) == ({"m": 2, "k": 2}, [None, None])


def chain(tmp_path: Path, fails: bool) -> Any:
    return workflow(
        tmp_path,
        {"id": "a", "code": script(x="v['n']"), "output_mapping": {"x": "x"}},
        {
            "id": "b",
            "code": "1/0" if fails else script(y="v['x'] + 1"),
            "output_mapping": {"y": "y"},
        },
        {"id": "c", "code": script(z="v['y'] + v['n']"), "output_mapping": {"z": "z"}},
    )


def test_a_run_from_a_step_on_takes_what_is_above_it(tmp_path: Path) -> None:
    run(tmp_path, chain(tmp_path, fails=False), {"n": 1})

    found = run(
        tmp_path, chain(tmp_path, fails=False), {"n": 10}, selection=Selection(start_at=("b",))
    )

    assert [step.reused_from for step in found.steps] == ["R-0001", None, None]
    assert found.output_data == {"x": 1, "y": 2, "z": 12}


def test_a_run_of_one_step_alone_takes_the_rest_or_leaves_it_out(tmp_path: Path) -> None:
    run(tmp_path, chain(tmp_path, fails=False), {"n": 1})

    found = run(tmp_path, chain(tmp_path, fails=False), {"n": 5}, selection=Selection(only=("c",)))

    assert [step.reused_from for step in found.steps] == ["R-0001", "R-0001", None]
    assert found.output_data == {"x": 1, "y": 2, "z": 7}
    other = tmp_path / "other"
    other.mkdir()
    alone = run(other, chain(other, fails=False), {"n": 5}, selection=Selection(only=("a",)))
    assert states(alone) == {"a": "ok", "b": "skipped", "c": "skipped"}


def test_a_step_that_is_not_there_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='there is no step "nope" in made'):
        run(tmp_path, chain(tmp_path, fails=False), {"n": 1}, selection=Selection(only=("nope",)))


def test_what_failed_runs_again_and_nothing_else_does(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    check = f"assert pathlib.Path({str(flag)!r}).exists()"
    code = f"import pathlib\n{check}\n{script(y='3')}"
    found = workflow(
        tmp_path,
        {"id": "a", "code": script(x="1"), "output_mapping": {"x": "x"}},
        {"id": "b", "code": code, "output_mapping": {"y": "y"}},
        {"id": "c", "code": script(z="v['y']"), "output_mapping": {"z": "z"}},
    )
    first = run(tmp_path, found)
    flag.touch()

    with opened(tmp_path) as (_, service):
        with pytest.raises(IllegalTransition, match=r"R-0001 is over \(failed\)"):
            service.book.claim("R-0001")
        second = service.run(service.book.claim("R-0001", again=True))

    assert states(first) == {"a": "ok", "b": "error", "c": "skipped"}
    assert states(second) == {"a": "ok", "b": "ok", "c": "ok"}
    assert [step.attempt for step in second.steps] == [1, 1, 1]
    assert (second.status, second.output_data) == (RunStatus.SUCCESS, {"x": 1, "y": 3, "z": 3})


def test_a_result_of_another_directory_is_not_taken(tmp_path: Path) -> None:
    step = {"id": "a", "cache": True, "code": "print(open('data').read())"}
    said = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text(name)
        said.append(run(tmp_path, workflow(tmp_path / name, step), executor="subprocess"))

    assert [found.output_data["a"]["result"] for found in said] == ["one\n", "two\n"]
