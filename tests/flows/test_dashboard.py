"""The dashboard in front of a real kernel, as a person in a real browser sees and uses it."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests import screens
from tests.apps.sample_log import SampleLog
from tests.dashboard import DEADLINE_S, Answer, Served, api, window
from tests.isolating import ok as all_of
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran
from tests.workers.trees import strike

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("jupyter_server")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("servers"),
]


def ok(kernel: Kernel, code: str) -> str:
    return all_of(kernel, code).strip()


@pytest.fixture(scope="module")
def served(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kernel.ready()
    ok(kernel, "%task start Clean the sales --steps load,clean")
    with Served(tmp_path_factory.mktemp("served"), kernel.home) as served:
        yield served


@pytest.fixture(scope="module")
def browser_page(served: Served) -> "Iterator[Page]":
    with window() as page:
        page.goto(served.page)
        page.locator(".live:not(.off)").wait_for()
        yield page


@pytest.fixture
def page(browser_page: "Page") -> "Iterator[Page]":
    """The page at its log, anew; a picture of how a test left it."""
    for where in ("Runs", "Log"):
        browser_page.goto(f"{browser_page.url.partition('#')[0]}#/{where.lower()}")
        browser_page.locator("h1", has_text=where).wait_for()
    yield browser_page
    screens.keep(browser_page)
    browser_page.emulate_media(color_scheme="light")


@dataclass(frozen=True)
class Held:
    """Cells that wait for a test: for its `gate`, or for an answer."""

    kernel: Kernel
    gate: Path
    requests: list[str] = field(default_factory=list)

    def send(self, code: str) -> str:
        """Begin one, which finds a `WAIT` where it is to wait for the gate."""
        wait = f"while not pathlib.Path({str(self.gate)!r}).exists(): time.sleep(0.01)"
        self.requests.append(self.kernel.send(code.replace("WAIT", wait)))
        return self.requests[-1]

    def collect(self) -> Ran:
        """What the only one came to."""
        (request,) = self.requests
        self.requests.clear()
        return self.kernel.collect(request)


@pytest.fixture
def held(kernel: Kernel, served: Served, tmp_path: Path) -> Iterator[Held]:
    """A test that fails on the way lets go of what it holds, and the others find an idle kernel."""
    held = Held(kernel, tmp_path / "gate")
    yield held
    if held.requests:
        held.gate.touch()
        for row in served.get("approvals", status="open")["items"]:
            served.post(f"approvals/{row['approval_id']}", {"decision": "reject"})
        held.collect()


def view(page: "Page", name: str) -> None:
    page.locator("nav").get_by_role("link", name=name).click()
    page.locator("h1", has_text=name).wait_for()


@promise("dashboard.live")
def test_a_cell_is_seen_while_it_runs_and_then_with_what_it_did(held: Held, page: "Page") -> None:
    held.send("import pathlib, time  # sales\nWAIT\nsold = [3, 1, 2]\nprint('read it')\nmax(sold)")
    running = page.locator(".row.running", has_text="import pathlib, time  # sales")
    running.wait_for()
    held.gate.touch()
    ran = held.collect()
    done = page.locator(".row.ok", has_text="import pathlib, time  # sales")
    done.wait_for()
    running.wait_for(state="detached")
    done.get_by_role("button").click()
    panel = page.locator(".panel")
    panel.get_by_text("read it", exact=True).wait_for()

    assert "sold" in done.locator(".diff").inner_text()
    assert panel.locator("h2").inner_text() == f"Cell {ran.reply['execution_count']}"
    assert [block.inner_text().strip() for block in panel.locator("pre").all()][1:] == [
        "read it",
        "3",
    ]
    assert panel.locator(".vars tbody tr", has_text="sold").count() == 1
    page.keyboard.press("Escape")
    panel.wait_for(state="detached")


@promise("dashboard.decides")
def test_an_approval_is_decided_while_the_cell_blocks(
    kernel: Kernel, held: Held, page: "Page"
) -> None:
    request = held.send("%approve Delete 3 files? --wait\nprint('went on')")
    page.locator("nav .badge", has_text="1").wait_for()
    view(page, "Approvals")
    question = page.locator(".question", has_text="Delete 3 files?")
    question.get_by_placeholder("Comment").fill("as agreed <b>")
    question.get_by_role("button", name="Approve").click()
    ran = held.collect()
    answered = page.locator("details", has_text="Delete 3 files?")
    answered.wait_for()
    page.locator("nav .badge").wait_for(state="detached")

    (row,) = [
        each for each in read(page, "approvals")["items"] if each["message"] == "Delete 3 files?"
    ]
    assert ran.status == "ok"
    assert "went on" in kernel.stream(parent=request)
    assert (row["status"], row["channel"], row["comment"]) == (
        "approved", "dashboard", "as agreed <b>",
    )  # fmt: skip
    assert row["decided_by"] == page.locator(".foot span").last.inner_text()


@promise("dashboard.decides")
def test_the_second_of_two_answers_is_told_of_the_first(
    held: Held, served: Served, page: "Page"
) -> None:
    held.send("%approve Twice? --wait")
    view(page, "Approvals")
    question = page.locator(".question", has_text="Twice?")
    question.wait_for()
    approval_id = re.findall(r"A-\d+", question.inner_text())[0]
    first = served.post(f"approvals/{approval_id}", {"decision": "reject", "comment": "no"})
    second = served.post(f"approvals/{approval_id}", {"decision": "approve"})
    ran = held.collect()

    assert (first.status, first.document["status"]) == (200, "rejected")
    assert (second.status, second.document["error"]["type"]) == (409, "AlreadyDecided")
    assert ran.status == "error"
    question.wait_for(state="detached")


@promise("dashboard.back")
def test_variables_go_back_once_the_dry_run_was_seen_and_confirmed(
    kernel: Kernel, page: "Page"
) -> None:
    ok(kernel, "price = 1; kept = [1]")
    ok(kernel, "%checkpoint cheap")
    ok(kernel, "price = 2; kept.append(2); late = 3")
    view(page, "Checkpoints")
    page.locator(".node", has_text="cheap").first.click()
    counts = page.locator(".node .took", has_text="variable").all_inner_texts()
    assert counts
    assert all(re.fullmatch(r"1 variable|([02-9]|\d\d+) variables", count) for count in counts)
    page.get_by_role("button", name="Roll variables back").click()
    dialog = page.get_by_role("dialog")
    told = dialog.locator("pre")
    told.wait_for()
    shown = told.inner_text()

    assert ok(kernel, "print(price, kept, late)") == "2 [1, 2] 3"
    assert "would go back to cheap" in shown
    assert all(name in shown for name in ("price", "kept", "late"))

    dialog.get_by_role("button", name="Roll back").click()
    dialog.get_by_text("went back to cheap").wait_for()
    dialog.get_by_role("button", name="Close").click()

    assert ok(kernel, "print(price, kept, 'late' in dir())") == "1 [1] False"
    page.locator(".node.here", has_text="cheap").wait_for()


@promise("dashboard.back")
def test_what_was_shown_and_is_no_longer_true_is_not_done(kernel: Kernel, served: Served) -> None:
    ok(kernel, "count = 1")
    ok(kernel, "%checkpoint stale")
    ok(kernel, "count = 2")
    (lease,) = served.get("overview")["sessions"]
    asked = {"what": "state", "session": lease["session"]}

    def post(**more: str) -> Answer:
        return served.post(f"checkpoints/{api('stale')}/rollback", asked | more)

    first = post().document
    ok(kernel, "other = 5")
    second = post(confirm=first["confirm"]).document
    forged = post(confirm="0" * 64).document

    assert (first["done"], first["is_stale"]) == (False, False)
    assert (second["done"], second["is_stale"]) == (False, True)
    assert (forged["done"], forged["is_stale"]) == (False, True)
    assert ok(kernel, "print(count, other)") == "2 5"
    assert post(confirm=second["confirm"]).document["done"] is True
    assert ok(kernel, "print(count, 'other' in dir())") == "1 False"


@promise("dashboard.back")
def test_nothing_goes_back_while_a_cell_runs(kernel: Kernel, served: Served, held: Held) -> None:
    ok(kernel, "n = 1")
    ok(kernel, "%checkpoint busy")
    held.send("import time, pathlib\nWAIT")
    (lease,) = served.get("overview")["sessions"]
    kernel.wait(lambda: served.get("workers")["sessions"][0]["busy"], timeout=DEADLINE_S)
    answer = served.post(
        "checkpoints/busy/rollback", {"what": "state", "session": lease["session"]}
    )
    held.gate.touch()
    held.collect()

    assert (answer.status, answer.document["error"]["message"]) == (
        409, "a cell runs in that session; nothing was changed",
    )  # fmt: skip


@promise("dashboard.live")
def test_a_worker_is_watched_at_work_and_seen_to_die(held: Held, page: "Page") -> None:
    view(page, "Workers")
    held.send("%%isolated --worker shaky\nimport os, pathlib, time\nWAIT\nos.abort()")
    card = page.locator(".worker", has_text="shaky")
    card.locator(".state", has_text="busy").wait_for()
    card.locator("polyline").first.wait_for(state="attached")
    held.gate.touch()
    ran = held.collect()

    assert ran.status == "error"
    page.locator(".row", has_text=re.compile(r"worker w\d+: dead")).first.wait_for()
    card.locator(".state", has_text="busy").wait_for(state="detached")


@promise("dashboard.live")
def test_a_kernel_that_is_stuck_hides_nothing_while_records_go_on_coming(
    kernel: Kernel, served: Served, page: "Page"
) -> None:
    log, stop = SampleLog(served.home, session="e" * 32, task="T-9000"), threading.Event()

    def write() -> None:
        while not stop.wait(0.02):
            log.cell("flood")

    writer = threading.Thread(target=write)
    strike(kernel.process.pid, signal.SIGSTOP)
    writer.start()
    try:
        page.locator(".row", has_text="flood").first.wait_for()
        view(page, "Workers")
        page.locator(".card .about.warn", has_text="did not answer").wait_for()
    finally:
        stop.set()
        writer.join()
        os.kill(kernel.process.pid, signal.SIGCONT)
    page.locator(".card .about.warn").wait_for(state="detached")


@promise("dashboard.live")
def test_a_task_is_seen_with_steps_context_and_timeline(kernel: Kernel, page: "Page") -> None:
    ok(kernel, "%task step load")
    ok(kernel, "%task set rows=4")
    ok(kernel, "%task set rows=5")
    view(page, "Tasks")
    page.get_by_role("link", name="Clean the sales").click()
    page.locator("h1", has_text="Clean the sales").wait_for()
    page.locator(".context .key", has_text="rows").click()
    page.locator(".history li").nth(1).wait_for()

    steps = [each.inner_text().split("\n")[1:3] for each in page.locator(".steps li").all()]
    assert steps[0] == ["load", "doing"]
    assert [each.inner_text() for each in page.locator(".history code").all()] == ["5", "4"]
    ok(kernel, "seen_live = 1")
    page.locator(".row", has_text="seen_live = 1").wait_for()


@promise("dashboard.reachable")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_light_and_dark(
    kernel: Kernel, served: Served, held: Held, page: "Page", scheme: Literal["light", "dark"]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    ok(kernel, "%checkpoint seen")
    ok(kernel, "%%isolated\nprint(1)")
    held.send("%approve Seen? --wait")
    page.emulate_media(color_scheme=scheme)
    found = {}
    for name, click in (
        ("Log", ".row button"), ("Tasks", ""), ("Approvals", ""), ("Checkpoints", ".node"),
        ("Runs", ""), ("Workers", ""),
    ):  # fmt: skip
        view(page, name)
        page.locator("main :is(.row, .card, .node, .empty)").first.wait_for()
        if click:
            page.locator(click).first.click()
            page.locator(".panel :is(pre, dl, table)").first.wait_for()
        response = axe.run(page).response["violations"]
        found[name] = [(each["id"], each["nodes"][0]["html"][:80]) for each in response]
    (question,) = served.get("approvals", status="open")["items"]
    served.post(f"approvals/{question['approval_id']}", {"decision": "approve"})
    held.collect()

    assert {name: each for name, each in found.items() if each} == {}


def read(page: "Page", path: str) -> dict[str, list[dict[str, object]]]:
    """What the page itself would be told."""
    found: dict[str, list[dict[str, object]]] = page.evaluate(
        "path => fetch(`api/${path}`).then(answer => answer.json())", path
    )
    return found
