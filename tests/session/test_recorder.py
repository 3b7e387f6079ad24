"""The recorder by itself: cells given by hand, records read back from the log."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.assembly import assemble
from flow_kernel.session.cell import CellRequest, Failure
from flow_kernel.session.session import Session
from flow_kernel.settings import Settings

Records = list[dict[str, object]]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = assemble(Home(tmp_path / ".flow"), env={}, settings=Settings())
    yield opened
    opened.close()


def request_for(
    code: str, namespace: dict[str, object], *, msg_id: str | None = "m1"
) -> CellRequest:
    return CellRequest(
        code=code,
        namespace=namespace,
        hidden={},
        msg_id=msg_id,
        cell_id=None,
        execution_count=1,
    )


def run(
    session: Session,
    code: str,
    namespace: dict[str, object],
    *,
    msg_id: str = "m1",
    during: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """One cell, executed for real, as the shell would report it."""
    recorder = session.recorder
    cell = recorder.begin(request_for(code, namespace, msg_id=msg_id))
    assert cell is not None
    compiled = compile(code, "<cell>", "exec")
    cell.names.add(compiled)
    exec(compiled, namespace)
    namespace.pop("__builtins__", None)
    during()
    recorder.end(cell, None, seals=False)
    facts = recorder.seal(msg_id, None)
    assert facts is not None
    return facts


def records(session: Session, kind: str) -> Records:
    return list(session.history.records(kind))


def test_a_cell_leaves_a_start_and_an_end_with_one_span(session: Session) -> None:
    namespace: dict[str, object] = {"x": 1, "L": []}
    facts = run(session, "y = x\nx = 2\nL.append(3)", namespace)
    (started,), (cell,) = records(session, "cell_started"), records(session, "cell")
    assert (started["seq"], cell["seq"], facts["seq"]) == (1, 2, 2)
    assert started["span_id"] == cell["span_id"]
    assert {k: cell[k] for k in ("added_vars", "changed_vars", "removed_vars", "mutated_vars")} == {
        "added_vars": ["y"],
        "changed_vars": ["x"],
        "removed_vars": [],
        "mutated_vars": ["L"],
    }
    assert (cell["loads"], cell["stores"]) == (["L", "x"], ["x", "y"])
    assert (cell["success"], cell["status"], cell["error"]) == (True, "ok", None)


def test_the_start_is_on_disk_before_the_cell_runs(session: Session) -> None:
    seen: Records = []
    run(session, "a = 1", {}, during=lambda: seen.extend(records(session, "cell_started")))
    assert [record["code"] for record in seen] == ["a = 1"]


def test_output_goes_to_the_request_that_caused_it(session: Session) -> None:
    recorder = session.recorder

    def talk() -> None:
        recorder.stream("m1", "stdout", "mine\n")
        recorder.stream("unknown", "stdout", "not mine\n")

    run(session, "pass", {}, during=talk)
    recorder.stream("m1", "stderr", "too late\n")
    (cell,), (late,) = records(session, "cell"), records(session, "late")
    assert (cell["stdout"], cell["stderr"]) == ("mine\n", "")
    assert {k: late[k] for k in ("msg_id", "span_id", "stream", "text")} == {
        "msg_id": "m1",
        "span_id": cell["span_id"],
        "stream": "stderr",
        "text": "too late\n",
    }


def test_a_flood_of_late_output_is_kept_within_the_budget_of_a_cell(session: Session) -> None:
    run(session, "pass", {})
    for _ in range(20):
        session.recorder.stream("m1", "stdout", "x" * 30_000)
    kept = [str(record["text"]) for record in records(session, "late")]
    assert sum(map(len, kept)) == session.settings.recorder.stream_chars
    assert records(session, "late")[-1]["truncated"] == {"text": 30_000}


def test_nested_cells_name_the_cell_that_ran_them(session: Session) -> None:
    recorder = session.recorder
    outer = recorder.begin(request_for("outer", {}))
    inner = recorder.begin(request_for("inner", {}))
    assert outer is not None
    assert inner is not None
    recorder.end(inner, None, seals=False)
    recorder.end(outer, None, seals=False)
    recorder.seal("m1", None)
    first, second = records(session, "cell")
    assert (first["code"], first["parent_span_id"]) == ("inner", second["span_id"])
    assert (second["code"], second["parent_span_id"]) == ("outer", None)


def test_a_failure_is_an_object_with_its_line_and_text(session: Session) -> None:
    recorder = session.recorder
    cell = recorder.begin(request_for("1/0", {}))
    assert cell is not None
    cell.error_line = 1
    failure = Failure(ename="ZeroDivisionError", evalue="division by zero", traceback=("a", "b"))
    recorder.end(cell, failure, seals=False)
    recorder.seal("m1", failure)
    (record,) = records(session, "cell")
    assert (record["success"], record["status"]) == (False, "error")
    assert record["error"] == {
        "ename": "ZeroDivisionError",
        "evalue": "division by zero",
        "traceback": ["a", "b"],
        "line": 1,
    }


def test_a_cell_that_was_never_sealed_is_written_before_the_next(session: Session) -> None:
    recorder = session.recorder
    lost = recorder.begin(request_for("lost", {}, msg_id="m1"))
    assert lost is not None
    recorder.end(lost, None, seals=False)
    run(session, "pass", {}, msg_id="m2")
    assert [record["code"] for record in records(session, "cell")] == ["lost", "pass"]


def test_hidden_requests_are_one_record_a_burst(session: Session) -> None:
    for code in ("a", "b", "a"):
        session.recorder.hidden(code, "hidden")
    run(session, "pass", {})
    (burst,) = records(session, "hidden")
    hashes = burst["code_sha256"]
    assert isinstance(hashes, list)
    assert (burst["count"], burst["reason"], len(hashes)) == (3, "hidden", 3)
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_pause_is_a_gap_that_the_log_notes_without_the_code(session: Session) -> None:
    recorder = session.recorder
    recorder.pause()
    assert recorder.begin(request_for("secret", {})) is None
    recorder.resume()
    run(session, "pass", {})
    (gap,) = records(session, "hidden")
    assert (gap["count"], gap["reason"], gap["code_sha256"]) == (1, "paused", [])
    assert [record["code"] for record in records(session, "cell")] == ["pass"]


def test_an_aborted_cell_is_recorded_as_such(session: Session) -> None:
    session.recorder.aborted(request_for("never ran", {}))
    (cell,) = records(session, "cell")
    assert (cell["status"], cell["success"]) == ("aborted", False)


def test_a_forked_child_records_nothing(session: Session) -> None:
    recorder = session.recorder
    cell = recorder.begin(request_for("fork", {}))
    assert cell is not None
    pid = os.fork()
    if pid == 0:
        recorder.stream("m1", "stdout", "child")
        recorder.end(cell, None, seals=True)
        recorder.close()
        os._exit(0)
    os.waitpid(pid, 0)
    recorder.end(cell, None, seals=False)
    recorder.seal("m1", None)
    (record,) = records(session, "cell")
    assert record["stdout"] == ""


def test_cells_of_two_threads_do_not_nest(session: Session) -> None:
    recorder = session.recorder
    outer = recorder.begin(request_for("main", {}, msg_id="m1"))
    assert outer is not None
    thread = threading.Thread(target=lambda: run(session, "other = 1", {}, msg_id="m2"))
    thread.start()
    thread.join()
    recorder.end(outer, None, seals=False)
    recorder.seal("m1", None)
    assert [record["parent_span_id"] for record in records(session, "cell")] == [None, None]


def test_secrets_never_reach_the_disk(tmp_path: Path) -> None:
    secret = "hunter2" + "-correct-horse"
    home = Home(tmp_path / ".flow")
    session = assemble(home, env={"SERVICE_TOKEN": secret}, settings=Settings())

    def talk() -> None:
        session.tail.note(f"token is {secret}\n")
        session.recorder.stream("m1", "stdout", f"token is {secret}\n")
        session.recorder.display("m1", {"text/plain": repr(secret)}, is_result=True)

    run(session, f"token = {secret!r}", {}, during=talk)
    session.recorder.stream("m1", "stdout", secret)
    for path in home.root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    (cell,) = records(session, "cell")
    redacted = cell["redacted"]
    assert isinstance(redacted, int)
    assert redacted >= 3
    session.close()


def test_a_home_that_cannot_be_made_is_said_once_and_recording_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    session = assemble(Home(blocked / ".flow"), env={}, settings=Settings())
    facts = run(session, "x = 1", {})
    assert "in memory" in session.notices.take()
    run(session, "x = 2", {})
    assert session.notices.take() == ""
    assert facts["added_vars"] == ["x"]
    assert "seq" not in facts
    session.close()


def test_a_session_that_ends_in_order_leaves_nothing_but_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    session = assemble(home, env={}, settings=Settings())
    run(session, "pass", {})
    session.close()
    session.close()
    assert list(home.run_dir.iterdir()) == []
    assert [path.name for path in home.log_files()] == ["T-0000.jsonl"]
