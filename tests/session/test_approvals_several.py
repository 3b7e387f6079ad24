"""Several questions in one cell, what is shown of them, and the tasks that they hold up."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import ApprovalPending
from flow_kernel.records.home import Home
from flow_kernel.session.approval_terms import SHOWN_CHARS
from flow_kernel.session.approval_text import detail_of
from flow_kernel.session.flow import Flow
from tests.session.asking import Asker, Clock, Typist, answer, parked
from tests.store.stores import put_task


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with closing(Asker(tmp_path)) as opened:
        opened.cell("cell")
        yield opened


def run_cell(asker: Asker, *questions: str, code: str = "cell") -> list[str]:
    """Run a cell that asks these; the ids of what was answered, and the one it is parked at."""
    asker.cell(code)
    found = []
    for message in questions:
        try:
            found.append(asker.ask(message, park=True).approval_id)
        except ApprovalPending as pending:
            found.append(f"parked at {pending.approval_id}")
            break
    return found


def status_of(asker: Asker, task_id: str = "T-0001") -> str:
    with asker.store.read() as view:
        task = view.task("local", task_id)
    assert task is not None
    return task.status


def test_a_cell_that_parks_at_its_second_question_need_not_ask_the_first_again(
    asker: Asker,
) -> None:
    runs = [run_cell(asker, "One?", "Two?")]
    answer(asker, "A-0001")
    runs += [run_cell(asker, "One?", "Two?"), run_cell(asker, "One?", "Two?")]
    answer(asker, "A-0002")
    runs += [run_cell(asker, "One?", "Two?"), run_cell(asker, "One?", "Two?")]

    assert runs == [
        ["parked at A-0001"],
        ["A-0001", "parked at A-0002"],
        ["A-0001", "parked at A-0002"],
        ["A-0001", "A-0002"],
        ["parked at A-0003"],
    ]


def test_another_cell_that_parks_gives_nothing_back(asker: Asker) -> None:
    run_cell(asker, "One?")
    answer(asker, "A-0001")
    assert run_cell(asker, "One?") == ["A-0001"]

    run_cell(asker, "Other?", code="other")

    assert run_cell(asker, "One?") == ["parked at A-0003"]


def test_a_process_that_dies_between_the_two_asks_the_first_again(
    asker: Asker, tmp_path: Path
) -> None:
    run_cell(asker, "One?")
    answer(asker, "A-0001")
    assert run_cell(asker, "One?") == ["A-0001"]

    with closing(Asker(tmp_path)) as next_one:  # it knows nothing of what the other one has used
        assert run_cell(next_one, "One?", "Two?") == ["parked at A-0002"]


def test_a_task_waits_while_a_question_of_it_is_open(asker: Asker) -> None:
    put_task(asker.store)
    asker.cell("cell", task_id="T-0001")
    said = [status_of(asker)]
    parked(asker, "One?")
    parked(asker, "Two?")
    said.append(status_of(asker))
    answer(asker, "A-0001")
    said.append(status_of(asker))
    answer(asker, "A-0002", "reject")
    said.append(status_of(asker))

    assert said == ["doing", "waiting", "waiting", "doing"]


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "todo"])
def test_a_task_that_is_not_being_done_stays_as_it_is(asker: Asker, status: str) -> None:
    put_task(asker.store)
    asker.cell("cell", task_id="T-0001")
    parked(asker)
    put_task(asker.store, status=status)

    answer(asker, "A-0001")

    assert status_of(asker) == status


def test_a_task_goes_on_once_the_time_of_its_question_is_over(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Asker(tmp_path, now=clock)) as asker:
        put_task(asker.store)
        asker.cell("cell", task_id="T-0001")
        parked(asker, timeout_s=5)
        clock.seconds = 6
        asker.cell("cell", task_id="T-0001")
        assert asker.ask("Go?", timeout_s=5, park=True).status == "expired"
        assert status_of(asker) == "doing"


def test_who_looks_at_a_task_sees_that_the_time_of_its_question_is_over(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Asker(tmp_path, now=clock)) as asker:
        put_task(asker.store)
        asker.cell("cell", task_id="T-0001")
        parked(asker, timeout_s=5)
        flow = Flow(
            Home(tmp_path),
            asker.store,
            plan_id="local",
            author="ann",
            now=clock,
            carry=lambda: None,
        )
        before = flow.task("T-0001").status
        clock.seconds = 6

        assert (before, flow.task("T-0001").status) == ("waiting", "doing")
        assert flow.view("T-0001").task.status == "doing"
        assert [task.status for task in flow.tasks(status="doing")] == ["doing"]
        assert flow.tasks(status="waiting") == []
        assert status_of(asker) == "waiting"  # a look writes nothing


def test_what_an_answer_is_bound_to_can_be_read_without_its_secrets(asker: Asker) -> None:
    asker.cell("login('hunter2')\n\x1b[31mdrop()")
    parked(asker, "Go?", payload={"token": "hunter2", "rows": 3}, timeout_s=60, remind_s=30)

    lines = detail_of(asker.approvals.desk.get("A-0001"))

    text = "\n".join(lines)
    assert "│ login('[REDACTED:test]')" in text
    assert '│   "rows": 3,' in text
    assert ("hunter2" in text, "\x1b" in text) == (False, False)
    assert "reminders every 30 s, 0 so far" in text


def test_code_that_is_too_long_to_show_says_so(asker: Asker) -> None:
    asker.cell("x" * 50_000)
    parked(asker)

    code = asker.approvals.desk.get("A-0001").code

    assert code is not None
    assert f"… {50_000 - SHOWN_CHARS} characters are not shown here …" in code


def test_comments_lose_their_secrets_on_every_way(tmp_path: Path) -> None:
    with closing(Asker(tmp_path, typist=Typist(["Yes, with hunter2"]))) as asker:
        asker.cell("cell")
        typed = asker.ask("Go?")
        parked(asker, "Else?")
        told = asker.approvals.decide(
            "A-0002", "reject", by="ann", channel="cli", comment="not hunter2"
        )

    assert (typed.status, typed.comment) == ("approved", "with [REDACTED:test]")
    assert told.comment == "not [REDACTED:test]"
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
