"""What a client says of its request: who it is, and what it knows of the session."""

from typing import Final

from tests.kernels import Kernel
from tests.promises import promise

ASKS: Final = """{
    "name": "asks", "steps": [{"id": "ask", "step_type": "APPROVAL", "code": "Of the run?"}]
}"""
AGENT: Final = {"flow": {"actor": "mcp:a"}}
UNSEEN: Final = {"flow": {"record": False, "actor": "mcp:b"}}


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
