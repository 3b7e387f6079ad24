"""Questions on a real store: asked, parked, answered by other processes, used once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import AlreadyDecided, ApprovalPending, StoreError, UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.assembly import assemble
from flow_kernel.session.cell import CellRequest
from flow_kernel.settings import Settings
from tests.logs import TaskLogs
from tests.session.asking import Asker, Clock, Typist, answer, parked


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with closing(Asker(tmp_path)) as opened:
        opened.cell("cell")
        yield opened


def notes(asker: Asker) -> list[tuple[object, object]]:
    """Status and use of each change of an approval, as the log will tell them."""
    with asker.store.write() as change:
        waiting = change.waiting(limit=100)
    assert {row.kind for row in waiting} <= {"approval"}
    return [(row.fields["status"], row.fields["is_used"]) for row in waiting]


def test_a_parked_question_says_how_to_answer_it_and_a_rerun_uses_the_answer_once(
    asker: Asker,
) -> None:
    with pytest.raises(ApprovalPending) as pending:
        asker.ask("Go?", park=True)
    answer(asker, "A-0001")

    asker.cell("cell")
    row = asker.ask("Go?", park=True)
    asker.cell("cell")
    again = parked(asker)

    assert str(pending.value) == (
        "A-0001 Go? - waits for an answer (advisory: code in the same process can get around it);"
        " answer it: jupyter flow approve A-0001 (or reject), then run this cell again"
    )
    assert (row.approval_id, row.status, row.is_used, again) == (
        "A-0001", "approved", True, "A-0002",
    )  # fmt: skip
    assert notes(asker) == [
        ("open", False), ("approved", False), ("approved", True), ("open", False),
    ]  # fmt: skip


def test_a_rerun_before_the_answer_is_the_same_question(asker: Asker) -> None:
    first = parked(asker)
    asker.cell("cell")

    assert parked(asker) == first
    assert notes(asker) == [("open", False)]


def test_changed_code_message_payload_or_task_asks_again(asker: Asker) -> None:
    ids = [parked(asker, payload={"rows": 3})]
    answer(asker, ids[0])

    for code, task_id, message, payload in (
        ("cell ", "T-0000", "Go?", {"rows": 3}),
        ("cell", "T-0001", "Go?", {"rows": 3}),
        ("cell", "T-0000", "Go!", {"rows": 3}),
        ("cell", "T-0000", "Go?", {"rows": 4}),
    ):
        asker.cell(code, task_id=task_id)
        ids.append(parked(asker, message, payload=payload))

    assert ids == [f"A-{number:04d}" for number in range(1, 6)]


def test_two_questions_of_one_cell_are_two_even_with_the_same_words(asker: Asker) -> None:
    first = parked(asker)
    second = parked(asker)
    answer(asker, second, "reject")

    asker.cell("cell")
    assert parked(asker) == first
    assert asker.ask("Go?", park=True).status == "rejected"


def test_a_body_is_what_the_answer_is_bound_to_where_there_is_one(asker: Asker) -> None:
    first = parked(asker, source="rm()")
    asker.cell("cell with another first line")

    assert parked(asker, source="rm()") == first
    asker.cell("cell with another first line")
    assert parked(asker, source="rm(all)") != first


def test_an_expired_question_is_refused_and_its_rerun_gets_what_it_named(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Asker(tmp_path, now=clock)) as asker:
        asker.cell("cell")
        late = parked(asker, timeout_s=5)
        lapsed = parked(asker, "Else?", timeout_s=5, on_timeout="approve")
        clock.seconds = 5
        with pytest.raises(AlreadyDecided, match=r"expired at .*; reject stands"):
            answer(asker, late)
        asker.cell("cell")

        rows = [asker.ask("Go?", timeout_s=5, park=True)]
        rows.append(asker.ask("Else?", timeout_s=5, on_timeout="approve", park=True))

    assert [(row.approval_id, row.status, row.channel) for row in rows] == [
        (late, "expired", "timeout"),
        (lapsed, "approved", "timeout"),
    ]


def test_a_changed_timeout_takes_the_open_question_back(asker: Asker) -> None:
    first = parked(asker, timeout_s=60, on_timeout="approve")
    asker.cell("cell")

    second = parked(asker, timeout_s=60)

    with pytest.raises(AlreadyDecided, match=f"{first} was cancelled"):
        answer(asker, first)
    assert asker.approvals.desk.get(second).status == "open"


def test_code_that_nobody_knows_can_wait_but_not_park(tmp_path: Path) -> None:
    with closing(Asker(tmp_path, typist=Typist(["y", "y"]))) as asker:
        asker.no_cell()
        with pytest.raises(UsageError, match="nobody knows the code"):
            asker.ask("Go?", park=True)
        rows = [asker.ask("Go?") for _ in range(2)]

    assert [(row.approval_id, row.code_sha256) for row in rows] == [
        ("A-0001", None),
        ("A-0002", None),
    ]


def test_a_secret_in_a_message_does_not_reach_the_disk(asker: Asker, tmp_path: Path) -> None:
    parked(asker, "Log in with hunter2?")

    assert asker.approvals.desk.get("A-0001").message == "Log in with [REDACTED:test]?"
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "terms", [{"payload": {1}}, {"timeout_s": -1}, {"on_timeout": "maybe"}], ids=str
)
def test_terms_that_cannot_be_used_ask_nothing(asker: Asker, terms: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        asker.ask("Go?", park=True, **terms)

    assert asker.approvals.desk.list() == []


def test_a_question_its_answer_and_its_use_are_synced_to_the_disk(asker: Asker) -> None:
    said: list[str] = []
    parked(asker, "Open the store")
    asker.cell("cell")
    asker.store._opened().set_trace_callback(said.append)

    parked(asker)
    answer(asker, "A-0002")
    asker.cell("cell")
    asker.ask("Go?", park=True)

    asker.store._opened().set_trace_callback(None)
    # With FULL a commit returns when its bytes are on the disk; see PRAGMA synchronous of SQLite.
    synced = ["PRAGMA synchronous=FULL", "BEGIN IMMEDIATE", "COMMIT", "PRAGMA synchronous=NORMAL"]
    assert [sql for sql in said if sql.startswith(("PRAGMA", "BEGIN", "COMMIT"))] == synced * 3


def test_a_store_that_cannot_be_written_asks_nothing(asker: Asker, tmp_path: Path) -> None:
    parked(asker)
    asker.store._wait_s = 0.05
    asker.store.close()
    with closing(sqlite3.connect(tmp_path / "flow.db", isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        asker.cell("other cell")
        with pytest.raises(StoreError, match="nothing was changed"):
            asker.ask("Go?", park=True)

    assert len(asker.approvals.desk.list()) == 1


def test_a_session_binds_its_questions_to_the_running_cell_and_tells_the_log(
    tmp_path: Path,
) -> None:
    session = assemble(Home(tmp_path / ".flow"), env={}, settings=Settings())
    ids = []
    try:
        for code in ("cell", "cell", "changed cell"):
            cell = session.recorder.begin(CellRequest(code, {}, {}, None, None, 1))
            assert cell is not None
            with pytest.raises(ApprovalPending) as pending:
                session.request_approval("Go?", payload=[1])
            session.recorder.end(cell, None, seals=True)
            ids.append(pending.value.approval_id)
        session.approvals.decide("A-0001", "approve", by="ann", channel="cli")
        cell = session.recorder.begin(CellRequest("cell", {}, {}, None, None, 1))
        assert cell is not None
        assert session.request_approval("Go?", payload=[1]) is True
        session.recorder.end(cell, None, seals=True)
    finally:
        session.close()

    told = [
        (r["approval_id"], r["status"]) for r in TaskLogs(tmp_path / ".flow").records("approval")
    ]
    assert ids == ["A-0001", "A-0001", "A-0002"]
    assert told == [
        ("A-0001", "open"), ("A-0002", "open"), ("A-0001", "approved"), ("A-0001", "approved"),
    ]  # fmt: skip
