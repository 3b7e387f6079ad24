"""Buttons, panel and dashboard as a person in front of JupyterLab sees and presses them."""

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.hostile_texts import TEXTS
from tests.lab import Lab, Notebook
from tests.promises import promise

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Locator

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    # The first test starts a server and a browser.
    pytest.mark.timeout(240),
]

_THEME: Final = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
_THEMES: Final = ("JupyterLab Light", "JupyterLab Dark")
_IS_DARK: Final = "body => body.dataset.jpThemeLight === 'false'"
_SPIN: Final = (
    "import pathlib\nprint('spins')\nwhile not pathlib.Path('stop').exists(): sum(range(1000))"
)
_TAGS: Final = "each => [...each.querySelectorAll('*')].map(one => one.localName).sort().join(' ')"
_SHUTDOWN: Final = "jupyterapp.serviceManager.sessions.shutdownAll()"
_LAUNCHER: Final = "jupyterapp.commands.execute('launcher:create').then(() => null)"
_TAB: Final = "jupyterapp.commands.execute('flow:open-dashboard').then(() => null)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    for module in ("anywidget", "axe_playwright_python"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        # Before any cell has run.
        dashboard(lab).locator(".empty").wait_for()
        yield lab


def dashboard(lab: Lab) -> "FrameLocator":
    """The dashboard in a tab that a card of the launcher has opened, once it is live."""
    lab.page.evaluate(_LAUNCHER)
    lab.page.locator(".jp-LauncherCard:visible", has_text="Flow Dashboard").click()
    inside = lab.page.frame_locator("#flow-dashboard iframe")
    inside.locator(".live:not(.off)").wait_for()
    return inside


@pytest.fixture(autouse=True)
def picture(lab: Lab) -> Iterator[None]:
    """What a test has ended with is in a picture of its name."""
    yield
    lab.picture()


def press(notebook: Notebook, cell: int, name: str) -> "Locator":
    """A button below a cell, once it is there: `Approve A-` is that of whichever question."""
    wanted = re.compile(rf"^{re.escape(name)}\d+$") if name.endswith("A-") else name
    button = notebook.output(cell).get_by_role("button", name=wanted, exact=True)
    button.wait_for()
    return button


@promise("panel.seen", "panel.press")
def test_buttons_answer_a_cell_that_blocks_by_mouse_and_by_keyboard(lab: Lab) -> None:
    notebook = lab.show(
        "ok = %approve 'Delete 3 files?'\nprint('answer', bool(ok))",
        "%%approve Publish it?\nprint('published')",
        "print('the next cell runs')",
    )

    notebook.begin(0)
    press(notebook, 0, "Approve A-").click()
    notebook.ended(0)
    notebook.begin(1)
    reject = press(notebook, 1, "Reject A-")
    lab.picture("waits")
    comment = notebook.output(1).get_by_label("Comment on A-")
    comment.press_sequentially("dd: not on a Friday")  # letters that are shortcuts elsewhere
    reject.focus()
    lab.page.keyboard.press("Enter")
    notebook.ended(1)
    notebook.run(2)

    assert "answer True" in notebook.text(0)
    assert "approved by" in notebook.text(0)
    assert notebook.output(0).locator(".flow-w button").count() == 0
    assert "dd: not on a Friday" in notebook.text(1)
    assert "published" not in notebook.text(1)
    assert notebook.text(2) == "the next cell runs"


@promise("panel.seen", "panel.orders", "panel.live")
def test_the_panel_is_live_and_its_buttons_work(lab: Lab) -> None:
    notebook = lab.open(
        "%task start 'Load data' --steps read,clean",
        "%flow panel",
        "rows = 100",
        "%checkpoint 'all rows'",
        "%%isolated\nhalf = rows / 2",
        "%approve 'Delete the rest?' --park",
        _SPIN,
        "rows = 0",
    )
    for number in range(6):
        notebook.run(number)
    panel = notebook.output(1)
    # Once nothing was new for a second, its lines stand in the hidden form for reports as well.
    timeline = panel.get_by_role("list", name="Timeline")

    notebook.begin(6)
    notebook.wait_for_text(6, "spins")
    panel.get_by_text("│ %approve 'Delete the rest?' --park").wait_for()
    lab.picture("asks")
    press(notebook, 1, "Approve A-").click()
    timeline.get_by_text("approved by").wait_for()
    notebook.wait_for_text(1, "runs, ")
    press(notebook, 1, "Roll back: all rows").click()
    panel.get_by_text("a cell runs, and nothing was changed").wait_for()
    assert notebook.output(6).get_by_text("spins").count() == 1
    (lab.work / "stop").touch()
    notebook.ended(6)
    notebook.run(7)
    for ends in ("Escape", "Roll back"):
        press(notebook, 1, "Roll back: all rows").click()
        sure = press(notebook, 1, "Roll back")
        assert "~rows" in panel.get_by_role("group", name="Confirm: would").inner_text()
        if ends == "Escape":
            lab.page.keyboard.press("Escape")
            sure.wait_for(state="detached")
        else:
            lab.picture("confirms")
            sure.click()
    timeline.get_by_text("to all rows").wait_for()
    press(notebook, 1, "Stop worker: w1 default").click()
    press(notebook, 1, "Stop worker").click()
    panel.get_by_text("worker w1 default has ended").wait_for()
    timeline.filter(has_text="dead: stopped").wait_for()  # told after the answer

    titles = timeline.inner_text()
    assert "cell [3] rows = 100" in titles
    assert "rollback to all rows ~rows" in titles
    assert "w1 dead: stopped" in titles


@promise("panel.seen")
@pytest.mark.parametrize("theme", _THEMES)
def test_axe_finds_nothing_in_light_and_dark(lab: Lab, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    lab.page.evaluate(_THEME, theme)
    lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
    notebook = lab.show(
        "%task start 'Load data' --steps read,clean", "x = 1", "1 / 0", "%checkpoint one",
        "%flow panel", "%approve 'Delete 3 files?' --timeout 10m",
    )  # fmt: skip
    for number in range(5):
        notebook.run(number)
    press(notebook, 4, "Roll back: one").click()
    press(notebook, 4, "Roll back")
    notebook.begin(5)
    skip = press(notebook, 5, "Skip A-")
    notebook.output(4).get_by_role("button", name="Skip A-").wait_for()
    found = Axe().run(lab.page, ".flow-w", {"resultTypes": ["violations", "incomplete"]}).response
    shown = lab.page.locator("body").evaluate(_IS_DARK)
    lab.picture(f"axe-{theme}")
    skip.click()
    notebook.ended(5)

    assert shown is (theme == _THEMES[1])
    assert [_told(each) for each in found["violations"]] == []
    assert [_told(each) for each in found["incomplete"] if each["id"] == "color-contrast"] == []


@promise("panel.hostile")
def test_no_element_of_a_hostile_text_is_on_the_page(lab: Lab) -> None:
    texts = [text for text in TEXTS if "<" in text][:: len(TEXTS) // 3]
    ask = "import flow_kernel\nflow_kernel.current_session().request_approval({!r})"
    notebook = lab.show(*(ask.format(text) for text in ("Plain?", *texts)))

    tags = []
    for number in range(len(texts) + 1):
        notebook.begin(number)
        skip = press(notebook, number, "Skip A-")
        tags.append(notebook.output(number).locator(".flow-w").evaluate(_TAGS))
        skip.click()
        notebook.ended(number)

    assert len(texts) >= 2
    assert set(tags) == {tags[0]}


@promise("panel.falls_back")
def test_a_notebook_that_is_opened_again_has_the_panel_live_or_as_it_stood(lab: Lab) -> None:
    notebook = lab.open("kept = 1", "%flow panel", "%approve 'Kept?'")
    notebook.run(0)
    notebook.run(1)
    notebook.begin(2)
    press(notebook, 2, "Approve A-").click()
    notebook.ended(2)

    notebook = lab.reload()
    notebook.output(1).locator(".flow-w").wait_for()
    live = notebook.output(1).locator(".flow-w").inner_text()
    lab.page.evaluate(_SHUTDOWN)
    notebook = lab.reopen()
    still = notebook.output(1).locator(".flow-still")
    still.wait_for()
    text, form = notebook.text(1), still.inner_text().strip()

    assert "cell [1] kept = 1" in live
    assert " Kept?" in live
    assert "cell [1] kept = 1" in text
    assert text == form  # and no word of a widget that is not there
    assert notebook.output(1).locator(".flow-w").count() == 0
    assert re.search(r"A-\d+ approved by", notebook.text(2))


@promise("dashboard.tab")
def test_a_launcher_entry_opens_a_tab_that_shows_what_the_notebook_beside_it_does(
    lab: Lab,
) -> None:
    inside = dashboard(lab)
    notebook = lab.show("seen_from_the_tab = 1")
    notebook.run(0)
    lab.page.evaluate(_TAB)
    inside.locator(".row.ok", has_text="seen_from_the_tab = 1").wait_for()

    assert lab.page.locator("#flow-dashboard").count() == 1
    assert lab.page.locator("li.lm-TabBar-tab", has_text="Flow").first.is_visible()


def _told(violation: dict[str, Any]) -> list[Any]:
    return [violation["id"], [node["html"][:300] for node in violation["nodes"]]]
