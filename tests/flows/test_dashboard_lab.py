"""The dashboard as a tab of JupyterLab."""

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.promises import promise

# The test starts a server and a browser.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@promise("dashboard.tab")
def test_a_launcher_entry_opens_a_tab_that_shows_what_the_notebook_beside_it_does(
    lab: Lab,
) -> None:
    lab.page.locator(".jp-LauncherCard", has_text="Flow Dashboard").click()
    inside = lab.page.frame_locator("#flow-dashboard iframe")
    inside.locator(".live:not(.off)").wait_for()
    inside.locator(".empty").wait_for()
    notebook = lab.open("seen_from_the_tab = 1")
    notebook.run(0)
    lab.page.evaluate("jupyterapp.commands.execute('flow:open-dashboard')")
    inside.locator(".row.ok", has_text="seen_from_the_tab = 1").wait_for()
    lab.picture()

    assert lab.page.locator("#flow-dashboard").count() == 1
    assert lab.page.locator("li.lm-TabBar-tab", has_text="Flow").first.is_visible()
