"""Whether the store of a home is whole, and a new one in place of one that is not.

Called by `jupyter flow check`, with and without `--repair`.

    copy the damaged file ─▶ read what it still gives ─┐
    read the changes in the logs ──────────────────────┴▶ rebuild ─▶ write a new file beside it
    ─▶ the damaged one gets a second name ─▶ the new one takes the first

Nothing is deleted: the damaged file stays as `flow.db.damaged-<time>`. A kill at any moment leaves
the old file or the new one. Processes that still have the old one open would write to a file that
nobody reads any more, so there must be none.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreDamaged, StoreError
from flow_kernel.records.holders import holders_of
from flow_kernel.records.home import Home
from flow_kernel.records.lease import read as read_lease
from flow_kernel.records.locks import lock
from flow_kernel.records.plain import counted
from flow_kernel.records.process import is_alive, this_process
from flow_kernel.session.logged_changes import Logged, changes_in
from flow_kernel.session.open_home import store_of
from flow_kernel.store.contract import ApprovalRow, Change
from flow_kernel.store.rebuild import Lost, State, add_rows, rebuilt
from flow_kernel.store.salvage import NOTHING, Salvaged, salvage
from flow_kernel.store.sqlite_fill import fill

_BESIDE: Final = ("-wal", "-shm", "-journal")
_FOLDER: Final = "flow.db.repair-"
_COPIED: Final = ("", "-wal", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did.

    Attributes:
        moved_to: Where the damaged file lies now; None where there was none.
        logged: Changes that came from the logs.
        salvaged: Changes that only the damaged file still had.
        damaged_lines: Lines of logs that could not be read.
        state: What the new store holds.
    """

    moved_to: Path | None
    logged: int
    salvaged: int
    damaged_lines: int
    state: State

    @property
    def lost(self) -> list[Lost]:
        """What could not be told."""
        return self.state.lost

    def as_json(self) -> dict[str, object]:
        """The object `store` of `check --repair --json`."""
        state = self.state
        return {
            "ok": True,
            "repaired": True,
            "moved_to": None if self.moved_to is None else str(self.moved_to),
            "tasks": len(state.tasks),
            "steps": len(state.steps),
            "context": sum(map(len, state.context.values())),
            "tags": sum(map(len, state.tags.values())),
            "approvals": len(state.approvals),
            "changes_from_logs": self.logged,
            "changes_salvaged": self.salvaged,
            "damaged_lines": self.damaged_lines,
            "lost": [item._asdict() for item in self.lost],
        }


def faults_of(home: Home, logged: Logged) -> list[str]:
    """What is wrong with the store of `home`, in sentences; empty when nothing is.

    Args:
        home: Where it lies.
        logged: What its logs hold.

    Raises:
        StoreTooNew: A newer version wrote it.
        StoreError: It cannot be read.
    """
    path = home.store_path
    if not path.exists():
        return [f"is missing, and the logs hold {_count(logged)}"] if logged.changes else []
    if not path.stat().st_size:
        return [f"is empty, and the logs hold {_count(logged)}"] if logged.changes else []
    store = store_of(home)
    try:
        faults = store.check()
        if faults:
            return faults
        with store.read() as view:
            lives, newest = view.lives(), view.newest()
    except StoreDamaged as error:
        return [error.message]
    finally:
        with suppress(StoreError, sqlite3.Error):
            store.close()
    return _missing(lives, newest, logged)


def repair_store(home: Home, *, at: str) -> Repaired | None:
    """Put a new store in the place of one that is damaged, missing, or behind the logs.

    Args:
        home: Where it lies.
        at: The time, UTC with milliseconds, for the name of the damaged file.

    Returns:
        What was done; None when nothing had to be.

    Raises:
        StoreTooNew: A newer version wrote it; nothing was touched.
        StoreError: It is in use, or the disk refuses; nothing was touched.
    """
    with _claimed(home):
        _put_back(home.store_path)
        logged = changes_in(home)
        if not faults_of(home, logged):
            return None
        _refuse_in_use(home)
        try:
            with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=home.root) as folder:
                return _repair(home, logged, Path(folder), at=at)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            reason = error.strerror or str(error)
            raise StoreError(f"cannot repair {home.store_path} ({reason})") from error


def _repair(home: Home, logged: Logged, folder: Path, *, at: str) -> Repaired:
    found = _salvaged(home.store_path, folder)
    told = {(change.store_id, change.number): change for change in logged.changes}
    untold = _untold(found.changes, logged.changes)
    state = rebuilt(
        [*_whole(told, found), *untold], sure=lambda row: _is_unused(row, found, logged)
    )
    add_rows(state, found.rows)
    for notebook, place in found.resumable.items():
        state.resumable.setdefault(notebook, place)
    new = folder / "new.db"
    fill(
        new,
        state,
        logged=told.keys(),
        lives={*found.lives, *(store_id for store_id, _ in told)},
        last_tasks=_highest(logged.last_tasks, found.last_tasks),
        last_approval=found.last_approval,
    )
    moved_to = _swap(new, home.store_path, stamp="".join(filter(str.isalnum, at)))
    return Repaired(
        moved_to=moved_to,
        logged=len(told),
        salvaged=len(untold),
        damaged_lines=logged.damaged,
        state=state,
    )


def _untold(salvaged: Iterable[Change], logged: Iterable[Change]) -> list[Change]:
    """Changes that the damaged store holds and no log does.

    Where the page is lost that says which store it was, a change is known by all the rest.
    """
    told = set()
    for one in logged:
        told.update({(one.store_id, one.number), ("", *_all_but_store(one))})
    return [
        one
        for one in salvaged
        if (one.store_id, one.number) not in told
        and (one.store_id, *_all_but_store(one)) not in told
    ]


def _all_but_store(change: Change) -> tuple[object, ...]:
    return (change.number, change.kind, change.plan_id, change.task_id, change.at)


# -- what is wrong -------------------------------------------------------------------------------


def _missing(lives: list[str], newest: int, logged: Logged) -> list[str]:
    """Changes that the logs hold and a sound store does not."""
    strange = [change for change in logged.changes if change.store_id not in lives]
    own = [change.number for change in logged.changes if change.store_id == lives[0]]
    later = sum(number > newest for number in own)
    faults = []
    if strange:
        faults.append(
            f"does not hold {counted(len(strange), 'change')} of an earlier one, which the logs do"
        )
    if later:
        faults.append(f"does not hold its last {counted(later, 'change')}, which the logs do")
    return faults


def _count(logged: Logged) -> str:
    tasks = len({(one.plan_id, one.task_id) for one in logged.changes if one.kind == "task"})
    return f"{counted(len(logged.changes), 'change')} of {counted(tasks, 'task')}"


# -- who is in the way ---------------------------------------------------------------------------


@contextmanager
def _claimed(home: Home) -> Iterator[None]:
    """One repair at a time."""
    try:
        home.ensure()
        fd = os.open(home.run_dir / "repair.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write {home.root} ({error.strerror})") from error
    try:
        if not lock(fd, 0):
            raise StoreError("another process repairs this store", hint="wait for it to end")
        yield
    finally:
        os.close(fd)


def _refuse_in_use(home: Home) -> None:
    here = this_process()
    leases = [lease for path in home.run_dir.glob("*.lease") if (lease := read_lease(path))]
    pids = {pid for part in ("", *_BESIDE) for pid in holders_of(_beside(home.store_path, part))}
    # A process here is known to have the file open or not; one elsewhere only to live.
    far = [
        lease
        for lease in leases
        if (lease.process.host, lease.process.pid_namespace) != (here.host, here.pid_namespace)
        and is_alive(lease.process, here)
    ]
    if pids or far:
        who = [f"process {pid}" for pid in sorted(pids)]
        who += [f"process {lease.process.pid} of {lease.process.host}" for lease in far]
        raise StoreError(
            f"{home.store_path} is in use by {', '.join(who)}; nothing was changed",
            hint="end its kernel, then repair",
        )


# -- what there is -------------------------------------------------------------------------------


def _salvaged(path: Path, folder: Path) -> Salvaged:
    if not path.exists():
        return NOTHING
    copy = folder / "damaged.db"
    for part in _COPIED:
        if _beside(path, part).exists():
            shutil.copyfile(_beside(path, part), _beside(copy, part))
    return salvage(copy)


def _whole(told: Mapping[tuple[str, int], Change], found: Salvaged) -> Iterator[Change]:
    """The changes of the logs; where one lacks its secret, as the damaged file has it."""
    kept = {(one.store_id, one.number): one for one in found.changes}
    for key, change in told.items():
        other = kept.get(key)
        is_same = other is not None and (other.kind, other.at, other.fields.get("key")) == (
            change.kind,
            change.at,
            change.fields.get("key"),
        )
        yield other if change.fields.get("redacted") and other and is_same else change


def _is_unused(row: ApprovalRow, found: Salvaged, logged: Logged) -> bool:
    """Certain only where the damaged file is as new as the logs, and says so itself."""
    kept = found.approvals.get(row.approval_id)
    own = found.lives[0] if found.lives else None
    newest = max((one.number for one in found.changes if one.store_id == own), default=0)
    behind = any(one.store_id == own and one.number > newest for one in logged.changes)
    return (
        kept is not None
        and replace(kept, is_used=True) == replace(row, is_used=True)
        and not (kept.is_used or behind)
    )


def _highest(*counts: Mapping[str, int]) -> dict[str, int]:
    return {
        plan_id: max(count.get(plan_id, 0) for count in counts)
        for plan_id in {plan_id for count in counts for plan_id in count}
    }


# -- the new file in its place -------------------------------------------------------------------


def _swap(new: Path, path: Path, *, stamp: str) -> Path | None:
    """Give the new file its name, and the old one another; on the disk when this returns."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    is_old = path.exists()
    if is_old:
        aside.hardlink_to(path)
        # SQLite would take the log of the old file for that of the new one.
        for part in _BESIDE:
            if _beside(path, part).exists():
                _beside(path, part).rename(_beside(aside, part))
        new.replace(path)
    else:
        # Nobody else has made one meanwhile, or this fails.
        for part in _BESIDE:
            if _beside(path, part).exists():
                _beside(path, part).rename(_beside(aside, part))
        path.hardlink_to(new)
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return aside if is_old else None


def _put_back(path: Path) -> None:
    """Undo what a repair that was killed had begun: the old file still has its name."""
    for folder in path.parent.glob(f"{_FOLDER}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for aside in path.parent.glob(f"{path.name}.damaged-*"):
        if aside.suffix.endswith(_BESIDE) or not path.exists() or not aside.samefile(path):
            continue
        for part in _BESIDE:
            if _beside(aside, part).exists() and not _beside(path, part).exists():
                _beside(aside, part).rename(_beside(path, part))
        aside.unlink()


def _beside(path: Path, part: str) -> Path:
    return path.with_name(f"{path.name}{part}")
