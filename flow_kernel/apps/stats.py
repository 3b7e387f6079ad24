"""`jupyter flow stats`: cells, failures and time, per task and per day.

Called by `cli`.
"""

import argparse
import glob
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps import tally_duckdb
from flow_kernel.apps.sources import find_home, logs_of, named_logs
from flow_kernel.apps.tables import Cell, Column, Painted, Painter, print_table
from flow_kernel.apps.tally import Tally, tally
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound
from flow_kernel.records.plain import human_ms

_DAYS: Final = 14
_FAILING: Final = 5
_NEVER_RAN: Final = "Aborted"

Sums = tuple[int, int, int]
"""Cells, failures, microseconds."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `stats`."""
    add = parser.add_argument
    add("logs", metavar="GLOB", nargs="*", help="log files; default: all of the home")
    add("--home", metavar="DIR", help="default: the .flow of this directory")
    add(
        "--engine",
        choices=("auto", "duckdb", "python"),
        default="auto",
        help="what counts; auto: DuckDB where it is installed",
    )
    add("--json", action="store_true", help="one document for programs")
    parser.epilog = 'example: jupyter flow stats "projects/*/.flow/log/*/*.jsonl"'


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the counts."""
    if options.logs:
        files = named_logs(terminal, _expand(options.logs, terminal.cwd))
    else:
        home = find_home(terminal, options.home)
        # To programs it is no error that nothing was begun yet.
        files = home.log_files() if options.json else logs_of(home)
    counted = _engine(options.engine)(files)
    if options.json:
        terminal.document(as_json(counted))
    else:
        _Report(terminal, counted).print()
    if counted.damaged:
        lines = "1 damaged line" if counted.damaged == 1 else f"{counted.damaged} damaged lines"
        terminal.remark(f"{lines} not counted; try: jupyter flow check")
    return 0


def as_json(counted: Tally) -> dict[str, object]:
    """The document of `--json`."""
    tasks = _sums((key[:2], counts) for key, counts in counted.groups.items())
    return {
        **_facts(_total(counted)),
        "tasks": [
            {"plan_id": plan, "task_id": task, **_facts(sums)}
            for (plan, task), sums in sorted(tasks.items())
        ],
    }


def _engine(name: str) -> Callable[[Sequence[Path]], Tally]:
    use_duckdb = name == "duckdb" or (name == "auto" and tally_duckdb.is_installed())
    return tally_duckdb.tally_duckdb if use_duckdb else tally


def _expand(patterns: Sequence[str], cwd: Path) -> list[str]:
    """The files that `patterns` name; the shell may have left some to us.

    Raises:
        NotFound: A pattern fits no file.
    """
    names: list[str] = []
    for pattern in patterns:
        if (cwd / pattern).exists():
            names.append(pattern)
            continue
        # A pattern may be absolute, which Path.glob refuses.
        wanted = str(Path(pattern).expanduser())
        found = sorted(glob.glob(wanted, root_dir=cwd, recursive=True))  # noqa: PTH207 - see above
        if not found:
            raise NotFound(f"there is no log {pattern}")
        names += [name for name in found if not (cwd / name).is_dir()]
    return names


class _Report:
    """The tables for people."""

    def __init__(self, terminal: Terminal, counted: Tally) -> None:
        self._terminal = terminal
        self._counted = counted
        self._dot = "·" if terminal.has_unicode else "-"
        self._painter = Painter.of(terminal)

    def print(self) -> None:
        """Print all of them, the totals first."""
        cells, failures, elapsed_us = total = _total(self._counted)
        if not cells:
            self._terminal.print("no cells")
            return
        groups = self._counted.groups.items()
        tasks = _sums((key[:2], counts) for key, counts in groups)
        days = _sums((_local_day(key[2]), counts) for key, counts in groups)
        parts = [
            _count(cells, "cell"),
            f"{failures:,} failed{_percent(total)}",
            f"{human_ms(elapsed_us / 1000)} of running",
            _count(len(tasks), "task"),
            _count(len(days), "day"),
        ]
        self._terminal.print(self._painter.paint(f" {self._dot} ".join(parts), "bold"))
        one_plan = len({plan for plan, _ in tasks}) == 1
        by_task = _rows(
            (task if one_plan else f"{plan}/{task}", sums)
            for (plan, task), sums in sorted(tasks.items())
        )
        latest = sorted(days.items(), key=lambda item: str(item[0]), reverse=True)[:_DAYS]
        by_day = _rows((_day_text(day), sums) for day, sums in latest)
        print_table(_sums_columns("task"), by_task, self._terminal, like=by_day)
        print_table(_sums_columns("day"), by_day, self._terminal, like=by_task)
        self._slowest_table(one_plan=one_plan)
        self._failing_table()

    def _slowest_table(self, *, one_plan: bool) -> None:
        rows: list[list[Cell]] = [
            [
                human_ms(cell.elapsed_us / 1000),
                cell.task_id if one_plan else f"{cell.plan_id}/{cell.task_id}",
                [Painted(str(cell.seq), "dim")],
                cell.code,
            ]
            for cell in self._counted.slowest
        ]
        columns = [
            Column(title="slowest", align=">"),
            Column(title="task"),
            Column(title="seq", align=">"),
            Column(title="cell", share=1, floor=16),
        ]
        print_table(columns, rows, self._terminal)

    def _failing_table(self) -> None:
        # A cell that never ran because an earlier one failed is not to blame.
        ran = [item for item in self._counted.failing.items() if item[0][0] != _NEVER_RAN]
        worst = sorted(ran, key=lambda item: (-item[1], item[0]))
        rows: list[list[Cell]] = [
            [f"{times:,}", [Painted(error, "red")], code]
            for (error, code), times in worst[:_FAILING]
        ]
        columns = [
            Column(title="failed", align=">"),
            Column(title="error"),
            Column(title="cell", share=1, floor=16),
        ]
        if rows:
            print_table(columns, rows, self._terminal)


def _sums_columns(title: str) -> list[Column]:
    return [
        Column(title=title, share=1, floor=15),
        Column(title="cells", align=">", floor=7),
        Column(title="failed", align=">", floor=7),
        Column(title="", align=">", floor=4),
        Column(title="running", align=">"),
        Column(title="a cell", align=">"),
    ]


def _rows(items: Iterable[tuple[str, Sums]]) -> list[list[Cell]]:
    return [
        [
            name,
            f"{cells:,}",
            [Painted(f"{failures:,}", "red" if failures else "dim")],
            [Painted(_percent((cells, failures, 0)).strip(" ()"), "dim")],
            human_ms(elapsed_us / 1000),
            human_ms(elapsed_us / 1000 / cells),
        ]
        for name, (cells, failures, elapsed_us) in items
    ]


def _sums(items: Iterable[tuple[Any, Sequence[int]]]) -> dict[Any, Sums]:
    sums: dict[Any, Sums] = {}
    for key, (cells, failures, elapsed_us) in items:
        have = sums.get(key, (0, 0, 0))
        sums[key] = (have[0] + cells, have[1] + failures, have[2] + elapsed_us)
    return sums


def _total(counted: Tally) -> Sums:
    return _sums(("all", counts) for counts in counted.groups.values()).get("all", (0, 0, 0))


def _facts(sums: Sums) -> dict[str, object]:
    return {"cells": sums[0], "failures": sums[1], "elapsed_ms": sums[2] / 1000}


def _local_day(moment: str) -> date | None:
    try:
        return datetime.fromisoformat(f"{moment}0").replace(tzinfo=UTC).astimezone().date()
    except ValueError:
        return None


def _day_text(day: date | None) -> str:
    return f"{day:%a %d %b %Y}" if day else "no date"


def _percent(sums: Sums) -> str:
    cells, failures, _ = sums
    if not failures:
        return ""
    share = 100 * failures / cells
    return f" ({share:.0f} %)" if share >= 1 else " (<1 %)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
