"""What a running session tells, and does, because somebody outside asks on its control channel."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flow_kernel.apps.control_client import ControlClient, find_kernel
from flow_kernel.errors import (
    AlreadyDecided,
    FlowError,
    NotFound,
    StoreError,
    UsageError,
)
from flow_kernel.records.home import Home
from tests.kernels import Kernel
from tests.promises import promise
from tests.rest import Settled

_CHANGES = ["cell", "task", "step", "context", "tag", "approval", "rollback", "plan", "run"]
"""What a request may change; workers and checkpoints come and go by themselves."""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    # Checkpoints are written at no certain moment, and so are their records.
    with Kernel(arguments=("--FlowKernel.checkpoint_steps=False",)) as kernel:
        kernel.ready()
        kernel.run("import threading")
        yield kernel


@pytest.fixture(scope="module")
def asked(kernel: Kernel) -> Iterator[ControlClient]:
    with ControlClient.of(find_kernel(Home(kernel.home))) as client:
        yield client


@pytest.fixture(autouse=True)
def _idle_again(kernel: Kernel, asked: ControlClient) -> Iterator[None]:
    """A test that fails leaves no cell behind that holds up the others."""
    yield
    cell = asked.ask("status")["cell"]
    if isinstance(cell, dict):
        asked.ask("cancel", msg_id=cell["msg_id"])
        kernel.collect(cell["msg_id"])
    kernel.inputs.clear()


def _begun(kernel: Kernel, code: str, **options: Any) -> str:
    """The id of a cell that runs by now and prints `begun` first."""
    seen = kernel.stream().count("begun")
    msg_id = kernel.send(f"print('begun')\n{code}", **options)
    kernel.wait(lambda: kernel.stream().count("begun") > seen)
    return msg_id


def _question(kernel: Kernel, message: str) -> tuple[str, str]:
    """The ids of a cell that waits for an answer, and of its question."""
    before = len(kernel.inputs)
    msg_id = kernel.send(f"ok = %approve {message}\nprint(bool(ok))", allow_stdin=True)
    kernel.wait(lambda: len(kernel.inputs) > before)
    return msg_id, kernel.inputs[-1]["content"]["prompt"].split(":")[0]


def _open_questions(asked: ControlClient, message: str) -> list[str]:
    """The ids of those that say that."""
    told = asked.ask("status")["approvals"]
    assert isinstance(told, list)
    return [one["approval_id"] for one in told if one["message"] == message]


def _ended(kernel: Kernel, msg_id: str) -> str:
    kernel.wait(lambda: msg_id in kernel.replies)
    kernel.inputs.clear()
    return kernel.collect(msg_id).stdout


@promise("control.answered")
@pytest.mark.parametrize("work", ["threading.Event().wait()", "while True: pass"])
def test_status_names_the_cell_that_runs_while_it_blocks_or_computes(
    kernel: Kernel, asked: ControlClient, work: str
) -> None:
    msg_id = _begun(kernel, work, cell_id="c-1")

    told = asked.ask("status")

    cell = told["cell"]
    assert isinstance(cell, dict)
    assert told["busy"] is True
    assert (cell["msg_id"], cell["cell_id"]) == (msg_id, "c-1")
    assert cell["code"] == f"print('begun')\n{work}"
    assert cell["elapsed_ms"] > 0
    assert asked.ask("cancel", msg_id=msg_id) == {"cancelled": True}
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    idle = asked.ask("status")
    assert (idle["busy"], idle["cell"], idle["pid"]) == (False, None, kernel.pid)
    assert idle["home"] == str(kernel.home)


@promise("control.answered")
def test_secrets_of_the_running_cell_are_not_told(kernel: Kernel, asked: ControlClient) -> None:
    msg_id = _begun(kernel, "secret_token = 'hunter2hunter2'\nthreading.Event().wait()")

    cell = asked.ask("status")["cell"]

    assert isinstance(cell, dict)
    assert "hunter2" not in str(cell["code"])
    asked.ask("cancel", msg_id=msg_id)
    kernel.collect(msg_id)


@promise("control.answered")
def test_history_gives_the_records_since_a_number_and_pages_back(
    kernel: Kernel, asked: ControlClient
) -> None:
    since = asked.ask("status")["last_seq"]
    ran = [kernel.run(f"page_{number} = {number}") for number in range(5)]
    seqs = [each.seq for each in ran]

    whole = asked.ask("history", since_seq=since, kinds=["cell"])
    last = asked.ask("history", since_seq=since, kinds=["cell"], limit=2, fields=["code"])
    before = asked.ask("history", since_seq=since, kinds=["cell"], limit=2, before_seq=last["next"])

    assert [item["seq"] for item in _items(whole)] == seqs
    assert whole["next"] is None
    assert whole["last_seq"] == seqs[-1]
    assert _items(last) == [
        {"kind": "cell", "seq": seqs[number], "code": f"page_{number} = {number}"}
        for number in (3, 4)
    ]
    assert last["next"] == seqs[3]
    assert [item["seq"] for item in _items(before)] == seqs[1:3]


@promise("control.answered")
def test_history_follows_the_session_through_its_tasks(
    kernel: Kernel, asked: ControlClient
) -> None:
    since = asked.ask("status")["last_seq"]
    for code in ("a_1 = 1", "%task start Elsewhere", "a_2 = 2", "%task finish", "a_3 = 3"):
        kernel.run(code)

    told = _items(asked.ask("history", since_seq=since, kinds=["cell"], fields=["task_id"]))

    assert len({item["task_id"] for item in told}) == 2
    assert [item["seq"] for item in told] == sorted(item["seq"] for item in told)
    assert len(told) == 5


@promise("control.answered")
def test_variables_are_told_as_the_last_records_have_them(
    kernel: Kernel, asked: ControlClient
) -> None:
    kernel.run("kept, dropped = [1], 2")
    kernel.run("kept = {'a': 1, 'b': 2}\ndel dropped")
    msg_id = _begun(kernel, "threading.Event().wait()")

    told = asked.ask("variables", names=["kept", "dropped", "never"])

    assert [(each["name"], each["type"], each["len"]) for each in _items(told)] == [
        ("kept", "dict", 2)
    ]
    assert told["is_complete"] is True
    asked.ask("cancel", msg_id=msg_id)
    kernel.collect(msg_id)


@promise("control.obeyed")
@pytest.mark.parametrize(
    ("decision", "outcome"), [("yes", "True\n"), ("no", "False\n"), ("skip", "False\n")]
)
def test_a_question_is_answered_while_its_cell_waits(
    kernel: Kernel, asked: ControlClient, decision: str, outcome: str
) -> None:
    msg_id, approval_id = _question(kernel, f"Say {decision}?")
    open_now = asked.ask("status")["approvals"]

    row = asked.ask("approve", approval_id=approval_id, decision=decision, by="ann", comment="so")

    assert isinstance(open_now, list)
    assert [each["approval_id"] for each in open_now] == [approval_id]
    assert (row["decided_by"], row["channel"], row["comment"]) == ("ann", "control", "so")
    assert _ended(kernel, msg_id).endswith(outcome)
    with pytest.raises(AlreadyDecided):
        asked.ask("approve", approval_id=approval_id, decision="yes")


@promise("control.obeyed")
def test_an_answer_is_used_once_and_by_whoever_has_asked(asked: ControlClient) -> None:
    approval_id = asked.ask("ask", message="Mine?", code="mine()", by="mcp:me")["approval_id"]
    early = asked.ask("use", approval_id=approval_id, by="mcp:me")
    asked.ask("approve", approval_id=approval_id, decision="yes", by="ann")
    used = [
        asked.ask("use", approval_id=approval_id, by=by)["used"]
        for by in ("mcp:other", "mcp:me", "mcp:me")
    ]

    assert (early["used"], used) == (False, [False, True, False])
    again = asked.ask("ask", message="Mine?", code="mine()", by="mcp:me")
    assert (again["status"], again["approval_id"] == approval_id) == ("open", False)
    asked.ask("cancel", approval_id=again["approval_id"])


@promise("control.obeyed")
def test_of_two_who_decide_at_once_one_wins(kernel: Kernel, asked: ControlClient) -> None:
    msg_id, approval_id = _question(kernel, "Race?")
    won: list[str] = []
    gate = threading.Barrier(8)

    def decide(decision: str) -> None:
        with ControlClient.of(find_kernel(Home(kernel.home))) as client:
            gate.wait()
            try:
                client.ask("approve", approval_id=approval_id, decision=decision)
            except AlreadyDecided:
                return
            won.append(decision)

    threads = [
        threading.Thread(target=decide, args=(word,)) for word in ("yes", "no") for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert _ended(kernel, msg_id).endswith("True\n" if won == ["yes"] else "False\n")


@promise("control.obeyed")
def test_a_question_that_is_taken_back_lets_its_cell_go_on_without_a_yes(
    kernel: Kernel, asked: ControlClient
) -> None:
    msg_id, approval_id = _question(kernel, "Never mind?")

    told = asked.ask("cancel", approval_id=approval_id)

    assert told["cancelled"] is True
    assert _ended(kernel, msg_id).endswith("False\n")


@promise("control.answered")
def test_a_cell_that_holds_the_store_holds_up_no_look_and_an_answer_for_a_second(
    kernel: Kernel, asked: ControlClient
) -> None:
    kernel.run("%approve Parked? --park")
    msg_id = _begun(
        kernel,
        "from flow_kernel import current_session\n"
        "with current_session().tasks.flow.store.write():\n"
        "    print('holds it'); threading.Event().wait()",
    )
    kernel.wait(lambda: "holds it" in kernel.stream(parent=msg_id))

    (question,) = _open_questions(asked, "Parked?")
    with pytest.raises(StoreError, match="nothing was changed") as refused:
        asked.ask("approve", approval_id=question, decision="yes")
    asked.ask("cancel", msg_id=msg_id)
    kernel.collect(msg_id)

    assert refused.value.hint
    assert asked.ask("approve", approval_id=question, decision="yes")["status"] == "approved"
    assert _open_questions(asked, "Parked?") == []


@promise("control.obeyed")
def test_a_cell_that_is_not_recorded_is_given_up_by_its_name_too(
    kernel: Kernel, asked: ControlClient
) -> None:
    unseen = {"flow": {"record": False}}
    msg_id = _begun(kernel, "threading.Event().wait()", metadata=unseen, stop_on_error=False)
    after = kernel.send("print('went on')", metadata=unseen)

    told = [asked.ask("cancel", msg_id=each)["cancelled"] for each in (after, msg_id)]

    assert told == [False, True]
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    kernel.wait(lambda: after in kernel.replies)
    over = [asked.ask("cancel", msg_id=each)["cancelled"] for each in (after, msg_id)]
    assert over == [False, False]


@promise("control.obeyed")
def test_only_the_cell_that_is_named_is_given_up(kernel: Kernel, asked: ControlClient) -> None:
    ended = kernel.run("1")
    msg_id = _begun(kernel, "threading.Event().wait()")

    assert asked.ask("cancel", msg_id=ended.msg_id) == {"cancelled": False}
    assert asked.ask("cancel", msg_id="nobody's") == {"cancelled": False}
    assert asked.ask("status")["busy"] is True
    assert asked.ask("cancel", msg_id=msg_id) == {"cancelled": True}
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"


@promise("control.obeyed")
def test_what_a_worker_does_is_interrupted_and_the_worker_lives_on(
    kernel: Kernel, asked: ControlClient
) -> None:
    kernel.run("%%isolated\nkept_there = 1")
    msg_id = kernel.send("%%isolated\nprint('begun', flush=True)\nimport time\ntime.sleep(60)")
    kernel.wait(lambda: "begun" in kernel.stream(parent=msg_id))
    kernel.wait(lambda: bool(_busy_workers(asked)))

    told = asked.ask("interrupt", worker_id=_busy_workers(asked)[0])

    assert told == {"interrupted": True}
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.run("%%isolated\nprint(kept_there)").stdout == "1\n"


@promise("control.obeyed")
def test_a_cell_in_the_background_is_given_up_by_its_name(
    kernel: Kernel, asked: ControlClient
) -> None:
    kernel.run("%%isolated --bg\nimport time\ntime.sleep(60)")
    kernel.run("job = _")

    assert asked.ask("cancel", job_id="j1") == {"cancelled": True}
    kernel.run("job.wait(10)")
    assert asked.ask("cancel", job_id="j1") == {"cancelled": False}


@promise("control.bounded")
@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ({"op": "nothing"}, UsageError, "an op is one of: register"),
        ({"op": "history", "limit": 501}, UsageError, "limit is a whole number"),
        ({"op": "history", "limit": -1}, UsageError, "limit is a whole number"),
        ({"op": "history", "limit": True}, UsageError, "limit is a whole number"),
        ({"op": "history", "since_seq": "x" * 10_000}, UsageError, "since_seq is a whole"),
        ({"op": "history", "kinds": "cell"}, UsageError, "kinds is a list"),
        ({"op": "history", "fields": [1]}, UsageError, "fields is a list"),
        ({"op": "variables", "names": {"a": 1}}, UsageError, "names is a list"),
        ({"op": "variables", "names": ["x"] * 1001}, UsageError, "at most 1000"),
        ({"op": "approve"}, UsageError, "decision is a text"),
        ({"op": "approve", "decision": "maybe"}, UsageError, "a decision is one of"),
        ({"op": "approve", "decision": "yes", "approval_id": "1"}, UsageError, "approval id"),
        ({"op": "approve", "decision": "yes", "approval_id": "A-9999"}, NotFound, "A-9999"),
        (
            {"op": "approve", "decision": "yes", "approval_id": "A-0001", "by": "x" * 201},
            UsageError,
            "at most 200",
        ),
        ({"op": "use", "approval_id": "A-0001"}, UsageError, "by is a text"),
        ({"op": "use", "approval_id": "A-9999", "by": "me"}, NotFound, "A-9999"),
        ({"op": "cancel"}, UsageError, "name one of"),
        ({"op": "cancel", "msg_id": "a", "job_id": "b"}, UsageError, "name one of"),
        ({"op": "cancel", "job_id": "j999"}, NotFound, "j999"),
        ({"op": "interrupt", "worker_id": "w999"}, NotFound, "w999"),
        ({"op": "interrupt", "worker_id": ["w1"]}, UsageError, "worker_id is a text"),
    ],
)
def test_a_request_that_cannot_be_followed_says_why_and_changes_nothing(
    asked: ControlClient, request_: dict[str, Any], error: type[FlowError], says: str
) -> None:
    before = asked.ask("history", limit=1, kinds=_CHANGES)["items"]

    with pytest.raises(error, match=says):
        asked.ask(**request_)

    assert asked.ask("history", limit=1, kinds=_CHANGES)["items"] == before


@promise("control.bounded")
def test_front_ends_do_not_see_a_busy_kernel_because_it_is_asked(
    kernel: Kernel, asked: ControlClient
) -> None:
    kernel.run("1")
    kernel.wait(Settled(kernel.pid))
    seen = len(kernel.heard)

    for op in ("status", "history", "variables"):
        asked.ask(op)
    marked = kernel.run("2")

    assert {m["parent_header"].get("msg_id") for m in kernel.heard[seen:]} == {marked.msg_id}


def _busy_workers(asked: ControlClient) -> list[str]:
    workers = asked.ask("status")["workers"]
    assert isinstance(workers, list)
    return [each["worker_id"] for each in workers if each["state"] == "busy"]


def _items(told: dict[str, object]) -> list[dict[str, Any]]:
    items = told["items"]
    assert isinstance(items, list)
    return items
