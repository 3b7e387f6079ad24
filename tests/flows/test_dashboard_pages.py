"""The dashboard on a long log with hostile texts, as a browser draws it."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from tests import screens
from tests.apps.sample_log import SampleLog
from tests.dashboard import Served, go, window
from tests.hostile_home import fill
from tests.promises import promise

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("jupyter_server")
pytest.importorskip("playwright")
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("servers")]

LONG: Final = "T-9000"
CELLS: Final = 1500
TAGS: Final = {
    *("A", "ARTICLE", "ASIDE", "B", "BODY", "BUTTON", "CAPTION", "CIRCLE", "CODE", "DD", "DETAILS"),
    *(
        "DIALOG",
        "DIV",
        "DL",
        "DT",
        "FORM",
        "H1",
        "H2",
        "H3",
        "HEADER",
        "HTML",
        "IFRAME",
        "IMG",
        "INPUT",
    ),
    *("LABEL", "LI", "LINE", "MAIN", "NAV", "OL", "OPTION", "P", "PATH", "POLYLINE", "PRE"),
    *("SECTION", "SELECT", "SPAN", "SUMMARY", "SVG", "TABLE", "TBODY", "TD", "TH", "THEAD", "TIME"),
    *("TR", "UL", "HEAD", "META", "TITLE", "LINK", "SCRIPT", "NOSCRIPT"),
}
FIND: Final = """() => {
    const found = {tags: [], odd: [], hacked: window.hacked === undefined ? 0 : 1};
    for (const each of document.querySelectorAll("*")) {
        found.tags.push(each.tagName.toUpperCase());
        for (const {name, value} of each.attributes) {
            if (name.startsWith("on") || name === "srcdoc") found.odd.push(`${name}=${value}`);
            if (name === "href" && !/^(#|static\\/)/.test(value)) found.odd.push(value);
            if (name === "src" && !value.startsWith(location.origin) && !/^static\\//.test(value)) {
                found.odd.push(value);
            }
        }
    }
    const head = document.head.querySelectorAll("*").length;
    return {...found, tags: [...new Set(found.tags)], scripts: document.scripts.length, head};
}"""
RICH: Final = (
    "<h1 id=big>Rich</h1><script>parent.hacked=1;top.hacked=1</script>"
    "<img src=x onerror='parent.hacked=1'><a href='//evil.example' target=_top>out</a>"
)
SVG: Final = (
    "<svg xmlns='http://www.w3.org/2000/svg' onload='parent.hacked=1'><circle r='9'/></svg>"
)


def _add_outputs(home: Home) -> None:
    log = SampleLog(home.root, session="e" * 32)
    outputs = []
    for mime, data in (("text/html", RICH), ("image/svg+xml", SVG), ("text/markdown", f"{RICH}.")):
        name = hashlib.sha256(data.encode()).hexdigest()
        path = home.outputs_dir / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data, encoding="utf-8")
        outputs.append({"mime": mime, "bytes": len(data), "object": name})
    log.cell("rich", outputs=outputs)
    long = SampleLog(home.root, session="d" * 32, task=LONG, start=datetime(2100, 1, 1, tzinfo=UTC))
    for number in range(CELLS):
        long.put("cell", code=f"step_{number} = {number}", success=True, status="ok")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home = Home(root / "work" / ".flow")
    fill(home)
    _add_outputs(home)
    with Served(root, home.root) as served:
        yield served


@pytest.fixture(scope="module")
def page(served: Served) -> "Iterator[Page]":
    blocked = ("Blocked script execution", "Loading the image", "Failed to load resource")
    with window(blocked=blocked) as page:
        page.goto(served.page)
        page.locator(".live:not(.off)").wait_for()
        yield page


@pytest.fixture(autouse=True)
def picture(page: "Page") -> Iterator[None]:
    """What a test has ended with is in a picture of its name."""
    yield
    screens.keep(page)


def harmless(page: "Page") -> None:
    found: dict[str, Any] = page.evaluate(FIND)
    assert {*found["tags"]} <= TAGS
    assert (found["odd"], found["hacked"], found["scripts"]) == ([], 0, 1)
    assert found["head"] == 20


def show_all(page: "Page") -> None:
    """End a search; what it has found is on the page until all is there."""
    page.get_by_label("Search code").fill("")
    page.locator(".row", has_text=f"step_{CELLS - 1} ").wait_for()


@promise("dashboard.harmless")
@pytest.mark.parametrize(
    ("where", "wait_for", "most"),
    [
        ("log", ".row", 0),
        ("tasks", ".card", 3),
        ("tasks/local/T-0001", ".steps li", 0),
        ("approvals", ".question", 3),
        ("checkpoints", ".node", 0),
        ("runs", ".card", 0),
        ("runs/R-0001", ".step", 0),
        ("workers", ".row", 0),
    ],
)
def test_three_hundred_hostile_texts_in_every_field_are_texts(
    page: "Page", where: str, wait_for: str, most: int
) -> None:
    go(page, where, wait_for)
    for _ in range(most):
        more = page.locator(".more button:not(:disabled)")
        if more.count():
            more.first.click()
            page.locator(".card").nth(150).wait_for()

    if where == "log":
        page.get_by_label("Search code").fill("hacked=1")
        page.locator(".row", has_text=f"step_{CELLS - 1} ").wait_for(state="detached")
        page.locator(".row", has_text="<script>window.hacked=1</script>").first.wait_for()
    harmless(page)
    shown = page.locator("main").evaluate("element => element.textContent")
    assert "<script>window.hacked=1</script>" in shown
    assert "--></script>" in shown or most == 0
    if where == "log":
        show_all(page)


@promise("dashboard.harmless")
def test_a_hostile_checkpoint_is_shown_compared_and_its_way_back_asked_for_as_texts(
    page: "Page",
) -> None:
    go(page, "checkpoints", ".node")
    page.locator(".node").nth(1).click()
    panel = page.locator(".panel")
    panel.locator(".vars tr.warn").wait_for()
    harmless(page)
    panel.get_by_label("Compare with").select_option(index=3)
    panel.locator("h3").wait_for()
    harmless(page)
    panel.get_by_role("button", name="Roll files back").click()
    page.get_by_role("dialog").locator(".trouble, pre").first.wait_for()
    harmless(page)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()


@promise("dashboard.harmless")
def test_a_hostile_record_is_shown_as_it_is_written(page: "Page") -> None:
    go(page, "log", ".row")
    page.get_by_label("Search code").fill("onerror=window.hacked=1>-->")
    page.locator(".row.error", has_text="<!-->").first.get_by_role("button").click()
    panel = page.locator(".panel")
    panel.locator("pre").nth(4).wait_for()

    harmless(page)
    texts = [each.inner_text() for each in panel.locator("pre").all()]
    assert len({*texts[:4]}) == 1
    assert "<!--><img src=x onerror=window.hacked=1>-->" in texts[0]
    show_all(page)


@promise("dashboard.harmless")
def test_rich_output_is_drawn_in_a_frame_that_runs_nothing(page: "Page") -> None:
    go(page, "tasks/local/T-0001", ".row")
    go(page, "log", ".row")
    page.get_by_label("Search code").fill("rich")
    page.locator(".row.ok", has_text="rich").get_by_role("button").click()
    frames = page.locator(".panel iframe")
    frames.nth(2).wait_for()
    for number in range(3):
        frames.nth(number).scroll_into_view_if_needed()
    page.frame_locator(".panel iframe >> nth=0").locator("#big").wait_for()
    told = page.frame_locator(".panel iframe >> nth=2").locator("pre")

    assert told.inner_text() == f"{RICH}."
    assert [each.get_attribute("sandbox") for each in frames.all()] == ["", "", ""]
    harmless(page)
    show_all(page)


@promise("dashboard.harmless")
def test_rich_output_runs_nothing_where_it_is_opened_by_itself(served: Served) -> None:
    name = hashlib.sha256(RICH.encode()).hexdigest()
    answer = served.ask("GET", f"/flow/outputs/{name}?mime=text/html", headers=served.rights)

    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'; ")
    assert RICH.encode() in answer.body


@promise("dashboard.harmless")
def test_an_output_that_was_changed_on_disk_is_not_shown(served: Served) -> None:
    name = hashlib.sha256(b"other").hexdigest()
    path = Home(served.home).outputs_dir / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"changed")

    assert served.ask("GET", f"/flow/outputs/{name}", headers=served.rights).status == 404


@promise("dashboard.fluid")
def test_a_long_log_is_paged_through_and_what_is_far_back_is_found(page: "Page") -> None:
    go(page, "tasks", ".card")
    go(page, f"tasks/local/{LONG}", "h1:has-text('Cells outside any task')")
    page.locator(".row", has_text=f"step_{CELLS - 1} ").wait_for()
    go(page, "log", ".bar")
    page.locator(".row", has_text=f"step_{CELLS - 1} ").wait_for()
    assert page.locator(".row").count() == 100
    page.mouse.wheel(0, 100_000)
    page.locator(".row", has_text=f"step_{CELLS - 150} ").wait_for(state="attached")
    page.get_by_label("Search code").fill("step_17 ")
    page.locator(".row", has_text="step_17 = 17").wait_for()
    assert page.locator(".row").count() == 11  # also 170 to 179
    show_all(page)


@promise("dashboard.live")
def test_tasks_are_found_by_their_words_and_by_a_tag(page: "Page") -> None:
    go(page, "tasks", ".card")
    cards, words = page.locator(".card"), page.get_by_label("Search names and descriptions")

    def left(count: int) -> int:
        cards.nth(count).wait_for(state="detached")
        return cards.count()

    words.fill("gnp.EXE")
    by_words = left(6)
    words.fill("T-0001")
    by_id = left(1)
    page.get_by_role("button", name="Only tasks with the tag toString", exact=True).click()
    words.fill("")
    chosen = page.get_by_role("button", name="Show tasks with any tag, not only toString")
    chosen.wait_for()
    by_tag = left(1)
    chosen.click()
    cards.nth(99).wait_for()

    assert (by_words, by_id, by_tag) == (6, 1, 1)


@promise("dashboard.reachable")
def test_a_record_is_opened_and_closed_with_the_keyboard_alone(page: "Page") -> None:
    go(page, "tasks", ".card")
    page.locator("nav a", has_text="Log").focus()
    page.keyboard.press("Enter")
    page.locator(".row").first.wait_for()
    page.locator(".row button").first.focus()
    page.keyboard.press("Enter")
    page.locator(".panel h2:focus").wait_for()
    page.keyboard.press("Escape")
    page.locator(".panel").wait_for(state="detached")


@promise("dashboard.view")
def test_nothing_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    home = Home(tmp_path / "work" / ".flow")
    flow = flow_of(home, author="ann")
    task = flow.start_task("kept").task.task_id
    with Served(tmp_path, home.root) as served, served.listen() as listener:
        listener.message()
        assert served.get("tasks")["items"][0]["name"] == "kept"
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()
        flow.update_task_context(task, {"after": 1})
    flow.close()
    checked = subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "check", "--home", str(home.root)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.endswith("no damage\n")
