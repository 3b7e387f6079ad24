"""What a client says of its request: who it is, and what it knows of the session."""

from collections.abc import Iterator
from typing import Final

import pytest

from flow_kernel.apps.control_client import ControlClient, find_kernel
from flow_kernel.records.home import Home
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran

ASKS: Final = """{
    "name": "asks", "steps": [{"id": "ask", "step_type": "APPROVAL", "code": "Of the run?"}]
}"""
AGENT: Final = {"flow": {"actor": "mcp:a"}}
UNSEEN: Final = {"flow": {"record": False, "actor": "mcp:b"}}


@pytest.fixture(scope="module")
def asked(kernel: Kernel) -> Iterator[ControlClient]:
    kernel.ready()
    with ControlClient.of(find_kernel(Home(kernel.home))) as client:
        yield client


def _expecting(kernel: Kernel, code: str, rev: object) -> Ran:
    return kernel.run(code, metadata={"flow": {"expect_rev": rev}})


@promise("record.actor")
def test_cells_that_a_cell_runs_are_of_whoever_has_sent_it(kernel: Kernel) -> None:
    kernel.run("%task start Steps")
    before = len(kernel.logs.records())
    nested = "get_ipython().run_cell('deep = 1', cell_meta={'flow': {'actor': 'user'}});"
    kernel.run(f"%%step Load\n{nested}", metadata=AGENT)
    kernel.run("of_mine = 1")
    kernel.run("%task finish")

    actors = [
        (record["code"].partition("\n")[0][:16], record["actor"], record["kind"])
        for record in kernel.logs.records()[before:]
        if record["kind"] in ("cell", "cell_started") and record["actor"] != "user"
    ]

    assert {*actors} == {
        (code, "mcp:a", kind)
        for code in ("%%step Load", nested[:16], "deep = 1")
        for kind in ("cell", "cell_started")
    }
    assert kernel.logs.one("cell", code="of_mine = 1")["actor"] == "user"


@promise("record.actor")
def test_what_such_a_cell_asks_is_asked_by_whoever_has_sent_it(kernel: Kernel) -> None:
    (kernel.cwd / "asks.json").write_text(ASKS, encoding="utf-8")
    kernel.run("get_ipython().run_cell('%approve In a cell? --park');", metadata=AGENT)
    kernel.run("%workflow run asks.json", metadata=AGENT)
    kernel.run("%flow pause", metadata=AGENT)
    kernel.run("%task start Unseen", metadata=AGENT)
    unseen = "import flow_kernel as f; f.current_session().context['unseen'] = 1"
    kernel.run(unseen, metadata=AGENT)
    kernel.run("%flow resume", metadata=AGENT)
    kernel.run("%approve Of mine? --park")
    kernel.run("%task finish")

    asked = {record["message"]: record["requested_by"]
             for record in kernel.logs.wait("approval", message="Of mine?", status="open")
             and kernel.logs.records("approval")}  # fmt: skip

    assert asked == {
        "In a cell?": "mcp:a",
        "Of the run?": "mcp:a",
        "Of mine?": "user",
    }
    assert kernel.logs.one("context", key="unseen")["author"] == "mcp:a"


@promise("record.actor")
def test_the_gap_that_unrecorded_cells_leave_names_who_has_sent_them(kernel: Kernel) -> None:
    before = len(kernel.logs.records("hidden"))
    for metadata in (UNSEEN, UNSEEN, {"flow": {"record": False}}):
        kernel.run("unseen = 1", metadata=metadata)
    kernel.run("seen = 1")

    gaps = kernel.logs.records("hidden")[before:]

    assert [(gap["reason"], gap["count"], gap.get("actor")) for gap in gaps] == [
        ("record: false", 2, "mcp:b"),
        ("record: false", 1, None),
    ]


@promise("request.expects")
def test_a_cell_without_a_record_makes_what_others_know_stale(
    kernel: Kernel, asked: ControlClient
) -> None:
    rev = kernel.run("value = 1").seq
    fine = _expecting(kernel, "value", rev)
    kernel.run("value = 2", metadata={"flow": {"record": False}})
    stale = _expecting(kernel, "value = 3", fine.seq)
    kernel.run("%flow pause")
    told = asked.ask("status")["last_seq"]
    paused = _expecting(kernel, "value", told)
    after_its_own = _expecting(kernel, "value", asked.ask("status")["last_seq"])
    kernel.run("value = 4")
    stale_paused = _expecting(kernel, "value = 5", told)
    kernel.run("%flow resume")

    assert (fine.result, paused.result, after_its_own.result) == ("1", "2", "2")
    assert stale.reply["ename"] == stale_paused.reply["ename"] == "StaleRevision"
    assert kernel.run("value").result == "4"
