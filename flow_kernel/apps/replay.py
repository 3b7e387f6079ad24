"""`jupyter flow replay`: a notebook or a script made from a log.

Called by `cli`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flow_kernel.apps import replay_notebook, replay_script
from flow_kernel.apps.replay_cells import Choice, Replay, choose
from flow_kernel.apps.sources import Filter, find_home, logs_of, merged, named_logs
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.records.names import is_task_id
from flow_kernel.records.plain import counted, strip_controls
from flow_kernel.records.whole_file import write_whole

_STDOUT: Final = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replay`."""
    add = parser.add_argument
    add("log", metavar="LOG", help="a log file, or the id of a task, e.g. T-0001")
    add("--to", metavar="FILE", required=True, help="what to write; - for stdout")
    add(
        "--as",
        dest="form",
        choices=("notebook", "script"),
        help="default: script where FILE ends in .py, else notebook",
    )
    add("--only", choices=("success",), help="without the cells that failed")
    add(
        "--last-version-per-cell",
        action="store_true",
        help="of a cell that ran several times, only the last run",
    )
    add("--until", metavar="SEQ", type=int, help="only records up to this number")
    add("--session", metavar="ID", help="only this session; its first characters are enough")
    add(
        "--home",
        metavar="DIR",
        help="where the task is; default: the .flow of this directory",
    )
    add("--force", action="store_true", help="overwrite FILE")
    parser.epilog = "example: jupyter flow replay T-0001 --to again.ipynb --only success"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Write the file and say what is in it."""
    target = terminal.cwd / Path(options.to).expanduser()
    to_stdout = options.to == _STDOUT
    if not to_stdout:
        _require_free(target, options.to, force=options.force)
    files = _files(options, terminal)
    replay = choose(
        [line.record for line in merged(files) if line.record is not None],
        Choice(
            only_success=options.only == "success",
            only_last_versions=options.last_version_per_cell,
            until_seq=options.until,
            session=options.session,
        ),
        source=", ".join(path.name for path in files),
    )
    form = options.form or ("script" if target.suffix == ".py" else "notebook")
    write = replay_script.script if form == "script" else replay_notebook.notebook
    text = write(replay)
    if to_stdout:
        # A screen must not obey what a cell printed; a file holds it as it was.
        shown = strip_controls(text, keep="\n\t") if terminal.is_tty else text
        terminal.bytes_line(shown.rstrip("\n").encode("utf-8", "backslashreplace"))
        return 0
    write_whole(target, text)
    terminal.print(plain(f"wrote {options.to}: {_summary(replay)}"))
    return 0


def _files(options: argparse.Namespace, terminal: Terminal) -> Sequence[Path]:
    if is_task_id(options.log) and not (terminal.cwd / options.log).exists():
        return logs_of(find_home(terminal, options.home), Filter(task_id=options.log))
    return named_logs(terminal, [options.log])


def _require_free(target: Path, name: str, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{name} is a directory", hint="name the file to write")
    if target.exists() and not force:
        raise UsageError(f"{name} exists and was left alone", hint="use --force to overwrite it")
    if not target.parent.is_dir():
        raise UsageError(f"there is no directory {target.parent}")


def _summary(replay: Replay) -> str:
    cells = counted(len(replay.cells), "cell")
    left = [f"{count:,} {what}" for what, count in replay.left_out.items() if count]
    return cells + (f"; left out: {', '.join(left)}" if left else "")
