"""`jupyter flow prune`: delete logs and runs of workflows that are older than an age.

Called by `cli`.
"""

import argparse
import sys
from datetime import datetime

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.when import parse_when
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.plain import counted, human_bytes
from flow_kernel.records.prune import PruneReport, prune
from flow_kernel.workflow.pruning import PrunedRuns, prune_runs


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `prune`."""
    add = parser.add_argument
    add("--older", metavar="AGE", required=True, help="90d, 2w, or a day: 2026-08-01")
    add("--dry-run", action="store_true", help="only say what would go")
    add("--yes", action="store_true", help="do not ask")
    add("--json", action="store_true", help="one document for programs")
    add("--home", metavar="DIR", help="default: the .flow of this directory")
    parser.epilog = "example: jupyter flow prune --older 90d --dry-run"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Delete whole log files; a session that is alive keeps all of its own."""
    home = find_home(terminal, options.home)
    if not home.log_dir.is_dir():
        raise NotFound(f"there is no log in {home.root}")
    older_than = parse_when(options.older, terminal.now())
    report = prune(home, older_than, dry_run=True)
    runs = prune_runs(home, older_than, dry_run=True)
    is_much = bool(report.files or report.outputs or runs)
    is_asking = is_much and not options.dry_run and not options.yes
    if is_asking and not _agrees(report, runs, options, terminal):
        terminal.print("nothing was deleted")
        return 0
    if not options.dry_run:
        report = prune(home, older_than, dry_run=False)
        runs = prune_runs(home, older_than, dry_run=False)
    if options.json:
        terminal.document(_as_json(report, runs, dry_run=options.dry_run))
    else:
        _tell(report, runs, older_than, terminal, dry_run=options.dry_run)
    return 0


def _agrees(
    report: PruneReport, runs: PrunedRuns, options: argparse.Namespace, terminal: Terminal
) -> bool:
    if options.json or not terminal.is_tty or not sys.stdin.isatty():
        raise UsageError(
            f"this would delete {_summary(report, runs)}", hint="add --yes, or --dry-run"
        )
    terminal.print("\n".join(plain(str(path)) for path in report.files))
    terminal.out.write(f"delete {_summary(report, runs)}? [y/N] ")
    terminal.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(
    report: PruneReport,
    runs: PrunedRuns,
    older_than: datetime,
    terminal: Terminal,
    *,
    dry_run: bool,
) -> None:
    if not (report.files or report.outputs or runs):
        terminal.print(f"no log is older than {older_than.astimezone():%d %b %Y %H:%M}")
        return
    for path in report.files:
        terminal.print(plain(str(path)))
    terminal.print(f"{'would delete' if dry_run else 'deleted'} {_summary(report, runs)}")


def _summary(report: PruneReport, runs: PrunedRuns) -> str:
    files = counted(len(report.files), "file")
    records = counted(report.records, "record")
    told = [f"{files} with {records}, {human_bytes(report.bytes)}"] if report.files else []
    if count := len(report.outputs):
        size = human_bytes(sum(report.outputs.values()))
        told.append(f"{count:,} kept output{'s' if count > 1 else ''}, {size}")
    if count := len(runs.runs):
        told.append(f"{count:,} run{'s' if count > 1 else ''} of workflows")
    if runs.results:
        told.append(f"{runs.results:,} kept result{'s' if runs.results > 1 else ''} of steps")
    if runs.objects:
        told.append(f"{runs.objects:,} of their values, {human_bytes(runs.bytes)}")
    return " and ".join(told)


def _as_json(report: PruneReport, runs: PrunedRuns, *, dry_run: bool) -> dict[str, object]:
    return {
        "items": [{"file": str(path)} for path in report.files],
        "next": None,
        "records": report.records,
        "bytes": report.bytes,
        "outputs": {"files": len(report.outputs), "bytes": sum(report.outputs.values())},
        "runs": {
            "run_ids": list(runs.runs),
            "results": runs.results,
            "objects": runs.objects,
            "bytes": runs.bytes,
        },
        "dry_run": dry_run,
    }
