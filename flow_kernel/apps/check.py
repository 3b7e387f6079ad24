"""`jupyter flow check`: verify the logs and the store of a home, and move damaged lines aside.

Called by `cli`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow_kernel.apps.sources import find_home, logs_of, named_logs
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.verify_report import report
from flow_kernel.records.home import Home
from flow_kernel.records.repair import repair
from flow_kernel.records.verdict import Damage, Verdict, verify, verify_home
from flow_kernel.store.sqlite import SqliteStore


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    add = parser.add_argument
    add("--repair", action="store_true", help="move damaged lines to <log>.torn; the rest stays")
    add("--json", action="store_true", help="one document for programs")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--home", metavar="DIR", help="default: the .flow of this directory")
    where.add_argument("--file", metavar="F", nargs="+", help="these log files")
    parser.epilog = "example: jupyter flow check --repair"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Verify, and repair when asked; 1 when damage is there (afterwards)."""
    home = None if options.file else find_home(terminal, options.home)
    files = named_logs(terminal, options.file) if home is None else logs_of(home)
    if options.repair:
        _repair(files, terminal)
    verdict = verify(files) if home is None else _with_store(home, verify_home(home))
    return report(verdict, terminal, as_json=options.json)


def _with_store(home: Home, verdict: Verdict) -> Verdict:
    """`verdict` with what is wrong with the store, which has no lines."""
    if not home.store_path.exists():
        return verdict
    store = SqliteStore(home.store_path)
    try:
        reasons = store.check()
    finally:
        store.close()
    found = [Damage(file=home.store_path, line=0, offset=0, reason=reason) for reason in reasons]
    return replace(verdict, damaged=(*verdict.damaged, *found))


def _repair(files: Sequence[Path], terminal: Terminal) -> None:
    for path in dict.fromkeys(damage.file for damage in verify(files).damaged):
        moved = repair(path)
        # A whole line out of its chain is damage, too, and stays where it is.
        if moved:
            lines = "1 damaged line" if moved == 1 else f"{moved} damaged lines"
            terminal.remark(plain(f"moved {lines} to {path}.torn"))
