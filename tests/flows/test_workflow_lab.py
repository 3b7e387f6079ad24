"""A run of a workflow as a person in front of JupyterLab sees it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.promises import promise

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    # The test starts a server and a browser.
    pytest.mark.timeout(240),
]

WAITS = (
    "import pathlib, sys, time\n"
    "print('it waits', file=sys.stderr, flush=True)\n"
    "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    "print('{\"rows\": 3}')"
)
DARK = "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


COLOUR = "each => getComputedStyle(each).{}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def write(path: Path, *steps: dict[str, object]) -> None:
    path.write_text(json.dumps({"name": path.stem, "steps": steps}), encoding="utf-8")


@promise("workflow.seen")
def test_the_picture_of_a_run_lives_below_its_cell(lab: Lab) -> None:
    load = {"id": "load", "code": WAITS}
    save = {"id": "save", "code": "print('{}')", "needs": ["load"]}
    write(lab.work / "live.json", load, save)
    notebook = lab.open("%workflow run live.json", "%workflow show")

    notebook.begin(0)
    notebook.wait_for_text(0, "it waits")
    running = notebook.output(0).locator("svg g.running").count()
    lab.picture("running")
    (lab.work / "go").touch()
    notebook.ended(0)
    notebook.output(0).locator("details").first.click()
    notebook.wait_for_text(0, "rows = 3")
    lab.picture("ended")
    notebook.run(1)
    lab.page.evaluate(DARK)
    lab.page.locator("#jupyterlab-splash").wait_for(state="detached")
    lab.picture("ended-dark")
    said = (
        notebook.output(0).locator("svg .nm").first.evaluate("each => getComputedStyle(each).fill")
    )
    text = notebook.output(0).evaluate("each => getComputedStyle(each.querySelector('b')).color")

    assert running == 1
    assert said == text  # readable wherever text is
    for number in (0, 1):
        assert notebook.output(number).locator("svg g.ok").count() == 2
        assert notebook.output(number).locator('svg[role="img"]').count() == 1
    assert "it waits" in notebook.text(0)
