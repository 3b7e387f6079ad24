"""`jupyter flow check`: verify logs, store and checkpoints of a home, and repair them.

Called by `cli`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow_kernel.apps import check_checkpoints
from flow_kernel.apps.sources import find_home, logs_of, named_logs
from flow_kernel.apps.store_report import tell
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.verify_report import report
from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.repair import repair
from flow_kernel.records.verdict import Damage, Verdict, verify, verify_home
from flow_kernel.session.logged_changes import changes_in
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.store_repair import faults_of, repair_store


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    add = parser.add_argument
    add(
        "--repair",
        action="store_true",
        help="move what is damaged in logs and checkpoints to <file>.torn, and rebuild a damaged "
        "store from the logs",
    )
    add("--json", action="store_true", help="one document for programs")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--home", metavar="DIR", help="default: the .flow of this directory")
    where.add_argument("--file", metavar="F", nargs="+", help="these log files")
    parser.epilog = "example: jupyter flow check --repair"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Verify, and repair when asked; 1 when damage is there (afterwards)."""
    home = None if options.file else find_home(terminal, options.home)
    if home is None:
        named = named_logs(terminal, options.file)
        if options.repair:
            _repair(named, terminal)
        return report(verify(named), terminal, as_json=options.json)
    files = _logs_or_store(home)
    repaired = None
    if options.repair:
        _repair(files, terminal)
        repaired = repair_store(home, at=utc_now_ms())
        if repaired is not None:
            flow_of(home).close()  # what was decided now belongs into the logs, too
            tell(repaired, terminal)
        check_checkpoints.repair(home, terminal)
    faults = faults_of(home, changes_in(home))
    verdict = _with_store(home, verify_home(home), faults)
    if faults:
        terminal.remark("to rebuild flow.db from the logs: jupyter flow check --repair")
    more: dict[str, object] = {"store": {"ok": False, "damage": faults}} if faults else {}
    if repaired is not None:
        more = {"store": repaired.as_json()}
    checked = check_checkpoints.check(home)
    if checked is None:
        return report(verdict, terminal, as_json=options.json, more=more)
    verdict = replace(verdict, damaged=(*verdict.damaged, *checked.damaged))
    more["checkpoints"] = checked.as_json()
    code = report(verdict, terminal, as_json=options.json, more=more)
    if not options.json:
        check_checkpoints.say(checked, terminal)
    return code


def _logs_or_store(home: Home) -> Sequence[Path]:
    try:
        return logs_of(home)
    except NotFound:
        if not home.store_path.exists():
            raise
        return ()


def _with_store(home: Home, verdict: Verdict, faults: Sequence[str]) -> Verdict:
    """`verdict` with what is wrong with the store, which has no lines."""
    found = [Damage(file=home.store_path, line=0, offset=0, reason=reason) for reason in faults]
    return replace(verdict, damaged=(*verdict.damaged, *found))


def _repair(files: Sequence[Path], terminal: Terminal) -> None:
    for path in dict.fromkeys(damage.file for damage in verify(files).damaged):
        moved = repair(path)
        # A whole line out of its chain is damage, too, and stays where it is.
        if moved:
            lines = "1 damaged line" if moved == 1 else f"{moved} damaged lines"
            terminal.remark(plain(f"moved {lines} to {path}.torn"))
