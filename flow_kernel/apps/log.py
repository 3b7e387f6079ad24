"""`jupyter flow log`: what the cells of a home did, for people and for programs.

Called by `cli`.
"""

import argparse
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.apps.follow import Follower, wait
from flow_kernel.apps.log_table import LogTable
from flow_kernel.apps.sources import (
    Filter,
    count_tasks,
    find_home,
    logs_of,
    merged,
    named_logs,
    records_of,
)
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.timeline import Entry, Timeline
from flow_kernel.apps.verify_report import report
from flow_kernel.apps.when import parse_when, stamp
from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.lease import read as read_lease
from flow_kernel.records.process import is_alive, this_process
from flow_kernel.records.verdict import verify, verify_home

_POLL_S: Final = 0.2

Item = tuple[dict[str, object] | None, bytes]
"""A record and its line; None for a damaged one."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `log`."""
    add = parser.add_argument
    add("--task", metavar="T", help="only this task, e.g. T-0001")
    add("--plan", metavar="P", help="only this plan, e.g. local")
    add("--since", metavar="WHEN", help="2h, 3d, today, yesterday or 2026-11-21T14:05")
    add("--failed", action="store_true", help="only cells that failed, and deaths of the kernel")
    add("--limit", metavar="N", type=_count, help="only the last N")
    add("--follow", action="store_true", help="go on as cells run; Ctrl-C ends")
    add(
        "--verify",
        action="store_true",
        help="check every line of every task; exit code 1 on damage",
    )
    add("--json", action="store_true", help="the records as they are stored, one a line")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--home", metavar="DIR", help="default: the .flow of this directory")
    where.add_argument("--file", metavar="F", nargs="+", help="these log files")
    parser.epilog = "example: jupyter flow log --failed --since 2h"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the log; 1 when `--verify` finds damage."""
    scope = _scope(options, terminal)
    if options.verify:
        if options.follow:
            raise UsageError("--verify reads a log once; it cannot be combined with --follow")
        return _verify(scope, terminal, as_json=options.json)
    if options.json:
        _print_records(scope, options, terminal)
    else:
        _print_table(scope, options, terminal)
    return 0


def _verify(scope: "_Scope", terminal: Terminal, *, as_json: bool) -> int:
    if scope.home is None:
        return report(verify(scope.list_files()), terminal, as_json=as_json)
    # The numbers of a session run through all of its tasks, so that all are looked at.
    logs_of(scope.home)
    return report(verify_home(scope.home), terminal, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """Where the lines come from and which of them count."""

    home: Home | None
    list_files: Callable[[], list[Path]]
    wanted: Filter
    failed: bool

    def wants(self, record: dict[str, object]) -> bool:
        return self.wanted.wants(record) and (not self.failed or _is_failure(record))

    def is_session_alive(self, session: str) -> bool:
        if self.home is None:
            # A log in a home lies two floors below it: <home>/log/<plan>/<task>.jsonl.
            run_dirs = {path.parent.parent.parent / "run" for path in self.list_files()}
        else:
            run_dirs = {self.home.run_dir}
        leases = (read_lease(run_dir / f"{session}.lease") for run_dir in run_dirs)
        here = this_process()
        return any(lease is not None and is_alive(lease.process, here) for lease in leases)


def _scope(options: argparse.Namespace, terminal: Terminal) -> _Scope:
    since = stamp(parse_when(options.since, terminal.now())) if options.since else None
    wanted = Filter(plan_id=options.plan, task_id=options.task, since=since)
    if options.file:
        files = named_logs(terminal, options.file)
        return _Scope(home=None, list_files=lambda: files, wanted=wanted, failed=options.failed)
    home = find_home(terminal, options.home)

    # To programs a list without anything is empty, as others are; what is named has to be there.
    may_be_none = options.json and not options.verify and not (options.task or options.plan)

    def list_files() -> list[Path]:
        if options.follow or may_be_none:  # the first log may be yet to come
            return [path for path in home.log_files() if wanted.wants_file(path)]
        return logs_of(home, wanted)

    return _Scope(home=home, list_files=list_files, wanted=wanted, failed=options.failed)


def _print_records(scope: _Scope, options: argparse.Namespace, terminal: Terminal) -> None:
    def chosen(items: Iterable[Item]) -> Iterator[bytes]:
        for record, raw in items:
            if record is not None and scope.wants(record):
                yield raw

    for items in _batches(scope, terminal, follow=options.follow):
        raws = chosen(items)
        # Only what was there at the start is limited; what follows is all new.
        for raw in raws if options.limit is None else deque(raws, options.limit):
            terminal.bytes_line(raw)
        terminal.flush()
        options.limit = None


def _print_table(scope: _Scope, options: argparse.Namespace, terminal: Terminal) -> None:
    timeline = Timeline()
    several = count_tasks(scope.list_files()) > 1 or (options.follow and not options.task)
    table = LogTable(terminal, shows_task=several)

    def entries(items: Iterable[Item]) -> Iterator[Entry]:
        for record, _ in items:
            if record is not None and scope.wanted.wants(record):
                yield from timeline.feed(record)
        if not options.follow:
            yield from timeline.unfinished(scope.is_session_alive)

    for items in _batches(scope, terminal, follow=options.follow):
        found = (e for e in entries(items) if e.is_failure or not options.failed)
        table.print(found if options.limit is None else deque(found, options.limit))
        terminal.flush()
        options.limit = None
    if not table.count:
        terminal.remark("no cell failed" if options.failed else "no cells")


def _batches(scope: _Scope, terminal: Terminal, *, follow: bool) -> Iterator[Iterable[Item]]:
    """What is in the files now, and then, when following, what is new at each poll."""
    follower = Follower(scope.list_files)
    damaged = 0

    def present() -> Iterator[Item]:
        nonlocal damaged
        firsts: dict[Path, bytes] = {}
        for line in merged(scope.list_files()):
            first = firsts.setdefault(line.file, line.raw)
            if line.record is None:
                damaged += 1
            else:
                # A last line that is not whole yet is read again by the follower.
                follower.skip(first, line.raw, line.offset + len(line.raw))
            yield line.record, line.raw

    yield present()
    if damaged:
        _remark_damage(damaged, terminal)
    while follow:
        yield [item for raw in follower.poll() for item in records_of(raw)]
        wait(terminal, _POLL_S)


def _remark_damage(count: int, terminal: Terminal) -> None:
    lines = "1 damaged line was" if count == 1 else f"{count} damaged lines were"
    terminal.remark(f"{lines} left out; try: jupyter flow check")


def _is_failure(record: dict[str, object]) -> bool:
    kind = record.get("kind")
    return kind == "death" or (kind == "cell" and record.get("success") is False)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise argparse.ArgumentTypeError(f'"{text}" is no number of rows')
