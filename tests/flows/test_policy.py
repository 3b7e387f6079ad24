"""Cells that need an answer before they run, in real kernels."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.test_approvals import answer, approvals, flow
from tests.kernels import STOCK, Kernel
from tests.promises import promise

RISKY = "import os\nos.remove('data.csv')\ndone = True"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel(env={"FLOW_APPROVE": "confirm_if_risky"}) as kernel:
        yield kernel.ready()


@pytest.fixture
def data(kernel: Kernel) -> Path:
    path = kernel.cwd / "data.csv"
    path.write_text("1")
    return path


@promise("approval.policy")
def test_a_risky_cell_parks_before_any_of_it_runs_and_its_rerun_goes_on(
    kernel: Kernel, data: Path
) -> None:
    parked = kernel.run(RISKY)
    before = (data.exists(), kernel.run("'done' in dir()").result)
    item = next(item for item in approvals(kernel.home) if item["code"] == RISKY)
    answer(kernel.home, "approve", item["approval_id"])
    changed = kernel.run(f"{RISKY}\n")
    rerun = kernel.run(RISKY)

    assert (parked.reply["ename"], changed.reply["ename"]) == ("ApprovalPending",) * 2
    assert item["message"] == "run a risky cell: deletes files or tables (line 2)"
    assert item["code"] == RISKY
    assert (before, rerun.status, data.exists()) == ((True, "False"), "ok", False)
    record = kernel.logs.records("cell", code=RISKY)[0]
    assert (record["status"], record["code_sha256"]) == ("error", item["code_sha256"])


@promise("approval.policy")
def test_a_rejected_cell_does_not_run_and_says_who_said_no(kernel: Kernel, data: Path) -> None:
    refused = kernel.run(f"{RISKY}  # now", allow_stdin=True, answers=["no, keep it"])

    assert refused.reply["ename"] == "ApprovalRejected"
    assert refused.reply["evalue"].endswith(": keep it; the cell did not run")
    assert data.exists()


@promise("approval.policy")
@pytest.mark.parametrize("how", [{"store_history": False}, {"silent": True}])
def test_a_hidden_request_passes_when_it_is_harmless_and_is_refused_when_not(
    kernel: Kernel, data: Path, how: dict[str, bool]
) -> None:
    probe = kernel.run("import json as _VSCODE_json\n_VSCODE_json.dumps([1])", **how)
    refused = kernel.run(RISKY, **how)

    assert (probe.reply["status"], refused.reply["ename"]) == ("ok", "ApprovalRejected")
    assert refused.reply["evalue"].startswith(
        "a hidden request that deletes files or tables (line 2) is refused"
    )
    assert data.exists()


@promise("approval.policy")
@pytest.mark.parametrize(
    "cell", ["!rm data.csv", "rm data.csv", "%%bash\nrm data.csv", "o = os\no.remove('data.csv')",
             "await asyncio.create_subprocess_shell('rm data.csv')",
             "%%isolated --shell\nrm =data.csv", "# flow: isolated shell\nrm =data.csv",
             "%%isolated '--sh'ell\ndata = 1"],
)  # fmt: skip
def test_each_way_that_ipython_knows_is_looked_at(kernel: Kernel, data: Path, cell: str) -> None:
    kernel.run("import asyncio, os")

    assert kernel.run(cell).reply["ename"] == "ApprovalPending"
    assert data.exists()


@promise("approval.policy")
def test_innocent_cells_and_errors_are_those_of_stock(kernel: Kernel) -> None:
    assert kernel.run("1 + 1").result == "2"
    assert kernel.run("1 +").reply["ename"] == "SyntaxError"
    assert kernel.run("1 / 0").reply["ename"] == "ZeroDivisionError"
    assert kernel.run("%timeit -n 1 -r 1 1").status == "ok"


@promise("approval.policy")
def test_an_interrupt_while_the_question_is_open_runs_nothing(kernel: Kernel, data: Path) -> None:
    cell = kernel.send(f"{RISKY}  # slowly", allow_stdin=True)
    kernel.wait(lambda: bool(kernel.inputs))
    kernel.inputs.pop()

    kernel.interrupt()

    assert kernel.collect(cell).reply["ename"] == "KeyboardInterrupt"
    assert data.exists()
    assert kernel.run("2").result == "2"


@promise("approval.policy")
def test_the_policy_works_in_the_extension_and_leaves_nothing_behind() -> None:
    with Kernel(STOCK, env={"FLOW_APPROVE": "always"}) as kernel:
        kernel.run("before = len(get_ipython().ast_transformers)\n%load_ext flow_kernel")
        parked = kernel.run("x = 1")
        answer(kernel.home, "approve", "A-0001")
        rerun = kernel.run("x = 1")
        kernel.run("%unload_ext flow_kernel")
        answer(kernel.home, "approve", "A-0002")
        kernel.run("%unload_ext flow_kernel")
        left = kernel.run("len(get_ipython().ast_transformers) - before").result

    assert parked.reply["evalue"].startswith("A-0001 run a cell - waits")
    assert (rerun.status, left) == ("ok", "0")


@promise("approval.policy")
@pytest.mark.parametrize("policy", ["confirm_if_risky", "always"])
def test_a_risky_cell_is_refused_after_the_recorder_has_given_up(policy: str) -> None:
    broken = (
        "import flow_kernel; r = flow_kernel.current_session().recorder\n"
        "r.innermost = None\nx = 1\ny = 2\nz = 3"
    )
    with Kernel(env={"FLOW_APPROVE": policy}) as kernel:
        (kernel.cwd / "data.csv").write_text("1")
        if policy == "always":
            kernel.run(broken)
            answer(kernel.home, "approve", "A-0001")
        stopped = kernel.run(broken)
        runs = [kernel.run("import os\nos.remove('data.csv')") for _ in range(2)]
        kept = (kernel.cwd / "data.csv").exists()
        innocent = kernel.run("1 + 1")

    assert (stopped.status, "recording stopped" in stopped.stderr) == ("ok", True)
    assert [run.reply["ename"] for run in runs] == ["ApprovalRejected"] * 2
    assert ("recording has stopped" in runs[0].reply["evalue"], kept) == (True, True)
    assert innocent.status == ("ok" if policy == "confirm_if_risky" else "error")


@promise("approval.stops")
def test_a_line_of_its_own_ends_the_cell_on_a_no_and_goes_on_with_a_yes() -> None:
    with Kernel() as kernel:
        kernel.ready()
        ask = {"allow_stdin": True}
        no = kernel.run("%approve Delete it?\ndeleted = 1", answers=["no"], **ask)
        skipped = kernel.run("%approve Delete it?\ndeleted = 1", answers=["skip"], **ask)
        bound = kernel.run("ok = %approve Delete it?\nbool(ok)", answers=["no"], **ask)
        before = kernel.run("'deleted' in dir()").result
        yes = kernel.run("%approve Delete it?\ndeleted = 1", answers=["y"], **ask)

    assert [ran.reply.get("ename") for ran in (no, skipped)] == ["ApprovalRejected"] * 2
    assert no.reply["evalue"].endswith("; the cell ends here")
    assert (bound.result, before, yes.status) == ("False", "False", "ok")


@promise("approval.asked")
def test_one_question_is_shown_with_all_that_its_answer_is_bound_to() -> None:
    with Kernel() as kernel:
        kernel.ready()
        kernel.run(
            "import flow_kernel\nflow_kernel.current_session().request_approval("
            "'Pay?', payload={'amount': 3}, timeout_s=600, remind_s=120)"
        )
        shown = flow(kernel.home, "approvals", "a-0001").stdout
        card = kernel.run(
            "import flow_kernel\n_s = flow_kernel.current_session().approvals.desk.get('A-0001')"
        )

    assert card.status == "ok"
    for part in ("│ import flow_kernel", '│   "amount": 3', "then: reject", "every 120 s"):
        assert part in shown
