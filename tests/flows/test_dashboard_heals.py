"""What a page shows is right again by itself, whatever came late, was lost or broke off."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard import DEADLINE_S, Served, window
from tests.kernels import Kernel
from tests.promises import promise

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Page, Route, WebSocketRoute

pytest.importorskip("jupyter_server")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("servers"),
]


@pytest.fixture(scope="module")
def served(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    kernel.ready()
    with Served(tmp_path_factory.mktemp("served"), kernel.home) as served:
        yield served


@pytest.fixture(scope="module")
def browser_page(served: Served) -> "Iterator[Page]":
    with window(blocked=("Failed to load resource", "WebSocket connection to")) as page:
        page.goto(served.page)
        page.locator(".live:not(.off)").wait_for()
        yield page


@pytest.fixture
def page(browser_page: "Page") -> "Iterator[Page]":
    yield browser_page
    browser_page.unroute_all()


@pytest.fixture
def hold(kernel: Kernel, tmp_path: Path) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Runs a cell of that name until what it gives is called, or the test is over."""
    gate = tmp_path / "gate"
    requests: list[str] = []

    def let_go() -> None:
        gate.touch()
        while requests:
            kernel.collect(requests.pop())

    def begin(name: str) -> Callable[[], None]:
        requests.append(
            kernel.send(
                f"import pathlib, time  # {name}\n"
                f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
            )
        )
        return let_go

    yield begin
    let_go()


def open_log(page: "Page") -> None:
    """Anew: as somebody sees it who comes now."""
    page.locator("nav").get_by_role("link", name="Runs").click()
    page.locator("h1", has_text="Runs").wait_for()
    page.locator("nav").get_by_role("link", name="Log").click()
    page.locator("h1", has_text="Log").wait_for()


@promise("dashboard.live")
def test_a_cell_that_runs_is_seen_by_who_opens_the_log_later(
    page: "Page", served: Served, hold: Callable[[str], Callable[[], None]]
) -> None:
    let_go = hold("early")
    running = page.locator(".row.running", has_text="# early")
    running.wait_for()
    open_log(page)
    running.wait_for()
    page.goto("about:blank")
    page.goto(served.page)
    running.wait_for()
    let_go()
    page.locator(".row.ok", has_text="# early").wait_for()
    running.wait_for(state="detached")


@promise("dashboard.live")
def test_what_is_told_while_a_page_of_the_log_is_on_its_way_stays(
    kernel: Kernel, page: "Page", hold: Callable[[str], Callable[[], None]]
) -> None:
    late: list[tuple[Route, APIResponse]] = []
    page.route("**/flow/api/records?*", lambda route: late.append((route, route.fetch())))
    open_log(page)
    # The server has answered, and the page does not know the answer yet.
    kernel.wait(lambda: page.evaluate("true") and bool(late), timeout=DEADLINE_S)
    assert kernel.run("told = 'meanwhile'").status == "ok"
    let_go = hold("meanwhile too")
    ended = page.locator(".row.ok", has_text="told = 'meanwhile'")
    running = page.locator(".row.running", has_text="# meanwhile too")
    ended.wait_for()
    running.wait_for()
    for route, answer in late:
        route.fulfill(response=answer)
    page.locator("ol[aria-busy=false]").wait_for()

    assert (ended.count(), running.count()) == (1, 1)
    let_go()
    page.locator(".row.ok", has_text="# meanwhile too").wait_for()
    running.wait_for(state="detached")


@promise("dashboard.live")
def test_a_connection_that_breaks_off_or_falls_silent_is_made_anew(
    kernel: Kernel, page: "Page", served: Served, hold: Callable[[str], Callable[[], None]]
) -> None:
    made: list[WebSocketRoute] = []

    def connect(route: "WebSocketRoute") -> None:
        made.append(route)
        if len(made) != 2:  # the second one says nothing at all
            route.connect_to_server()

    page.route_web_socket("**/flow/api/live", connect)
    page.clock.install()
    page.goto("about:blank")
    page.goto(served.page)
    page.locator(".live:not(.off)").wait_for()
    made[0].close()
    page.locator(".live.off").wait_for()
    let_go = hold("unheard")
    page.clock.fast_forward(1000)
    kernel.wait(lambda: page.evaluate("true") and len(made) == 2, timeout=DEADLINE_S)
    page.clock.fast_forward(20_000)  # it is given up
    page.clock.fast_forward(5_000)  # and another one is tried
    page.locator(".live:not(.off)").wait_for()
    page.locator(".row.running", has_text="# unheard").wait_for()
    let_go()
    page.locator(".row.ok", has_text="# unheard").wait_for()

    assert len(made) == 3


@promise("dashboard.live")
def test_an_answer_that_failed_is_asked_for_again(
    page: "Page", hold: Callable[[str], Callable[[], None]]
) -> None:
    hold("asked again")()
    page.route("**/flow/api/records?*", lambda route: route.fulfill(status=503, body="{}"), times=1)
    open_log(page)
    page.locator(".trouble", has_text="503").wait_for()
    page.locator(".trouble").wait_for(state="detached")

    assert page.locator(".row.ok", has_text="# asked again").count() == 1
