"""No content of a cell costs its record, and recording follows its switches."""

from typing import Final

import pytest

from tests.kernels import Kernel
from tests.programs import programs
from tests.promises import promise

ODD: Final = programs("content") | {"a_very_long_line": ["x = '" + "y" * 300_000 + "'"]}


@promise("record.always")
@pytest.mark.parametrize("name", ODD)
def test_odd_content_is_recorded_and_read_back(flow: Kernel, name: str) -> None:
    (ran,) = [flow.run(cell) for cell in ODD[name]]

    record = flow.logs.one("cell", seq=ran.seq)
    assert record["msg_id"] == ran.msg_id
    assert record["status"] == ran.status


@promise("record.always")
def test_output_with_lone_surrogates_is_recorded_though_no_client_can_show_it(flow: Kernel) -> None:
    ran = flow.run("print('good'); print('bad \\ud800'); print('more')")

    record = flow.logs.one("cell", seq=ran.seq)
    assert record["code"] == "print('good'); print('bad \\ud800'); print('more')"
    assert record["stdout"] == "good\nbad \\ud800\nmore\n"


@promise("record.off")
def test_metadata_can_switch_the_record_of_a_cell_off(flow: Kernel) -> None:
    flow.run("before = 1")
    count = len(flow.logs.records())

    ran = flow.run("unseen = 'not for the log'", cell_id="c1", metadata={"flow": {"record": False}})
    flow.run("after = 1")

    records = flow.logs.records()[count:]
    assert ran.flow == {}
    assert [(r["kind"], r.get("reason"), r.get("count")) for r in records] == [
        ("hidden", "record: false", 1),
        ("cell_started", None, None),
        ("cell", None, None),
    ]
    assert records[-1]["added_vars"] == ["after"]


@promise("record.off")
def test_recording_can_be_paused_and_resumed(flow: Kernel) -> None:
    flow.run("%flow pause")
    count = len(flow.logs.records("cell"))
    unseen = flow.run("secret_plan = 1")
    flow.run("secret_plan += 1")
    flow.run("%flow resume")
    seen = flow.run("x = 1")

    gap = flow.logs.records("hidden", reason="paused")[-1]
    cells = [r["code"] for r in flow.logs.records("cell")[count:]]
    assert unseen.flow == {}
    assert cells[-1] == "x = 1"
    assert not any("secret_plan" in code for code in cells)
    assert gap["count"] >= 2
    assert flow.logs.one("cell", seq=seen.seq)["status"] == "ok"


@promise("record.off")
def test_configuration_can_switch_recording_off() -> None:
    with Kernel(arguments=["--FlowKernel.record=False"]) as kernel:
        ran = kernel.run("x = 1; x")
        kernel.shutdown()

        assert (ran.result, ran.flow) == ("1", {})
        assert {r["kind"] for r in kernel.logs.records()} <= {"hidden"}


@promise("record.hidden")
def test_a_burst_of_hidden_requests_leaves_one_record(flow: Kernel) -> None:
    from hashlib import sha256

    flow.run("x = 1")
    count = len(flow.logs.records())
    codes = [f"_VSCODE_probe = {i}" for i in range(5)]
    for code in codes[:3]:
        flow.run(code, store_history=False)
    for code in codes[3:]:
        flow.run(code, silent=True)
    flow.run("y = 1")

    hidden, *cells = flow.logs.records()[count:]
    assert (hidden["kind"], hidden["count"], hidden["reason"]) == ("hidden", 5, "hidden")
    assert hidden["code_sha256"] == [sha256(code.encode()).hexdigest() for code in codes]
    assert [r["kind"] for r in cells] == ["cell_started", "cell"]


@promise("record.hidden")
def test_hidden_requests_that_print_fail_or_display_are_no_cells_either(flow: Kernel) -> None:
    flow.run("x = 1")
    count = len(flow.logs.records())

    for code in ("print('probe')", "1/0", "display(1)", "x = ="):
        assert flow.run(code, store_history=False).flow == {}
    flow.run("z = 1")

    assert [r["kind"] for r in flow.logs.records()[count:]] == ["hidden", "cell_started", "cell"]


@promise("record.imports")
def test_what_our_magics_load_is_no_import_of_the_cell() -> None:
    with Kernel() as kernel:
        cells = [
            "%flow log",
            "%task start A --steps one",
            "%%step one\nimport colorsys",
            "%task finish",
            "%flow report",
            "%approve Go on?",
        ]
        for cell in cells:
            kernel.run(cell)
        found = [kernel.logs.records("cell", code=cell)[0]["added_imports"] for cell in cells]

    assert found == [[], [], ["colorsys"], [], [], []]
