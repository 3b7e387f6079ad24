"""`jupyter flow check`: verify the lines of all logs of a home, and move damaged ones aside.

Called by `cli`, and by `log --verify` for its report.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from flow_kernel.apps.sources import find_home, logs_of, named_logs
from flow_kernel.apps.tables import Column, Painted, Painter
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.scan import Verdict, verify


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
    if options.file:
        files = named_logs(terminal, options.file)
    else:
        files = logs_of(find_home(terminal, options.home))
    if options.repair:
        _repair(files, terminal)
    return report(files, terminal, as_json=options.json)


def report(files: Sequence[Path], terminal: Terminal, *, as_json: bool) -> int:
    """Print what is wrong with `files`; 0 when nothing is, else 1."""
    verdict = verify(files)
    if as_json:
        terminal.document(verdict.as_json())
    else:
        _tell(verdict, terminal)
    return 0 if verdict.ok else 1


def _repair(files: Sequence[Path], terminal: Terminal) -> None:
    # Only a repair needs the locks behind it.
    from flow_kernel.records.repair import repair

    for path in dict.fromkeys(damage.file for damage in verify(files).damaged):
        moved = repair(path)
        lines = "1 damaged line" if moved == 1 else f"{moved} damaged lines"
        terminal.remark(f"moved {lines} to {path}.torn")


def _tell(verdict: Verdict, terminal: Terminal) -> None:
    painter = Painter(colours=terminal.has_colours)
    files = "1 log" if verdict.files == 1 else f"{verdict.files:,} logs"
    records = "1 record" if verdict.records == 1 else f"{verdict.records:,} records"
    if verdict.ok:
        terminal.print(painter.paint("ok", "green") + f"  {files}, {records}, no damage")
        return
    summary = f"  {files}, {records}, {len(verdict.damaged):,} damaged, {len(verdict.gaps):,} gaps"
    terminal.print(painter.paint("damaged", "red") + summary)
    if verdict.damaged:
        rows = [
            [str(d.file), str(d.line), str(d.offset), [Painted(d.reason, "red")]]
            for d in verdict.damaged
        ]
        columns = [
            Column(title="file", share=3, floor=12),
            Column(title="line", align=">"),
            Column(title="offset", align=">"),
            Column(title="what is wrong", share=2, floor=20),
        ]
        _print_table(columns, rows, painter, terminal)
    if verdict.gaps:
        columns = [Column(title="session"), Column(title="records are missing after seq")]
        rows = [[gap.session, str(gap.after_seq)] for gap in verdict.gaps]
        _print_table(columns, rows, painter, terminal)
