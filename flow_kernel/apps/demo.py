"""`jupyter flow demo`: run the tour notebook on the kernel, then show the log that it left.

Called by `cli`.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from jupyter_core.paths import jupyter_path

from flow_kernel.apps import kernelspec
from flow_kernel.apps.log_table import LogTable
from flow_kernel.apps.player import Player
from flow_kernel.apps.sources import merged
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.timeline import Timeline
from flow_kernel.apps.when import stamp
from flow_kernel.errors import FlowError, NotFound
from flow_kernel.records.home import HOME_DIR, Home

_TOUR: Final = "tour.ipynb"


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
    player = Player(notebook, terminal)
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
