"""Which cell, request, task and parent a record belongs to, and what the reply acknowledges."""

import os
import re
import stat
from hashlib import sha256

import pytest

from flow_kernel.records.codec import NO_PREVIOUS, link
from tests.kernels import Kernel
from tests.promises import promise

HEADER = ["v", "kind", "session", "seq", "plan_id", "task_id", "timestamp", "prev"]
STARTED = [
    "cell_id",
    "execution_count",
    "msg_id",
    "span_id",
    "parent_span_id",
    "trace_id",
    "actor",
    "code",
    "code_sha256",
    "redacted",
]
CELL = [
    "success", "status", "elapsed_ms", "step", "cell_id", "execution_count", "msg_id", "span_id",
    "parent_span_id", "trace_id", "actor", "worker", "code", "code_sha256", "stdout", "stderr",
    "result", "outputs", "error", "added_vars", "changed_vars", "removed_vars", "mutated_vars",
    "vars", "added_imports", "imports", "loads", "stores", "cpu_ms", "rss_bytes", "truncated",
    "redacted", "recorder_us",
]  # fmt: skip


@promise("record.identity")
def test_a_cell_leaves_two_records_with_one_span(flow: Kernel) -> None:
    code = "value = 6 * 7\nvalue"

    ran = flow.run(code, cell_id="id-of-the-cell", metadata={"tags": ["t"]})

    started, cell = (flow.logs.one(kind, msg_id=ran.msg_id) for kind in ("cell_started", "cell"))
    assert [*started] == [*HEADER, *STARTED, "crc"]
    assert [*cell] == [*HEADER, *CELL, "crc"]
    shared = {k: cell[k] for k in STARTED}
    assert {k: started[k] for k in STARTED} == shared
    assert shared["code"] == code
    assert shared["code_sha256"] == sha256(code.encode()).hexdigest()
    assert shared["cell_id"] == "id-of-the-cell"
    assert shared["execution_count"] == ran.reply["execution_count"]
    assert (shared["parent_span_id"], shared["actor"], cell["worker"], cell["step"]) == (
        None,
        "user",
        None,
        None,
    )
    assert re.fullmatch("[0-9a-f]{16}", shared["span_id"])
    assert re.fullmatch("[0-9a-f]{32}", shared["trace_id"])
    assert re.fullmatch("[0-9a-f]{32}", cell["session"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", cell["timestamp"])
    assert (cell["v"], cell["plan_id"], cell["task_id"]) == (1, "local", "T-0000")
    assert (started["seq"] + 1, cell["elapsed_ms"] > 0, cell["rss_bytes"] > 2**20) == (
        cell["seq"],
        True,
        True,
    )


@promise("record.acknowledged")
def test_the_reply_carries_the_facts_of_the_record(flow: Kernel) -> None:
    flow.run("import sys; sys.modules.pop('wave', None); old = [1]; gone = 1; same = 2")

    ran = flow.run("import wave; old.append(2); del gone; same = 3; new = 4")

    record = flow.logs.one("cell", msg_id=ran.msg_id)
    assert ran.flow == {
        "added_vars": ["new", "wave"],
        "changed_vars": ["same"],
        "removed_vars": ["gone"],
        "mutated_vars": ["old"],
        "added_imports": ["wave"],
        "elapsed_ms": record["elapsed_ms"],
        "execution": "local",
        "seq": record["seq"],
    }
    assert {k: record[k] for k in ran.flow if k.endswith(("vars", "imports"))} == {
        k: v for k, v in ran.flow.items() if k.endswith(("vars", "imports"))
    }


@promise("record.acknowledged")
def test_a_failed_cell_is_acknowledged_too(flow: Kernel) -> None:
    ran = flow.run("kept = 1\n1/0")

    assert ran.flow["added_vars"] == ["kept"]
    assert flow.logs.one("cell", seq=ran.seq)["status"] == "error"


@promise("record.identity")
def test_numbers_have_no_gap_and_each_line_names_the_one_before() -> None:
    with Kernel() as kernel:
        for code in ("x = 1", "1/0", "print(2)", "x = =", "get_ipython().run_cell('y = 1')"):
            kernel.run(code)
        kernel.run("_probe", store_history=False)
        kernel.shutdown()

        (log,) = kernel.home.glob("log/*/*.jsonl")
        lines = [line for line in log.read_bytes().split(b"\n") if line]
        records = kernel.logs.records()
        assert log.relative_to(kernel.home).as_posix() == "log/local/T-0000.jsonl"
        assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
        assert [r["prev"] for r in records] == [NO_PREVIOUS, *(link(line) for line in lines[:-1])]
        assert len({r["session"] for r in records}) == 1


@promise("record.identity")
def test_a_nested_cell_names_its_parent(flow: Kernel) -> None:
    ran = flow.run(
        "outer = 1\nget_ipython().run_cell('inner = 2; print(inner)', store_history=True)\nlast = 3"
    )

    outer, *_ = [
        r for r in flow.logs.records("cell", msg_id=ran.msg_id) if r["parent_span_id"] is None
    ]
    (inner,) = flow.logs.records("cell", parent_span_id=outer["span_id"])
    assert inner["code"] == "inner = 2; print(inner)"
    assert inner["added_vars"] == ["inner"]
    assert {"outer", "last", "inner"} <= set(outer["added_vars"])
    assert inner["seq"] < outer["seq"]
    assert "2\n" in outer["stdout"] + inner["stdout"]


@promise("record.identity")
def test_nested_cells_that_fail_and_nest_deeper_keep_their_order(flow: Kernel) -> None:
    ran = flow.run(
        "ip = get_ipython()\n"
        "def dive(n):\n"
        "    ip.run_cell(f'd{n} = 1\\nif {n}: dive({n} - 1)\\nelse: 1/0', store_history=True)\n"
        "dive(2)"
    )

    top = flow.logs.one("cell", msg_id=ran.msg_id, parent_span_id=None)
    chain = [top]
    while below := flow.logs.records("cell", parent_span_id=chain[-1]["span_id"]):
        chain += below
    assert [r["status"] for r in chain] == ["ok", "ok", "ok", "error"]
    assert [r["added_vars"] for r in chain[1:]] == [["d0", "d1", "d2"], ["d0", "d1"], ["d0"]]


@promise("record.identity")
def test_the_environment_names_plan_and_task() -> None:
    env = {"FLOW_PLAN_ID": "thesis", "FLOW_TASK_ID": "T-0042"}
    with Kernel(env=env) as kernel:
        kernel.run("x = 1")

        (record,) = kernel.logs.records("cell")
        assert (record["plan_id"], record["task_id"]) == ("thesis", "T-0042")
        assert (kernel.home / "log/thesis/T-0042.jsonl").is_file()


@promise("record.identity")
@pytest.mark.parametrize("bad", ["../../etc", "nonsense", "T-0", "T-0001/../x"])
def test_an_ill_formed_task_id_means_the_adhoc_task_and_is_said_once(bad: str) -> None:
    with Kernel(env={"FLOW_TASK_ID": bad}) as kernel:
        first, second = kernel.run("x = 1"), kernel.run("x = 2")

        assert [(r["plan_id"], r["task_id"]) for r in kernel.logs.records("cell")] == [
            ("local", "T-0000")
        ] * 2
        assert bad in first.stderr
        assert second.stderr == ""


@promise("record.identity")
def test_records_are_private_and_kept_out_of_commits(flow: Kernel) -> None:
    flow.run("x = 1")

    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in flow.home.rglob("*") if path.is_file()}
    folders = {
        stat.S_IMODE(os.stat(p).st_mode) for p in [flow.home, *flow.home.rglob("*")] if p.is_dir()
    }
    assert (modes, folders) == ({0o600}, {0o700})
    assert (flow.home / ".gitignore").read_text(encoding="utf-8") == "*\n"


@promise("record.identity")
def test_a_cell_that_forks_is_recorded_once(flow: Kernel) -> None:
    ran = flow.run(
        "import os\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    get_ipython().run_cell('in_child = 1'); os._exit(0)\n"
        "_w = os.waitpid(pid, 0)"
    )

    assert flow.logs.one("cell", msg_id=ran.msg_id)["seq"] == ran.seq
    assert [r for r in flow.logs.records() if "in_child" in r.get("added_vars", [])] == []


@promise("record.identity")
def test_without_flow_home_records_lie_in_the_project_and_not_in_the_users_home() -> None:
    with Kernel(env={"FLOW_HOME": None}) as kernel:
        kernel.run("x = 1")

        assert (kernel.cwd / ".flow/log/local/T-0000.jsonl").is_file()
