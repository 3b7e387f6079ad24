"""A real JupyterLab in a real Chromium, for what a person in front of it sees.

Called by the tests of `tests/flows/test_*_lab.py`, which share one server and one page a module.

The server has folders of its own for everything, listens on loopback at a port that the system
chose, and asks nobody for news or extensions. Waits are for what the page shows, bounded by
`DEADLINE_MS`.
"""

import json
import re
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import nbformat
import pytest

from tests import browser, screens
from tests.ends import kill_server
from tests.environments import environment
from tests.kernels import FLOW

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DEADLINE_MS: Final = 40_000.0
"""Longest wait for something to be seen; reached only when something is broken."""
_START_S: Final = 90.0
_SETTINGS_FILE: Final = (
    "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
)
_SETTINGS: Final = {"fetchNews": "false", "checkForUpdates": False}
_OPEN: Final = """async path => {
    const panel = await jupyterapp.commands.execute("docmanager:open", {path, factory: "Notebook"});
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    return panel.id;
}"""
_SAVE: Final = "jupyterapp.commands.execute('docmanager:save')"
_ACTIVATE: Final = "id => jupyterapp.shell.activateById(id)"
# A kernel that is kept busy by what a failed test has left in it is nobody's any more.
_SHOW: Final = """async ([id, cells]) => {
    const panel = [...jupyterapp.shell.widgets("main")].find(each => each.id === id);
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel) return false;
    await new Promise(done => {
        kernel.statusChanged.connect((_, status) => status === "idle" && done());
        setTimeout(done, kernel.status === "idle" ? 0 : 2000);
    });
    if (kernel.status !== "idle") return false;
    const model = panel.content.model.sharedModel;
    const before = model.cells.length;
    // Added first: an empty notebook would get a cell of its own.
    model.insertCells(before, cells.map(source => ({cell_type: "code", source})));
    model.deleteCellRange(0, before);
    return true;
}"""
_CLOSE: Final = """async id => {
    const panel = [...jupyterapp.shell.widgets("main")].find(each => each.id === id);
    await panel.sessionContext.shutdown();
    panel.dispose();
}"""
# Behind a launcher: an empty window gets one at a time of its own.
_LEAVE: Final = """async id => {
    await jupyterapp.commands.execute("docmanager:save");
    await jupyterapp.commands.execute("launcher:create");
    [...jupyterapp.shell.widgets("main")].find(each => each.id === id).dispose();
}"""
# Text is drawn in the frames that follow its arrival.
_DRAWN: Final = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_PLAIN: Final = """area => {
    const copy = area.cloneNode(true);
    for (const prompt of copy.querySelectorAll(".jp-OutputPrompt")) prompt.textContent = "";
    // The button that collapses outputs is drawn once the page has found them tall enough.
    for (const button of copy.querySelectorAll(".jp-OutputArea-promptOverlay")) button.remove();
    for (const each of copy.querySelectorAll("[id]")) each.removeAttribute("id");
    return copy.innerHTML;
}"""
_READY: Final = "jupyterapp.restored.then(() => jupyterapp.shell.collapseLeft())"


class Notebook:
    """A notebook that is open on the page of a `Lab`.

    Args:
        page: Of Playwright.
        panel: The id of its panel.
    """

    def __init__(self, page: "Page", panel: str) -> None:
        self._page = page
        self.panel = panel

    def cell(self, number: int) -> "Locator":
        """A cell, counted from 0."""
        return self._in_panel(".jp-Notebook-cell").nth(number)

    def output(self, number: int) -> "Locator":
        """The place below a cell where its outputs are."""
        return self.cell(number).locator(".jp-Cell-outputWrapper")

    def red(self, number: int) -> "Locator":
        """What is shown in red below a cell: each error, and text on stderr."""
        return self.output(number).locator('[data-mime-type="application/vnd.jupyter.stderr"]')

    def begin(self, number: int) -> None:
        """Run a cell as people do, and go on while it runs.

        Its tab is taken first: JupyterLab puts a launcher into an empty window at a time of its
        own, and then over the notebook that was opened meanwhile.
        """
        self._page.evaluate(_ACTIVATE, self.panel)
        self.cell(number).locator(".cm-content").click()
        self._page.keyboard.press("Control+Enter")

    def ended(self, number: int) -> None:
        """Wait until a cell that was run once has its number."""
        prompt = self.cell(number).locator(".jp-InputPrompt")
        # Attached, and no more: a notebook hides what has scrolled out of its window.
        prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(state="attached")
        self._page.evaluate(_DRAWN)

    def run(self, number: int) -> str:
        """Run a cell to its end.

        Returns:
            The text of its outputs.
        """
        self.begin(number)
        self.ended(number)
        return self.text(number)

    def text(self, number: int) -> str:
        """The text of the outputs of a cell, as they are now."""
        found: str = self.output(number).inner_text()
        return found.strip()

    def html(self, number: int) -> str:
        """The outputs of a cell as a page has them, without what differs from cell to cell."""
        found: str = self.output(number).locator(".jp-OutputArea").first.evaluate(_PLAIN)
        return found

    def wait_for_text(self, number: int, text: str) -> None:
        """Wait until the outputs of a cell hold `text`, and show it."""
        found = self.output(number).get_by_text(text).first
        found.wait_for(state="attached")
        # A cell that is not on the screen is there, and hidden.
        found.evaluate("element => element.scrollIntoView({block: 'center'})")
        found.wait_for()

    def interrupt(self) -> None:
        """Press the button of the toolbar that stops a cell."""
        self._in_panel('[data-command="notebook:interrupt-kernel"]').first.click()

    def _in_panel(self, selector: str) -> "Locator":
        return self._page.locator(f'[id="{self.panel}"]').locator(selector)


class Lab:
    """A server and a browser that looks at it.

    Skips the test where JupyterLab, Playwright or Chromium is missing.

    Args:
        root: An empty folder for all files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self._token = secrets.token_hex()
        self._open_notebooks = 0
        self._notebook: Notebook | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        for module in ("jupyterlab", "playwright"):
            if find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
        chromium = browser.program()
        from playwright.sync_api import sync_playwright  # missing where nobody tests pages

        with self._ends:
            server = self._serve()
            playwright = self._ends.enter_context(sync_playwright())
            window = playwright.chromium.launch(
                executable_path=chromium, args=[*browser.QUIET_FLAGS, "--disable-dev-shm-usage"]
            )
            self._ends.callback(window.close)
            self.page = window.new_page(viewport={"width": 1000, "height": 700})
            self.page.set_default_timeout(DEADLINE_MS)
            self._url = f"{self._listens(server)}lab?reset&token={self._token}"
            self.page.goto(self._url)
            self._wait_for_page()
            self._ends = self._ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def open(self, *cells: str) -> Notebook:
        """Open a new notebook, with a kernel of its own; the one before is closed.

        The other way round the window would be empty for a moment, and get a launcher.
        """
        before = self._notebook
        self._open_notebooks += 1
        path = self.work / f"{self._open_notebooks}.ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": FLOW, "display_name": FLOW, "language": "python"}},
        )
        nbformat.write(notebook, path)
        self._notebook = self._opened()
        if before is not None:
            self.page.evaluate(_CLOSE, before.panel)
        return self._notebook

    def show(self, *cells: str) -> Notebook:
        """Have these cells in the notebook that is open, with the kernel that it has.

        Quicker than `open` by the start of a kernel and of a worker; numbers of cells go on.
        """
        if self._notebook is None or not self.page.evaluate(
            _SHOW, [self._notebook.panel, list(cells)]
        ):
            return self.open(*cells)
        return self._notebook

    def reload(self) -> Notebook:
        """Load the page again; the notebook and its kernel are still there.

        With an empty window: JupyterLab opens what it remembers at a time of its own, twice.
        """
        self.page.evaluate(_SAVE)
        self.page.goto(self._url)
        self._wait_for_page()
        self._notebook = self._opened()
        return self._notebook

    def reopen(self) -> Notebook:
        """Close the notebook and open it again on the same page."""
        assert self._notebook is not None
        self.page.evaluate(_LEAVE, self._notebook.panel)
        self._notebook = self._opened()
        return self._notebook

    def picture(self, state: str = "") -> Path:
        """What is seen now, in a file; `state` names it where a test keeps several."""
        return screens.keep(self.page, state)

    def _opened(self) -> Notebook:
        panel = self.page.evaluate(_OPEN, f"{self._open_notebooks}.ipynb")
        return Notebook(self.page, panel)

    def _wait_for_page(self) -> None:
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.page.evaluate(_READY)
        # It comes into an empty window after that, and over a notebook that was opened meanwhile.
        self.page.locator(".jp-Launcher").wait_for()

    # -- the server --------------------------------------------------------------------------------

    def _serve(self) -> "subprocess.Popen[bytes]":
        """Start the server, and do not wait for it."""
        self.work.mkdir()
        folders = {name: str(self.root / name) for name in ("config", "data", "runtime")}
        path = self.root / "config" / _SETTINGS_FILE
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(_SETTINGS), encoding="utf-8")
        env = environment(
            {f"JUPYTER_{name.upper()}_DIR": path for name, path in folders.items()}
            | {
                "JUPYTER_TOKEN": self._token,
                "IPYTHONDIR": str(self.root / "ipython"),
                "FLOW_HOME": str(self.root / "home"),
            }
        )
        with (self.root / "server.txt").open("wb") as said:
            server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                    *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
                    *(f"--ServerApp.root_dir={self.work}", "--expose-app-in-browser"),
                    "--LabApp.extension_manager=readonly",
                ],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self._ends.callback(kill_server, server)
        return server

    def _listens(self, server: "subprocess.Popen[bytes]") -> str:
        known = self.root / "runtime" / f"jpserver-{server.pid}.json"
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and server.poll() is None:
            try:
                return str(json.loads(known.read_text("utf-8"))["url"])
            except (FileNotFoundError, json.JSONDecodeError):  # not there, or half written
                time.sleep(0.02)
        said = (self.root / "server.txt").read_text("utf-8", errors="replace")
        raise TimeoutError(f"JupyterLab does not listen: {said[-2000:]}")
