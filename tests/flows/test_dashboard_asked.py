"""The dashboard in front of a real kernel, asked as a program asks it: no answer does too much."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest

from flow_kernel.errors import CheckpointDamaged
from flow_kernel.sandbox import connect
from flow_kernel.session.checkpoints.shelf import Shelf
from tests.dashboard import DEADLINE_S, Answer, Served, api
from tests.isolating import ok as all_of
from tests.kernels import Kernel
from tests.promises import promise
from tests.sandboxes import wait_for
from tests.session.shelves import shelf_at, taken
from tests.workers.trees import strike

pytest.importorskip("jupyter_server")
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("servers"),
]

CODE = "{open('sprung', 'w')}"
WORKFLOW = '{"name": "two", "steps": [{"id": "load<b>", "code": "pass"}]}'
HELD = (
    "%%isolated --worker long\n"
    "import pathlib, time\npathlib.Path('begun').touch()\nwhile True: time.sleep(0.01)"
)


def ok(kernel: Kernel, code: str) -> str:
    return all_of(kernel, code).strip()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """One whose home lies in its project, and is not where anybody would look for one."""
    with Kernel(env={"FLOW_HOME": "kept"}) as kernel:
        kernel.home = kernel.cwd / "kept"
        (kernel.cwd / "made.txt").write_text("at first", encoding="utf-8")
        ok(kernel, "n = 1")
        ok(kernel, "%checkpoint first")
        yield kernel


@pytest.fixture(scope="module")
def served(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served"), kernel.home) as served:
        yield served


@pytest.fixture
def shelf(kernel: Kernel) -> Iterator[Shelf]:
    """A stranger's: what it seals is not signed with the user's key."""
    shelf = shelf_at(kernel.home)
    before = {*shelf.manifests_dir.iterdir()}
    yield shelf
    for path in {*shelf.manifests_dir.iterdir()} - before:
        path.unlink()


@contextmanager
def stopped(kernel: Kernel) -> "Iterator[Callable[[], None]]":
    """A kernel that answers nothing, until the block ends or what it gives is called."""
    strike(kernel.process.pid, signal.SIGSTOP)
    try:
        yield lambda: os.kill(kernel.process.pid, signal.SIGCONT)
    finally:
        os.kill(kernel.process.pid, signal.SIGCONT)


def back(served: Served, name: str, what: str, **more: str) -> Answer:
    (lease,) = [each for each in served.get("overview")["sessions"] if each["has_kernel"]]
    asked = {"what": what, "session": lease["session"], **more}
    return served.post(f"checkpoints/{api(name)}/rollback", asked)


@promise("dashboard.harmless", "checkpoint.foreign")
@pytest.mark.parametrize("name", [CODE, "abcd --trust", "0123456789AB"])
def test_a_manifest_whose_id_is_more_than_an_id_is_damaged_and_runs_nothing(
    kernel: Kernel, served: Served, shelf: Shelf, name: str
) -> None:
    taken(shelf, {"x": b"1"}, checkpoint_id=name)
    answer = back(served, name, "state")

    assert (answer.status, answer.document["error"]["type"]) == (422, "CheckpointDamaged")
    assert served.get("checkpoints")["damaged"] == [
        {"checkpoint_id": name, "reason": "has a name that is no id"}
    ]
    assert not (kernel.cwd / "sprung").exists()
    with pytest.raises(CheckpointDamaged):
        shelf.find(name)


@promise("checkpoint.foreign")
def test_variables_of_a_stranger_are_refused_before_a_kernel_hears_of_them(
    kernel: Kernel, served: Served, shelf: Shelf
) -> None:
    one = taken(shelf, {"x": b"1"}, name="strange")
    count = ok(kernel, "get_ipython().execution_count")
    answers = [back(served, "strange", "state", confirm=each) for each in ("", "0" * 64)]

    assert {(each.status, each.document["error"]["type"]) for each in answers} == {
        (403, "UntrustedCheckpoint")
    }
    assert one.checkpoint_id in answers[0].document["error"]["message"]
    assert int(ok(kernel, "get_ipython().execution_count")) == int(count) + 1


@promise("checkpoint.foreign")
def test_a_name_that_is_code_is_completed_as_the_id(kernel: Kernel, shelf: Shelf) -> None:
    code, option = (taken(shelf, {"x": b"1"}, name=name, seq=7) for name in (CODE, "--trust"))
    for line in ("%rollback ", "%checkpoint show "):
        found = kernel.ask("complete_request", {"code": line, "cursor_pos": len(line)})["matches"]

        assert {code.checkpoint_id, option.checkpoint_id, "first"} <= {*found}
        assert CODE not in "".join(found)


@promise("dashboard.back")
def test_files_that_are_not_to_be_had_are_a_conflict_told_in_a_sentence(
    kernel: Kernel, served: Served, shelf: Shelf
) -> None:
    bare = taken(shelf, {"x": b"1"}, files_reason="there is no git repository around them")
    gone = taken(shelf, {"x": b"2"}, git={"commit": "0" * 40, "ref": "refs/flow/x"})
    answers = [back(served, one.checkpoint_id, "files") for one in (bare, gone)]

    assert [(each.status, each.document["error"]["type"]) for each in answers] == [
        (409, "IllegalTransition")
    ] * 2
    assert answers[0].document["error"]["message"] == (
        f"checkpoint {bare.checkpoint_id} holds no files: there is no git repository around them"
    )


@promise("dashboard.back")
def test_files_go_back_once_what_would_change_was_seen_and_confirmed(
    kernel: Kernel, served: Served
) -> None:
    made = kernel.cwd / "made.txt"
    made.write_text("changed", encoding="utf-8")
    first = back(served, "first", "files").document
    (kernel.cwd / "late.txt").write_text("late", encoding="utf-8")
    stale = back(served, "first", "files", confirm=first["confirm"]).document

    assert (first["done"], first["is_stale"]) == (False, False)
    assert "made.txt" in "\n".join(first["lines"])
    assert (stale["done"], stale["is_stale"]) == (False, True)
    assert "late.txt" in "\n".join(stale["lines"])
    assert made.read_text("utf-8") == "changed"
    done = back(served, "first", "files", confirm=stale["confirm"]).document
    assert (done["done"], done["confirm"]) == (True, None)
    assert (made.read_text("utf-8"), (kernel.cwd / "late.txt").exists()) == ("at first", False)


@promise("dashboard.back")
def test_one_at_a_time_goes_back_and_the_other_is_told_at_once(
    kernel: Kernel, served: Served
) -> None:
    with stopped(kernel) as goes_on, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(back, served, "first", "state") for _ in range(2)]
        done, _ = wait(asked, DEADLINE_S, return_when=FIRST_COMPLETED)
        refused = [each.result() for each in done]
        goes_on()
        answers = [each.result(DEADLINE_S) for each in asked]

    assert [(each.status, each.document["error"]["message"]) for each in refused] == [
        (409, "somebody goes back just now; nothing was changed")
    ]
    assert sorted(each.status for each in answers) == [200, 409]


@promise("dashboard.live")
def test_sessions_that_are_stuck_are_asked_all_at_once(
    kernel: Kernel, served: Served, request: pytest.FixtureRequest
) -> None:
    (path,) = [
        each
        for each in (kernel.home / "run").glob("*.lease")
        if json.loads(each.read_bytes())["connection_file"]
    ]
    own = path.read_text("utf-8")
    for number in range(12):
        other = path.with_name(f"{number:032x}.lease")
        request.addfinalizer(other.unlink)
        other.write_text(own.replace(path.stem, other.stem), encoding="utf-8")
    with stopped(kernel):
        began = time.monotonic()
        sessions = served.get("workers")["sessions"]
        took_s = time.monotonic() - began

    told = [each.get("trouble") for each in sessions if each["has_kernel"]]
    assert told == ["the kernel did not answer within 0.5 s"] * 13
    assert took_s < 13 * 0.5 / 2


@promise("dashboard.view")
def test_the_difference_of_two_checkpoints_is_told_by_names(kernel: Kernel, served: Served) -> None:
    ok(kernel, "n = 1")
    ok(kernel, "%checkpoint one")
    ok(kernel, "n = 2; more = 1")
    (kernel.cwd / "third.txt").write_text("3", encoding="utf-8")
    ok(kernel, "%checkpoint two")
    found = served.get("checkpoints/diff", a="one", b="two")

    assert (found["before"], found["after"]) == ("one", "two")
    assert [(each["sign"], each["name"]) for each in found["changes"]] == [
        ("+", "more"), ("~", "n"),
    ]  # fmt: skip
    assert "third.txt" in found["files"]["added"]


@promise("dashboard.harmless")
def test_the_picture_of_a_run_is_a_page_that_runs_nothing(kernel: Kernel, served: Served) -> None:
    (kernel.cwd / "two.json").write_text(WORKFLOW, encoding="utf-8")
    ok(kernel, "run = %workflow run two.json --on inline")
    (run,) = served.get("runs")["items"]
    page = served.ask("GET", f"/flow/runs/{run['run_id']}/picture", headers=served.rights)
    told = page.body.decode()

    assert (page.status, run["status"]) == (200, "success")
    assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'; ")
    assert "<svg" in told
    assert "load&lt;b&gt;" in told
    assert "load<b>" not in told


@promise("dashboard.live")
def test_a_worker_is_interrupted_and_lives_on_and_where_its_session_waits_is_told(
    kernel: Kernel, served: Served
) -> None:
    request = kernel.send(HELD)
    kernel.wait((kernel.cwd / "begun").exists)
    stacks: list[dict[str, Any]] = []

    def is_held() -> bool:
        stacks[:] = [each for each in served.get("stacks")["items"] if each["stack"]]
        return bool(stacks)

    kernel.wait(is_held)
    (held,) = stacks
    (worker,) = [each for each in served.get("workers")["items"] if each["name"] == "long"]
    place = api(worker["session"], worker["worker_id"])
    told = served.post(f"workers/{place}/interrupt", {})
    ran = kernel.collect(request)

    assert held["cell"]["code"] == "%%isolated --worker long"
    assert {*held["stack"][0]} == {"file", "line", "function"}
    assert (worker["state"], worker["can_interrupt"]) == ("busy", True)
    assert (told.status, ran.reply["ename"]) == (200, "KeyboardInterrupt")
    assert int(ok(kernel, "%%isolated --worker long\nimport os\nos.getpid()")) == worker["pid"]


@promise("dashboard.view")
def test_what_the_sandbox_does_is_in_the_home_that_is_shown_and_cannot_be_interrupted_there(
    served: Served,
) -> None:
    seen: list[dict[str, Any]] = []

    def is_busy() -> bool:
        seen[:] = [each for each in served.get("workers")["items"] if each["state"] == "busy"]
        return bool(seen)

    with connect(served.origin, served.token) as client:
        task = client.run("while :; do sleep 0.01; done")
        try:
            wait_for(is_busy)
            (worker,) = seen
            has_kernel = {
                each["session"]: each["has_kernel"] for each in served.get("workers")["sessions"]
            }
        finally:  # the others look for what they hold themselves
            task.terminate()
            task.wait(DEADLINE_S)

    assert (worker["can_interrupt"], has_kernel[worker["session"]]) == (False, False)
