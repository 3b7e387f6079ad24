"""The watchdog in real kernels: what does not go on is told, with the reason; all else is not."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.isolation.worker_looks import Looks
from tests.blocked_scripts import BLOCKED, Blocked
from tests.blocked_scripts import QUICK as BLOCKED_QUICK
from tests.flows.test_events import Agent
from tests.flows.test_workers import named, told
from tests.honest_scripts import QUICK, honest
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FRESH = "%%isolated --in none"
QUICK_S = 2.6
SOAK_S = 10.0
AT_ONCE = 8
Record = dict[str, Any]


def begin(kernel: Kernel, code: str, options: str = "") -> str:
    """Send a cell that runs beside others in a worker of its own; returns its msg_id."""
    subshell = kernel.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    options = options if "--worker" in options else f"--fresh {options}"
    return kernel.send(f"{FRESH} {options}\n{code}", subshell=subshell, allow_stdin=True)


def blocks(kernel: Kernel) -> dict[str, Record]:
    """The first block that was recorded of each job."""
    found: dict[str, Record] = {}
    for record in kernel.logs.records("worker", state="blocked"):
        found.setdefault(record["detail"]["job_id"], record)
    return found


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Record]]:
    """What was recorded of each blocked script, all of them at once until they are told."""
    with Kernel() as kernel:
        kernel.ready()
        ok(kernel, f"{FRESH}\n1")
        scripts = BLOCKED if "soak" in request.config.option.markexpr else BLOCKED_QUICK
        sent = {begin(kernel, each.code, each.options): each.name for each in scripts}
        told: dict[str, Record] = {}
        while len(told) < len(sent):
            if not kernel.wait(lambda: len(blocks(kernel)) > len(told), timeout=30, fail=False):
                break
            for job_id, record in blocks(kernel).items():
                if job_id not in told:  # the others may have its processor
                    told[job_id] = record
                    kernel.run(f"%workers stop {record['worker_id']}")
        yield {sent[job_id]: record for job_id, record in told.items()}


def ran_honest(names: tuple[str, ...], seconds: float) -> tuple[dict[str, Ran], list[Record]]:
    """How they ended, and what was told of them."""
    scripts = honest()
    with Kernel() as kernel:
        kernel.ready()
        ok(kernel, f"{FRESH}\n1")
        sent = {name: begin(kernel, f"SECONDS = {seconds}\n{scripts[name]}") for name in names}
        answers = iter(lambda: "Ada", None)
        ran = {
            name: kernel.collect(msg_id, timeout=120, answers=answers)
            for name, msg_id in sent.items()
        }
        return ran, kernel.logs.records("worker", state="blocked")


@promise("isolated.blocked")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(each, marks=() if each in BLOCKED_QUICK else pytest.mark.soak)
        for each in BLOCKED
    ],
    ids=lambda script: script.name,
)
def test_a_cell_that_does_not_go_on_is_told_with_the_reason(
    verdicts: Mapping[str, Record], script: Blocked
) -> None:
    assert script.name in verdicts, f"nothing was told of {script.name}"
    block = verdicts[script.name]["detail"]
    assert (block["reason"], block["detail"]) == (script.reason, script.detail)
    assert script.confidence in ("", block["confidence"])
    if script.line:
        assert script.line in block["stack"][0]


@promise("isolated.blocked")
def test_nothing_is_told_of_cells_that_go_on() -> None:
    ran, records = ran_honest(QUICK, QUICK_S)
    assert records == []
    assert {name: each.status for name, each in ran.items()} == dict.fromkeys(QUICK, "ok")


@promise("isolated.blocked")
@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, len(honest()), AT_ONCE))
def test_nothing_is_told_of_a_hundred_cells_that_go_on(first: int) -> None:
    names = tuple(honest())[first : first + AT_ONCE]
    ran, records = ran_honest(names, SOAK_S)
    assert records == []
    assert {name: each.status for name, each in ran.items()} == dict.fromkeys(names, "ok")


@promise("isolated.blocked")
def test_a_block_is_shown_in_the_cell_and_elsewhere_until_it_is_interrupted(
    kernel: Kernel,
) -> None:
    ok(kernel, "%%isolated --worker looping\nkept = 5")
    code = "ready = False\nwhile not ready: pass"
    msg_id = kernel.send(f"%%isolated --worker looping\n{code}")
    kernel.wait(lambda: "does not go on" in kernel.stream("stderr", parent=msg_id))

    item = named(kernel, "looping")
    table, health = told(kernel).stdout, told(kernel, "--health")

    assert (item["state"], item["detail"]) == ("blocked", "repeats")
    assert "blocked repeats" in table
    assert (health.returncode, json.loads(health.stdout)["ok"]) == (1, False)
    text = kernel.stream("stderr", parent=msg_id)
    assert "infinite_loop, repeats" in text
    assert "line 2 of the cell: while not ready: pass" in text
    assert "interrupt the cell" in text
    kernel.interrupt()
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert ok(kernel, "%%isolated --worker looping\nkept") == "5"
    assert doing(kernel, "looping") == ("idle", None)
    record = blocks(kernel)[msg_id]
    block = record["detail"]
    usage = block.pop("resource_usage")
    assert record["reason"] == "infinite_loop"
    assert block.pop("duration_s") > 0
    assert (usage["cpu"] > 0, usage["memory"] > 10**6, usage["disk"] >= 0) == (True, True, True)
    assert block == {
        "job_id": msg_id,
        "worker_id": record["worker_id"],
        "reason": "infinite_loop",
        "detail": "repeats",
        "confidence": "certain",
        "recoverable": True,
        "stack": ["line 2 of the cell: while not ready: pass"],
    }


@promise("isolated.blocked", "events.told")
def test_an_agent_is_told_of_a_block() -> None:
    with Kernel() as kernel:
        agent = Agent(kernel.ready())
        facts = dict(agent.facts("%%isolated --timeout 0.5\nimport time; time.sleep(60)"))
        block = facts["block_detected"]
        said = (block["worker_id"], block["reason"], block["confidence"])
        assert said == ("w1", "timeout", "certain")


@promise("isolated.blocked")
def test_a_worker_that_goes_on_again_is_blocked_no_more(kernel: Kernel) -> None:
    pid = int(ok(kernel, "%%isolated --worker stopped\nimport os; os.getpid()"))
    code = "from pathlib import Path\nwhile not Path('go').exists(): pass"
    msg_id = kernel.send(f"%%isolated --worker stopped\n{code}")
    kernel.wait(lambda: doing(kernel, "stopped") == ("busy", "computing"))
    os.kill(pid, signal.SIGSTOP)
    kernel.wait(lambda: doing(kernel, "stopped") == ("blocked", "stopped"))
    os.kill(pid, signal.SIGCONT)
    kernel.wait(lambda: doing(kernel, "stopped") == ("busy", "computing"))
    (kernel.cwd / "go").touch()
    assert kernel.collect(msg_id).status == "ok"


@promise("isolated.blocked", "isolated.interrupt")
def test_a_worker_that_hears_no_interrupt_is_killed_for_the_fourth(kernel: Kernel) -> None:
    ok(kernel, "kept = 5")
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
    msg_id = kernel.send(f"%%isolated --worker deaf\n{code}")
    kernel.wait(lambda: doing(kernel, "deaf") == ("blocked", "stopped"))
    for _ in range(4):
        kernel.interrupt()
        kernel.pump(0.2)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert ok(kernel, "kept") == "5"
    assert ok(kernel, "%%isolated --worker deaf\n1 + 1") == "2"


@promise("isolated.blocked", "isolated.seen")
def test_what_workers_wait_for_is_shown_and_is_no_block() -> None:
    codes = {
        "sleeping": "import time; time.sleep(60)",
        "waiting_child": "import subprocess; subprocess.run(['sleep', '60'])",
        "waiting_io": "import os; os.read(os.pipe()[0], 1)",
        "waiting_input": "input('name? ')",
    }
    with Kernel() as kernel:
        kernel.ready()
        ok(kernel, f"{FRESH}\n1")
        for name, code in codes.items():
            begin(kernel, code, f"--worker {name}")
        expected = {name: ("busy", name) for name in codes}
        kernel.wait(lambda: {name: doing(kernel, name) for name in codes} == expected)
        assert blocks(kernel) == {}


def doing(kernel: Kernel, name: str) -> tuple[str, str | None]:
    """The state of a worker, and what it is seen to do."""
    views = [view for view in Looks().at_home(Home(kernel.home)) if view.line.name == name]
    return (views[0].line.state, views[0].line.detail) if views else ("", None)


@promise("isolated.seen")
def test_a_worker_is_heard_of_while_its_cell_runs(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker heard\n1")
    before = heard_of(kernel, "heard")
    msg_id = kernel.send("%%isolated --worker heard\nfrom time import sleep; sleep(60)")
    kernel.wait(lambda: heard_of(kernel, "heard") > before)
    kernel.interrupt()
    assert kernel.collect(msg_id).error is not None


def heard_of(kernel: Kernel, name: str) -> str:
    """When a worker was last heard of."""
    views = [view for view in Looks().at_home(Home(kernel.home)) if view.line.name == name]
    return views[0].line.heartbeat_at if views else ""
