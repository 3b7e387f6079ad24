"""Workers in real kernels: they are seen while they work, here and elsewhere, and steered."""

import json
import subprocess
import sys
from typing import Any

import psutil
import pytest

from tests.environments import environment
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran
from tests.workers.trees import runs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

NONE = "no workers: an isolated cell starts the first one"


def html(ran: Ran) -> str:
    return str(ran.of("execute_result")[0]["content"]["data"]["text/html"])


def told(kernel: Kernel, *words: str) -> "subprocess.CompletedProcess[str]":
    """What `jupyter flow workers` says in another process."""
    return subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "workers", *words],
        env=environment({"FLOW_HOME": str(kernel.home)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def items(kernel: Kernel) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told(kernel, "--json").stdout)["items"]
    return found


def named(kernel: Kernel, name: str) -> dict[str, Any]:
    (item,) = [item for item in items(kernel) if item["name"] == name]
    return item


@promise("isolated.seen")
def test_a_session_without_workers_says_so_and_starts_none(own: Kernel) -> None:
    assert ok(own, "%workers") == NONE
    assert ok(own, "%workers list") == NONE
    assert told(own).stdout == f"{NONE}\n"
    for verb in ("stop", "restart", "show"):
        ran = own.run(f"%workers {verb} w1")
        assert ran.status == "error"
    assert psutil.Process(own.pid).children() == []
    assert [*(own.home / "run").glob("*.workers")] == []


@promise("isolated.seen")
def test_workers_are_shown_as_text_as_html_and_as_a_value(kernel: Kernel) -> None:
    pid = ok(kernel, "%%isolated --worker shown\nimport os; os.getpid()")

    ran = kernel.run("%workers")

    assert ran.result is not None
    (row,) = [line for line in ran.result.splitlines() if "shown" in line]
    assert row.split()[1:5] == ["shown", "idle", "zygote", pid]
    assert "<td>shown</td>" in html(ran)
    ok(kernel, "found = %workers")
    value = "[(v.line.pid, v.rss_bytes > 10**6) for v in found if v.line.name == 'shown']"
    assert ok(kernel, value) == f"[({pid}, True)]"


@promise("isolated.seen")
def test_one_worker_is_shown_with_all_that_is_known(kernel: Kernel) -> None:
    pid = ok(kernel, "%%isolated --worker one\nimport os; os.getpid()")

    text = ok(kernel, "%workers show one")

    assert text.splitlines()[0].endswith(" one")
    assert pid in text
    ok(kernel, "card = %workers show one")
    assert ok(kernel, "card.worker.line.name") == "'one'"


@promise("isolated.seen")
def test_a_worker_that_works_is_seen_from_another_process_with_its_task(own: Kernel) -> None:
    ok(own, "%task start Look")
    mark = own.cwd / "begun"
    msg_id = own.send(
        "%%isolated --worker busy\nimport pathlib\npathlib.Path('begun').touch()\n"
        "while not pathlib.Path('go').exists(): pass"
    )
    own.wait(mark.exists)

    item = named(own, "busy")
    health = told(own, "--health")
    (own.cwd / "go").touch()
    own.collect(msg_id)

    assert (item["state"], item["task_id"], item["kind"]) == ("busy", "local/T-0001", "zygote")
    assert item["cpu_pct"] > 0
    assert item["rss_bytes"] > 10**6
    assert health.returncode == 0
    assert json.loads(health.stdout)["workers"] >= 1
    assert (named(own, "busy")["state"], named(own, "busy")["task_id"]) == ("idle", None)


@promise("isolated.seen")
@pytest.mark.parametrize("by", ["id", "name"])
def test_a_worker_is_stopped_and_its_variables_are_gone(kernel: Kernel, by: str) -> None:
    name = f"stops-by-{by}"
    pid = int(ok(kernel, f"%%isolated --worker {name}\nkept = 1\nimport os; os.getpid()"))
    worker = named(kernel, name)

    said = ok(kernel, f"%workers stop {worker['worker_id'] if by == 'id' else name}")

    assert f"worker {worker['worker_id']} {name} was stopped" in said
    assert "its variables are gone" in said
    assert not runs(pid)
    assert name not in ok(kernel, "%workers")
    assert [item for item in items(kernel) if item["name"] == name] == []
    noted = kernel.logs.records("worker", state="dead")[-1]
    assert (noted["worker_id"], noted["reason"]) == (worker["worker_id"], "stopped")
    assert ok(kernel, f"%%isolated --worker {name}\n'kept' in globals()") == "False"
    assert named(kernel, name)["restarts"] == 1


@promise("isolated.seen")
def test_a_worker_is_begun_anew_under_its_name(kernel: Kernel) -> None:
    ok(kernel, "x = [1]")
    pid = int(ok(kernel, "%%isolated --worker anew\nx.append(2); kept = 1\nimport os; os.getpid()"))
    before = named(kernel, "anew")

    said = ok(kernel, "%workers restart anew")

    after = named(kernel, "anew")
    assert f"{before['worker_id']} anew was stopped, and {after['worker_id']} begun" in said
    assert (after["state"], after["restarts"]) == ("idle", before["restarts"] + 1)
    assert not runs(pid)
    code = "%%isolated --worker anew\nimport os; ('kept' in globals(), x, os.getpid())"
    assert ok(kernel, code) == f"(False, [1], {after['pid']})"


@promise("isolated.seen")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stop", "takes the id or the name of one worker"),
        ("stop nobody", 'there is no worker "nobody"'),
        ("halt w1", 'there is no verb "halt"'),
        ("list w1", "list takes no argument"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_ends_nothing(
    kernel: Kernel, line: str, said: str
) -> None:
    ok(kernel, "%%isolated --worker stays\n1")

    ran = kernel.run(f"%workers {line}")

    assert ran.status == "error"
    assert said in ran.stderr
    assert "stays" in ok(kernel, "%workers")


@promise("isolated.seen")
def test_a_worker_that_works_can_be_stopped_and_its_cell_ends(own: Kernel) -> None:
    ok(
        own,
        "import pathlib, threading, time\nfrom flow_kernel import current_session\n"
        "session = current_session()\n"
        "def stop():\n"
        "    while not pathlib.Path('begun').exists(): time.sleep(0.005)\n"
        "    session.isolation.steering.stop('works')\n"
        "threading.Thread(target=stop).start()",
    )

    ran = own.run("%%isolated --worker works\nopen('begun', 'w').close()\nwhile True: pass")

    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert [record["reason"] for record in own.logs.records("worker", state="dead")] == ["killed"]
    assert ok(own, "%%isolated --worker works\n1 + 1") == "2"


@promise("isolated.seen")
def test_a_spare_can_be_stopped_and_has_no_name_for_another(own: Kernel) -> None:
    ok(own, "%%isolated\n1")
    own.wait(lambda: len(items(own)) == 2)
    (spare,) = [item["worker_id"] for item in items(own) if item["name"] is None]

    refused = own.run(f"%workers restart {spare}")

    assert refused.status == "error"
    assert "has no name" in refused.stderr
    assert f"worker {spare} (spare) was stopped" in ok(own, f"%workers stop {spare}")
    assert ok(own, "%%isolated --fresh\n1 + 1") == "2"


@promise("isolated.seen")
@pytest.mark.parametrize(
    ("line", "offered"),
    [("%workers ", {"list", "show", "stop", "restart"}), ("%workers stop ", {"offered"})],
)
def test_verbs_ids_and_names_are_completed(kernel: Kernel, line: str, offered: set[str]) -> None:
    ok(kernel, "%%isolated --worker offered\n1")

    found = kernel.ask("complete_request", {"code": line, "cursor_pos": len(line)})

    assert offered <= set(found["matches"])


@promise("isolated.seen")
def test_its_help_says_what_it_does(kernel: Kernel) -> None:
    ran = kernel.run("%workers?")

    assert "%workers restart ID" in str(ran.reply["payload"])


@promise("isolated.seen")
def test_nothing_is_seen_of_a_session_that_has_ended(own: Kernel) -> None:
    ok(own, "%%isolated\n1")
    assert items(own)

    own.shutdown()

    assert items(own) == []
    assert [*(own.home / "run").glob("*.workers")] == []


@promise("isolated.seen")
def test_what_a_killed_session_leaves_is_not_shown_and_cleared_by_the_next(own: Kernel) -> None:
    ok(own, "%%isolated\n1")
    own.kill()

    assert len([*(own.home / "run").glob("*.workers")]) == 1
    assert items(own) == []
    own.restart().ready()
    ok(own, "1")
    assert [*(own.home / "run").glob("*.workers")] == []
