"""`jupyter flow demo`: run the tour notebook on the kernel, then show the log that it left.

Called by `cli`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from jupyter_core.paths import jupyter_path
from traitlets.config import Config

from flow_kernel.apps import kernelspec
from flow_kernel.apps.log_table import LogTable
from flow_kernel.apps.sources import merged
from flow_kernel.apps.tables import clip, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.timeline import Timeline
from flow_kernel.apps.when import stamp
from flow_kernel.errors import FlowError, MissingExtra, NotFound, UsageError
from flow_kernel.records.home import HOME_DIR, Home

_TOUR: Final = "tour.ipynb"
_CELL_S: Final = 600


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo`."""
    add = parser.add_argument
    add("notebook", metavar="NOTEBOOK", nargs="?", help="default: the tour of this package")
    add("--out", metavar="DIR", default="out", help="where notebook and log go; default: out")
    parser.epilog = "example: jupyter flow demo --out /tmp/tour"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run the notebook, show its log, say where everything lies.

    Raises:
        FlowError: A cell failed that was not meant to.
        MissingExtra: nbclient is not installed.
        NotFound: There is no such notebook.
    """
    out = (terminal.cwd / Path(options.out).expanduser()).absolute()
    if options.notebook:
        notebook = (terminal.cwd / Path(options.notebook).expanduser()).absolute()
        if not notebook.is_file():
            raise NotFound(f"there is no notebook {options.notebook}")
        cwd = notebook.parent
    else:
        notebook, cwd = _tour(), out
    player = _Player(notebook, terminal)
    out.mkdir(parents=True, exist_ok=True)
    if cwd == out:
        _copy_data(notebook.parent, out)
    if kernelspec.find() is None:
        kernelspec.install(prefix=sys.prefix)
    home = Home(out / HOME_DIR)
    began = stamp(terminal.now())
    failure = player.play(cwd=cwd, home=home, target=out / notebook.name)
    _print_log(home, began, terminal)
    _print_places(out / notebook.name, home, terminal)
    if failure:
        raise FlowError(f"a cell of {notebook.name} failed", hint=failure)
    return 0


class _Player:
    """Runs one notebook and says how far it is."""

    def __init__(self, notebook: Path, terminal: Terminal) -> None:
        """Read the notebook.

        Raises:
            MissingExtra: nbclient is not installed.
            UsageError: The file is no notebook.
        """
        try:
            import nbclient  # an extra, which only this verb needs
            import nbformat  # it comes with nbclient
        except ImportError as error:
            raise MissingExtra("nbclient", extra="notebook") from error
        self._nbclient = nbclient
        self._errors = nbclient.exceptions
        self._nbformat = nbformat
        self._terminal = terminal
        try:
            self._notebook = nbformat.read(notebook, as_version=4)
        except (ValueError, AttributeError, KeyError) as error:
            raise UsageError(f"{notebook.name} is not a notebook") from error
        self._code_cells = [c for c in self._notebook.cells if c.cell_type == "code"]

    def play(self, *, cwd: Path, home: Home, target: Path) -> str:
        """Run all cells and save the notebook as far as it came.

        Returns:
            How it failed; empty when it did not.
        """
        self._notebook.metadata["kernelspec"] = {
            "display_name": kernelspec.DISPLAY_NAME,
            "language": "python",
            "name": kernelspec.NAME,
        }
        # What the user set for other sessions must not lead the records elsewhere.
        env = {key: value for key, value in os.environ.items() if not key.startswith("FLOW_")}
        with tempfile.TemporaryDirectory(prefix="flow-demo-") as folder:
            client = self._nbclient.NotebookClient(
                self._notebook,
                timeout=_CELL_S,
                kernel_name=kernelspec.NAME,
                on_cell_execute=self._tell,
                # Nobody else on this machine can listen to a socket in our own folder.
                config=Config(KernelManager={"transport": "ipc", "ip": f"{folder}/s"}),
            )
            try:
                # What the kernel says on its own stderr is not part of the notebook.
                with Path(folder, "output.txt").open("wb") as output:
                    client.execute(
                        cwd=str(cwd),
                        env={**env, "FLOW_HOME": str(home.root)},
                        stdout=output,
                        stderr=output,
                    )
            except self._errors.CellExecutionError as error:
                return f"{error.ename}: {error.evalue}"
            except (self._errors.DeadKernelError, self._errors.CellTimeoutError, RuntimeError) as e:
                said = Path(folder, "output.txt").read_text(encoding="utf-8", errors="replace")
                return " ".join([*str(e).strip().splitlines()[:1], *said.splitlines()[-1:]])
            finally:
                self._clear_line()
                self._nbformat.write(self._notebook, target)
        return ""

    def _tell(self, *, cell: Any, **_: Any) -> None:
        if not self._terminal.is_tty or not self._code_cells:
            return
        number = next((i for i, c in enumerate(self._code_cells, 1) if c is cell), 0)
        first = next((line for line in cell.source.splitlines() if line.strip()), "")
        text = plain(f"cell {number} of {len(self._code_cells)}  {first}")
        self._terminal.out.write(f"\r{clip(text, self._terminal.columns - 1)}\x1b[K")
        self._terminal.flush()

    def _clear_line(self) -> None:
        if self._terminal.is_tty:
            self._terminal.out.write("\r\x1b[K")


def _tour() -> Path:
    for folder in (
        kernelspec.CHECKOUT / "notebooks",
        *map(Path, jupyter_path("flow", "notebooks")),
    ):
        if (folder / _TOUR).is_file():
            return folder / _TOUR
    raise NotFound("the tour notebook is not installed", hint="name a notebook")


def _copy_data(source: Path, out: Path) -> None:
    """The tour reads files beside it; they go where it runs."""
    data = source / "data"
    if data.is_dir():
        shutil.copytree(data, out / "data", dirs_exist_ok=True)


def _print_log(home: Home, began: str, terminal: Terminal) -> None:
    timeline = Timeline()
    entries = [
        entry
        for line in merged(home.log_files())
        if line.record is not None and str(line.record.get("timestamp", "")) >= began
        for entry in timeline.feed(line.record)
    ]
    LogTable(terminal, shows_task=False).print([*entries, *timeline.unfinished(lambda _: False)])


def _print_places(notebook: Path, home: Home, terminal: Terminal) -> None:
    logs = home.log_files()
    terminal.print()
    for name, value in (
        ("notebook", str(notebook)),
        ("log", str(logs[-1]) if logs else f"none in {home.root}"),
        ("read it", f"jupyter flow log --home {home.root}"),
        ("open it", f"jupyter flow lab {notebook}"),
    ):
        terminal.print(plain(f"{name:<10}{value}"))
