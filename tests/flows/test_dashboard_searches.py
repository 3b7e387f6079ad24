"""What is far back is found on the dashboard: any checkpoint, and a word in a long log."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from flow_kernel.records.home import Home
from tests import screens
from tests.apps.sample_log import SampleLog
from tests.dashboard import Served, go, window
from tests.promises import promise
from tests.session.shelves import shelf_at, taken

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytest.importorskip("jupyter_server")
pytest.importorskip("playwright")
pytestmark = pytest.mark.timeout(120)

POINTS: Final = 130
RECORDS: Final = 500
_TEXT: Final = "x" * 130_000
"""In each record: together three times what the server reads for one answer."""


def _take_points(home: Home) -> None:
    shelf = shelf_at(home.root)
    parent = None
    for number in range(1, POINTS + 1):
        name = f"point {number}" if parent else "the very first"
        at = datetime(2026, 3, 1, number // 24 % 24, number % 60, tzinfo=UTC)
        one = taken(
            shelf, {f"x{number % 7}": b"1"}, name=name, seq=number, parent_id=parent,
            created_at=f"{at:%Y-%m-%dT%H:%M:%S}.{number:03d}Z",
        )  # fmt: skip
        parent = one.checkpoint_id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home = Home(root / "work" / ".flow")
    _take_points(home)
    log = SampleLog(home.root)
    for number in range(RECORDS):
        log.cell(f"step_{number} = {number}{' # needle' if not number else ''}", stdout=_TEXT)
    with Served(root, home.root) as served:
        yield served


@pytest.fixture(scope="module")
def page(served: Served) -> "Iterator[Page]":
    with window() as page:
        page.goto(served.page)
        page.locator(".live:not(.off)").wait_for()
        yield page


@pytest.fixture(autouse=True)
def picture(page: "Page") -> Iterator[None]:
    """What a test has ended with is in a picture of its name."""
    yield
    screens.keep(page)


@promise("dashboard.fluid")
def test_a_checkpoint_is_compared_with_any_other_however_old(page: "Page") -> None:
    go(page, "checkpoints", ".node")
    page.locator(".node").first.click()
    panel = page.locator(".panel")
    offered = panel.get_by_label("Compare with").locator("option")
    offered.nth(99).wait_for(state="attached")
    first = offered.count()

    panel.get_by_role("button", name="Offer older ones").click()
    offered.nth(POINTS - 1).wait_for(state="attached")
    words = panel.get_by_label("Find another by name")
    words.fill("very FIRST")
    panel.get_by_text(f"1 found of {POINTS - 1}").wait_for()
    found = offered.all_inner_texts()
    panel.get_by_label("Compare with").select_option(index=1)
    panel.locator("h3").wait_for()
    screens.keep(page, "found")
    words.fill("nowhere")
    panel.get_by_text("No other checkpoint of that name.").wait_for()

    assert first == 100  # a page without itself, and none
    assert [each.partition(" · ")[0] for each in found] == ["–", "the very first"]
    assert panel.locator("h3").inner_text() == f"point {POINTS} → the very first"
    assert offered.all_inner_texts() == found  # what is compared with stays chosen


@promise("dashboard.fluid")
def test_a_word_is_looked_for_to_the_begin_of_a_long_log_and_told_where_it_is_nowhere(
    page: "Page",
) -> None:
    go(page, "log", ".row")
    words = page.get_by_label("Search code")

    words.fill("needle")
    page.locator(".row", has_text="step_0 = 0 # needle").wait_for()
    page.locator(".progress").wait_for(state="detached")
    count = page.locator(".row").count()
    words.fill("nowhere")
    page.get_by_text("Nothing found in the whole log.").wait_for()

    assert (count, page.locator(".row, .more, .progress").count()) == (1, 0)
    words.fill("")
    page.locator(".row", has_text=f"step_{RECORDS - 1} ").wait_for()


@promise("dashboard.fluid")
def test_a_search_shows_how_far_it_is_and_is_stopped_and_gone_on_with(page: "Page") -> None:
    go(page, "log", ".row")
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route(re.compile(r"/records\?.*cursor="), hold)
    page.get_by_label("Search code").fill("needle")
    progress = page.locator(".progress")
    progress.get_by_text("Searching: ").wait_for()
    screens.keep(page, "searching")
    share = int(progress.locator("progress").get_attribute("value") or "")
    progress.get_by_role("button", name="Stop").click()
    progress.get_by_text(f"Stopped: {share} % of 6").wait_for()
    screens.keep(page, "stopped")
    so_far = page.locator(".empty").inner_text()
    page.unroute_all()

    progress.get_by_role("button", name="Search further back").click()
    page.locator(".row", has_text="# needle").wait_for()

    assert (so_far, 30 <= share <= 50, len(held)) == ("Nothing found so far.", True, 1)
    page.get_by_label("Search code").fill("")
    page.locator(".row", has_text=f"step_{RECORDS - 1} ").wait_for()
