"""Deletes old log files whole.

Called by `jupyter flow prune`.

A file goes when its newest record is older than asked for and no session in it is alive. Numbers of
sessions that go on in other files are noted first, so that verifying does not take them for lost.
Kept outputs go when they are as old and no log that stays names them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.errors import NotFound, StoreError, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.ledger import note_pruned, pruned_numbers
from flow_kernel.records.output_objects import unnamed_outputs
from flow_kernel.records.repair import about_to_replace, locked, tell_writers
from flow_kernel.records.runs import Runs, is_number
from flow_kernel.records.scan import scan_file

__all__ = ["PruneReport", "prune", "pruned_numbers"]

LOCK_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What was deleted, or would be.

    Attributes:
        files: Log files, and the `.torn` files that belong to them.
        bytes: Their size.
        records: How many records were in them.
        outputs: Kept outputs that were as old and that no other log names, with their sizes.
    """

    files: tuple[Path, ...]
    bytes: int
    records: int
    outputs: Mapping[Path, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Look:
    """What is in one log file."""

    path: Path
    records: int = 0
    newest: str = ""
    runs: dict[str, Runs] = field(default_factory=dict)
    # The log and its torn bytes, with their sizes.
    files: dict[Path, int] = field(default_factory=dict)


def prune(
    home: Home,
    older_than: datetime,
    *,
    dry_run: bool,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> PruneReport:
    """Delete the log files whose records are all older than a moment.

    A file without any record is kept, and so is one with damaged bytes that was changed since. A
    file that a writer holds locked, or has written to meanwhile, is left for the next time.

    Args:
        home: A home.
        older_than: With a time zone.
        dry_run: True deletes nothing.
        lock_timeout_s: How long to wait for the writers of a file.

    Returns:
        What was deleted, or would be.

    Raises:
        UsageError: `older_than` has no time zone.
        StoreError: A file cannot be read, or the home not be written.
    """
    if older_than.tzinfo is None:
        raise UsageError("the moment to prune before has no time zone")
    limit = _utc(older_than)
    live = _live_sessions(home.run_dir)
    old: list[_Look] = []
    kept: set[str] = set()
    for path in home.log_files():
        look = _look(path)
        if "" < look.newest < limit and live.isdisjoint(look.runs):
            old.append(look)
        else:
            kept.update(look.runs)
    if not dry_run and old:
        note_pruned(
            home,
            (
                (session, first, last)
                for look in old
                for session, runs in look.runs.items()
                if session in kept
                for first, last in runs.all()
            ),
        )
        old = [look for look in old if _delete(look, lock_timeout_s)]
    return PruneReport(
        files=tuple(path for look in old for path in look.files),
        bytes=sum(size for look in old for size in look.files.values()),
        records=sum(look.records for look in old),
        outputs=_prune_outputs(home, old, older_than, dry_run=dry_run),
    )


def _prune_outputs(
    home: Home, gone: list[_Look], older_than: datetime, *, dry_run: bool
) -> Mapping[Path, int]:
    """Delete the old outputs that no log names any more; nothing when a log cannot be read."""
    logs = set(home.log_files()) - {look.path for look in gone}
    try:
        outputs = unnamed_outputs(home, logs, older_than.timestamp())
        if not dry_run:
            for path in outputs:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot delete outputs in {home.root} ({error.strerror})") from error
    return outputs


def _look(path: Path) -> _Look:
    look = _Look(path=path)
    is_damaged = False
    for line in scan_file(path):
        if line.record is None:
            is_damaged = True
            continue
        look.records += 1
        timestamp, session = line.record.get("timestamp"), line.record.get("session")
        if type(timestamp) is str:
            look.newest = max(look.newest, timestamp)
        seq = line.record.get("seq")
        if type(session) is str and is_number(seq):
            look.runs.setdefault(session, Runs()).add(seq)
    for file in (path, path.with_name(f"{path.name}.torn")):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        look.files[file] = status.st_size
        if is_damaged or file != path:
            # Bytes that cannot be read are as young as the file may be.
            look.newest = max(look.newest, _utc(datetime.fromtimestamp(status.st_mtime, UTC)))
    return look


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _live_sessions(run_dir: Path) -> set[str]:
    # A lease that cannot be read still has its session in its name.
    sessions = set()
    for path in run_dir.glob("*"):
        if path.suffix == ".lease" or ".claimed." in path.name:
            sessions.add(path.name.partition(".")[0])
            try:
                lease = orjson.loads(path.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(lease, dict) and isinstance(lease.get("session"), str):
                sessions.add(lease["session"])
    return sessions


def _delete(look: _Look, lock_timeout_s: float) -> bool:
    # False: somebody writes to it, or it was deleted by somebody else.
    try:
        with locked(look.path, lock_timeout_s) as file, about_to_replace(file):
            if os.fstat(file.fileno()).st_size != look.files.get(look.path):
                return False
            for path in look.files:
                path.unlink(missing_ok=True)
            tell_writers(file)
    except (NotFound, StoreError):
        return False
    except OSError as error:
        raise StoreError(f"cannot delete {look.path} ({error.strerror})") from error
    try:
        look.path.parent.rmdir()
    except OSError:  # other logs are in it
        pass
    return True
