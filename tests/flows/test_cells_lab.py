"""Cells, local and isolated ones and runs, as a person in front of JupyterLab sees them."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.lab import Lab
from tests.promises import promise

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only"),
    # The first test starts a server and a browser.
    pytest.mark.timeout(240),
]

SHOWN_ALIKE = {
    "text": "print('one')\nimport sys\nprint('two', file=sys.stderr)\n'three'",
    "displays": (
        "from IPython.display import HTML, display, update_display\n"
        "display(HTML('<b>bold</b>'), display_id='later')\n"
        "update_display(HTML('<i>changed</i>'), display_id='later')"
    ),
    "cleared": (
        "from IPython.display import clear_output\n"
        "print('before')\nclear_output(wait=True)\nprint('after')"
    ),
    "help": "print?",
}

WAITS: Final = (
    "import pathlib, sys, time\n"
    "print('it waits', file=sys.stderr, flush=True)\n"
    "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    "print('{\"rows\": 3}')"
)
DARK: Final = "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(autouse=True)
def picture(lab: Lab) -> Iterator[None]:
    """What a test has ended with is in a picture of its name."""
    yield
    lab.picture()


@promise("output.seen")
@pytest.mark.parametrize("head", ["", "%%isolated\n"])
def test_output_appears_while_a_loop_runs(lab: Lab, head: str) -> None:
    # Each line is printed once the one before it was seen: a line that waits for the end never is.
    loop = (
        "import pathlib, sys, time\n"
        "for n in range(4):\n"
        "    print(f'line {n} of the loop', file=sys.stderr if n % 2 else sys.stdout)\n"
        "    while not pathlib.Path(f'seen-{n}').exists(): time.sleep(0.005)\n"
        "    pathlib.Path(f'seen-{n}').unlink()\n"
        "'done'"
    )
    notebook = lab.show(head + loop)

    notebook.begin(0)
    for number in range(4):
        notebook.wait_for_text(0, f"line {number} of the loop")
        (lab.work / f"seen-{number}").touch()
    notebook.ended(0)

    shown = [line for line in notebook.text(0).splitlines() if line.startswith("line")]
    assert shown == [f"line {number} of the loop" for number in range(4)]
    assert "done" in notebook.text(0)


@promise("isolated.screen")
def test_what_is_shown_is_what_a_local_cell_shows(lab: Lab) -> None:
    cells = [f"{head}{code}" for code in SHOWN_ALIKE.values() for head in ("", "%%isolated\n")]
    notebook = lab.show(*cells)

    for number in range(len(cells)):
        notebook.run(number)
    shown = {
        name: (notebook.html(2 * number), notebook.html(2 * number + 1))
        for number, name in enumerate(SHOWN_ALIKE)
    }

    assert {name: isolated for name, (_, isolated) in shown.items()} == {
        name: local for name, (local, _) in shown.items()
    }
    assert "three" in notebook.text(1)
    assert notebook.text(3) == "changed"
    assert notebook.text(5) == "after"


@promise("isolated.screen")
def test_a_button_of_a_worker_is_pressed(lab: Lab) -> None:
    notebook = lab.show(
        "import os\nos.getpid()",
        "%%isolated\nimport os\nimport ipywidgets as widgets\n"
        "label = widgets.Label('nobody has pressed')\n"
        "button = widgets.Button(description='Press')\n"
        "def pressed(_): label.value = f'pressed in {os.getpid()}'\n"
        "button.on_click(pressed)\n"
        "display(widgets.VBox([button, label]))",
    )
    pid = notebook.run(0).split()[-1]

    notebook.run(1)
    notebook.wait_for_text(1, "nobody has pressed")
    notebook.output(1).get_by_role("button", name="Press").click()
    notebook.wait_for_text(1, "pressed in")

    assert pid.isdigit()
    assert re.search(r"pressed in \d+", notebook.text(1))
    assert pid not in notebook.text(1)


@promise("isolated.screen")
def test_widgets_are_there_again_when_the_page_is_loaded_again(lab: Lab) -> None:
    widget = (
        "import ipywidgets as widgets\nlabel = widgets.Label('{0}')\n"
        "button = widgets.Button(description='Press')\n"
        "button.on_click(lambda _: setattr(label, 'value', 'pressed {0}'))\n"
        "display(widgets.VBox([button, label]))"
    )
    notebook = lab.show(widget.format("here"), "%%isolated\n" + widget.format("there"))
    notebook.run(0)
    notebook.run(1)
    notebook.wait_for_text(1, "there")

    notebook = lab.reload()
    for number, where in enumerate(("here", "there")):
        notebook.wait_for_text(number, where)
        notebook.output(number).get_by_role("button", name="Press").click()
        notebook.wait_for_text(number, f"pressed {where}")


@promise("isolated.screen")
def test_what_a_slider_of_a_worker_prints_is_shown_below_it(lab: Lab) -> None:
    notebook = lab.show(
        "%%isolated\nimport ipywidgets as widgets\n"
        "def square(x): print('the square is', x * x)\n"
        "widgets.interactive(square, x=widgets.IntSlider(3, 0, 9))"
    )

    notebook.run(0)
    notebook.wait_for_text(0, "the square is 9")
    notebook.output(0).get_by_role("slider").press("ArrowRight")
    notebook.wait_for_text(0, "the square is 16")

    assert "the square is 9" not in notebook.text(0)


@promise("isolated.screen")
def test_a_progress_bar_of_a_worker_gets_to_its_end(lab: Lab) -> None:
    notebook = lab.show(
        "%%isolated\nfrom tqdm.notebook import tqdm\nfor _ in tqdm(range(40), desc='steps'): pass"
    )

    notebook.run(0)
    notebook.wait_for_text(0, "40/40")

    bar = notebook.output(0).locator(".progress-bar")
    assert "100%" in notebook.text(0)
    assert bar.evaluate("bar => bar.style.width") == "100%"


@promise("isolated.screen")
def test_a_figure_of_a_worker_is_a_picture(lab: Lab) -> None:
    notebook = lab.show(
        "%%isolated\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.title('drawn')\n"
        "plt.show()"
    )

    notebook.run(0)
    figure = notebook.output(0).locator("img")
    figure.wait_for()

    assert figure.count() == 1
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


@promise("isolated.screen")
def test_an_error_is_shown_once_with_its_lines(lab: Lab) -> None:
    notebook = lab.show(
        "def f():\n    return 1 / 0\nf()", "%%isolated\ndef f():\n    return 1 / 0\nf()"
    )

    local = notebook.run(0)
    isolated = notebook.run(1)

    assert notebook.red(1).count() == 1
    assert isolated.count("ZeroDivisionError: division by zero") == 1
    assert _lines(isolated) == _lines(local)


@promise("isolated.screen")
@pytest.mark.parametrize(
    ("code", "told"),
    [("import os\nos._exit(3)", "exit"), ("import ctypes\nctypes.string_at(0)", "SIGSEGV")],
    ids=["exit", "segfault"],
)
def test_a_death_can_be_read_and_the_next_cell_runs(lab: Lab, code: str, told: str) -> None:
    notebook = lab.show("kept = 5", f"%%isolated\nprint('so far')\n{code}", "kept + 1")
    notebook.run(0)

    report = notebook.run(1)

    assert "so far" in report
    assert report.count("WorkerDied") >= 1
    assert told in report
    assert "as they were" in report
    assert notebook.red(1).count() == 1
    assert notebook.run(2).endswith("6")


@promise("isolated.screen")
def test_the_stop_button_stops_the_cell_and_the_next_one_runs(lab: Lab) -> None:
    notebook = lab.show(
        # Its state goes on: of a loop that certainly does not, a slow machine is told.
        "%%isolated\nkept = 5; n = 0\nprint('begun', flush=True)\nwhile True: n += 1",
        "%%isolated\nkept + 1",
    )
    notebook.begin(0)
    notebook.wait_for_text(0, "begun")

    notebook.interrupt()
    notebook.ended(0)

    assert "KeyboardInterrupt" in notebook.text(0)
    assert notebook.red(0).count() == 1
    assert notebook.run(1).endswith("6")


@promise("isolated.screen")
def test_a_question_of_a_worker_is_answered_in_its_box(lab: Lab) -> None:
    notebook = lab.show("%%isolated\nname = input('Who? ')\nprint('hello', name)")
    notebook.begin(0)
    box = notebook.output(0).locator(".jp-Stdin-input")

    box.fill("Ada")
    box.press("Enter")
    notebook.ended(0)

    box.wait_for(state="detached")
    assert notebook.text(0).split() == ["Who?", "Ada", "hello", "Ada"]


@promise("workflow.seen")
def test_the_picture_of_a_run_lives_below_its_cell(lab: Lab) -> None:
    load = {"id": "load", "code": WAITS}
    save = {"id": "save", "code": "print('{}')", "needs": ["load"]}
    spec = json.dumps({"name": "live", "steps": [load, save]})
    (lab.work / "live.json").write_text(spec, encoding="utf-8")
    notebook = lab.show("%workflow run live.json", "%workflow show")

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


def _lines(traceback: str) -> list[str]:
    """The lines of code that a traceback shows."""
    return [line.strip() for line in traceback.splitlines() if re.match(r"(-+> )?\s*\d+ ", line)]
