"""What is far back is found on the dashboard: any checkpoint, and a word in a long log."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from flow_kernel.records.home import Home
from tests import screens
from tests.dashboard import Served, window
from tests.promises import promise
from tests.session.shelves import shelf_at, taken

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("jupyter_server")
pytest.importorskip("playwright")
pytestmark = pytest.mark.timeout(120)

POINTS: Final = 230


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


def go(page: "Page", where: str, wait_for: str) -> None:
    page.goto(f"{page.url.partition('#')[0]}#/{where}")
    page.locator(wait_for).first.wait_for()


@promise("dashboard.fluid")
def test_a_checkpoint_is_compared_with_any_other_however_old(page: "Page") -> None:
    go(page, "checkpoints", ".node")
    page.locator(".node").first.click()
    panel = page.locator(".panel")
    offered = panel.get_by_label("Compare with").locator("option")
    offered.nth(99).wait_for(state="attached")
    first = offered.count()

    panel.get_by_role("button", name="Offer older ones").click()
    offered.nth(199).wait_for(state="attached")
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
