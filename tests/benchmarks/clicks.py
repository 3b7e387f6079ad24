"""How long a waiting cell needs to go on after a button below it was pressed.

Called by `run.py`.

At the kernel a press is the `comm_msg` that a front end sends, and the cell goes on when its
`execute_reply` is here: with a subshell as JupyterLab sends it, without as VS Code does, and beside
a thread that computes in pure Python. In JupyterLab it is the click of the mouse in Chromium, and
the cell has gone on when the page has its reply. The peer at the kernel is a cell that runs `pass`
in the same kernel: what a request and its reply cost without any press. The checkpoint that an
approved cell gets before it runs is left out there, and is in a row of its own; its turns wait
until the one before is on the disk.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import Bench, Benchmark, Figure, Result, Target, alone, in_turn, pairs_of, side_by_side

sys.path.insert(0, str(Path(__file__).parents[2]))  # the front ends of the tests

from flow_kernel.shell.channels.quick_answers import GO_ON_S
from tests.front_ends import FrontEnd
from tests.kernels import Kernel

if TYPE_CHECKING:
    from tests.lab import Notebook

_KERNEL: Final = Target(at_most=10)
_MEDIAN: Final = Target(at_most=30)
_P95: Final = Target(at_most=100)
_CALM_S: Final = 2 * GO_ON_S
"""Nothing gains from the press before: a person does not press ten times a second."""
_SETTLE: Final = "import flow_kernel; flow_kernel.current_session().checkpoints.settle()"
_SPIN: Final = (
    "import threading\nspins = True\ndef spin():\n    n = 0\n    while spins: n += 1\n"
    "spinner = threading.Thread(target=spin); spinner.start()"
)
_REST: Final = "spins = False; spinner.join()"
_WATCH: Final = """() => {
    const panel = jupyterapp.shell.currentWidget;
    const kernel = panel.sessionContext.session.kernel;
    window.flowTimes = {};
    document.addEventListener("click", () => { window.flowTimes.click = performance.now(); }, true);
    kernel.anyMessage.connect((_, {msg, direction}) => {
        if (direction === "recv" && msg.header.msg_type === "execute_reply") {
            window.flowTimes.reply = performance.now();
        }
    });
}"""
_TOOK: Final = "() => window.flowTimes.reply - window.flowTimes.click"


def _figure(name: str, title: str, target: Target) -> Figure:
    return Figure(name=name, title=title, unit="ms", target=target)


_NO_CHECKPOINT: Final = "FlowKernel.checkpoint_steps"
_FIGURES: Final = {
    (True, False): _figure("click_lab", "press with a subshell, main blocked", _KERNEL),
    (False, False): _figure("click_code", "press without a subshell, main blocked", _KERNEL),
    (True, True): _figure("click_lab_cpu", "press with a subshell, a thread computes", _MEDIAN),
    (False, True): _figure("click_code_cpu", "press without one, a thread computes", _MEDIAN),
}
_CHECKPOINT: Final = Figure(
    name="click_checkpoint", title="press that is followed by a checkpoint", unit="ms"
)
_BROWSER: Final = _figure("click_browser", "click in JupyterLab until the reply is there", _MEDIAN)
_BROWSER_P95: Final = _figure("click_browser_p95", "the 95th percentile of these", _P95)


def _pressed(front: FrontEnd) -> float:
    """Milliseconds from a press to the reply of the cell."""
    time.sleep(_CALM_S)
    cell = front.begin("ok = %approve Go?")
    widget = front.widget(cell)
    began = time.perf_counter()
    widget.answers("approve")
    front.kernel.wait(lambda: cell in front.kernel.replies)
    took = time.perf_counter() - began
    front.ended(cell)
    return took * 1e3


def _passed(front: FrontEnd) -> float:
    """Milliseconds from a request to its reply."""
    time.sleep(_CALM_S)
    began = time.perf_counter()
    cell = front.begin("pass")
    front.kernel.wait(lambda: cell in front.kernel.replies)
    took = time.perf_counter() - began
    front.ended(cell)
    return took * 1e3


def _kernel_side(bench: Bench) -> list[Result]:
    results = []
    for (is_lab, is_busy), figure in _FIGURES.items():
        with Kernel(arguments=[f"--{_NO_CHECKPOINT}=False"]) as kernel:
            front = FrontEnd(kernel, is_lab=is_lab)
            if is_busy:
                front.run(_SPIN)
            for _ in range(2):  # the first one loads what the others have
                _pressed(front)
            turns: list[Callable[[int], float]] = [
                lambda _, front=front: _pressed(front),
                lambda _, front=front: _passed(front),
            ]
            taken = in_turn(bench.count(60, 3), bench.rng, turns)
            if is_busy:
                front.run(_REST)
        pairs = pairs_of(list(zip(*taken, strict=True)))
        results.append(side_by_side(figure, pairs, peer="a cell that runs pass"))
    return [*results, _with_checkpoint(bench)]


def _with_checkpoint(bench: Bench) -> Result:
    with Kernel() as kernel:
        front = FrontEnd(kernel, is_lab=True)
        samples = []
        for _ in range(bench.count(30, 2) + 2):
            front.run(_SETTLE)
            samples.append(_pressed(front))
    return alone(_CHECKPOINT, samples[2:])


def _in_the_browser(bench: Bench) -> list[Result]:
    from tests.lab import Lab  # Playwright, where this one is asked for

    with Lab(bench.folder("lab")) as lab:
        config = lab.root / "config" / "jupyter_flow_config.py"
        config.write_text(f"c.{_NO_CHECKPOINT} = False\n", encoding="utf-8")
        notebook = lab.open("pass", "ok = %approve Go?")
        notebook.run(0)
        lab.page.evaluate(_WATCH)
        samples = [
            _clicked(notebook, number, lab.page.evaluate)
            for number in range(1, bench.count(40, 2) + 3)
        ][2:]  # the first ones load what the others have
    edges = statistics.quantiles(samples, n=20, method="inclusive")
    note = "Chromium on the same two cores"
    return [alone(_BROWSER, samples, note=note), alone(_BROWSER_P95, [edges[-1]], note=note)]


def _clicked(notebook: "Notebook", number: int, evaluate: Callable[[str], float]) -> float:
    """Milliseconds from a click to the reply, by the clock of the page."""
    notebook.begin(1)
    button = notebook.output(1).get_by_role("button", name=f"Approve A-{number:04d}")
    button.click()
    button.wait_for(state="detached")
    notebook.ended(1)
    took = evaluate(_TOOK)
    notebook.begin(0)
    notebook.ended(0)
    return took


BENCHMARKS: Final = (
    Benchmark(
        name="clicks",
        about="a button below a waiting cell is pressed, at the kernel",
        run=_kernel_side,
    ),
    Benchmark(
        name="clicks_browser",
        about="the same with a mouse, in JupyterLab and Chromium",
        run=_in_the_browser,
    ),
)
