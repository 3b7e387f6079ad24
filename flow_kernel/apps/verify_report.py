"""What is wrong with log files, for people and for programs.

Called by `check` and by `log --verify`.
"""

from collections.abc import Mapping
from pathlib import Path

from flow_kernel.apps.tables import Cell, Column, Painted, Painter, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.plain import counted
from flow_kernel.records.verdict import Verdict


def report(
    verdict: Verdict,
    terminal: Terminal,
    *,
    as_json: bool,
    more: Mapping[str, object] | None = None,
) -> int:
    """Print `verdict`; returns 0 when nothing is wrong, else 1.

    Args:
        verdict: What was found.
        terminal: Where to print.
        as_json: One document in place of a table.
        more: What else the document holds.
    """
    if as_json:
        terminal.document({**verdict.as_json(), **(more or {})})
    else:
        _tell(verdict, terminal)
    return 0 if verdict.ok else 1


def _tell(verdict: Verdict, terminal: Terminal) -> None:
    painter = Painter.of(terminal)
    files = counted(verdict.files, "log")
    records = counted(verdict.records, "record")
    if verdict.ok:
        terminal.print(painter.paint("ok", "green") + f"  {files}, {records}, no damage")
        return
    gaps = "1 gap" if len(verdict.gaps) == 1 else f"{len(verdict.gaps):,} gaps"
    summary = f"  {files}, {records}, {len(verdict.damaged):,} damaged, {gaps}"
    terminal.print(painter.paint("damaged", "red") + summary)
    if verdict.damaged:
        rows: list[list[Cell]] = [
            [_below(d.file, terminal.cwd), str(d.line), str(d.offset), [Painted(d.reason, "red")]]
            for d in verdict.damaged
        ]
        columns = [
            Column(title="file", share=1, floor=12),
            Column(title="line", align=">"),
            Column(title="offset", align=">"),
            Column(title="what is wrong"),
        ]
        print_table(columns, rows, terminal)
    if verdict.gaps:
        columns = [Column(title="session"), Column(title="records are missing after seq")]
        print_table(columns, [[gap.session, str(gap.after_seq)] for gap in verdict.gaps], terminal)


def _below(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)
