"""The changes of state that the logs of a home hold, and the ids that were given out there.

Called by `session.store_repair`, and by whoever opens a store that is not there yet.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.codec import HEADER_NAMES, LineDamaged, decode
from flow_kernel.records.home import Home
from flow_kernel.records.lines import open_log, raw_lines, split_damaged
from flow_kernel.records.names import is_plan_id, is_task_id
from flow_kernel.records.scan import read_records
from flow_kernel.session.carrier import MARK, change_of
from flow_kernel.store.contract import Change, Writing

_OURS: Final = HEADER_NAMES | {"change", "store", "at"}
_APPROVAL: Final = b'"approval_id":"A-'


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What the logs hold.

    Attributes:
        changes: Those that could be read, in no order.
        damaged: How many lines could not be read.
        last_tasks: The last number of a task that has a log, by plan.
    """

    changes: tuple[Change, ...]
    damaged: int
    last_tasks: dict[str, int]


def changes_in(home: Home) -> Logged:
    """All changes in the logs of `home`; about a second for a gigabyte.

    Raises:
        StoreError: A log cannot be read.
    """
    changes: list[Change] = []
    damaged = 0
    for path in home.log_files():
        for record in _told(path):
            if record is None:
                damaged += 1
            elif (place := change_of(record)) is not None:
                changes.append(_change(record, *place))
    return Logged(changes=tuple(changes), damaged=damaged, last_tasks=_last_tasks(home))


def keep_ids(home: Home) -> Callable[[Writing], None]:
    """What keeps a new store of `home` from giving out ids that its logs know already."""

    def keep(change: Writing) -> None:
        # A log that cannot be read is no reason to have no store.
        with suppress(StoreError, OSError):
            for plan_id, number in _last_tasks(home).items():
                change.reserve_task_id(plan_id, f"T-{number:04d}")
            change.reserve_approval_id(f"A-{_last_approval(home)}")

    return keep


def _told(path: Path) -> Iterator[dict[str, object] | None]:
    """The records of a log that may tell of changes; None for each damaged line."""
    try:
        file = open_log(path)
    except NotFound:  # rotated or pruned meanwhile
        return
    with file:
        for _, raw, _ in raw_lines(file, 0):
            if not raw or (MARK not in raw and raw.endswith(b'"}')):
                continue
            try:
                yield decode(raw)
            except LineDamaged:
                yield None
                yield from (piece.record for piece in split_damaged(raw, "") if piece.record)


def _change(record: dict[str, object], store_id: str, number: int) -> Change:
    return Change(
        number=number,
        kind=str(record["kind"]),
        plan_id=str(record.get("plan_id")),
        task_id=str(record.get("task_id")),
        at=str(record.get("at", "")),
        fields={name: value for name, value in record.items() if name not in _OURS},
        store_id=store_id,
    )


def _last_tasks(home: Home) -> dict[str, int]:
    """By plan, judged from the names of the files: a log may hold nothing but cells."""
    last: dict[Path, tuple[int, Path]] = {}
    for path in home.log_files():
        name = path.name.partition(".")[0]
        if is_task_id(name):
            known = last.get(path.parent, (0, path))
            last[path.parent] = max(known, (int(name.removeprefix("T-")), path))
    found: dict[str, int] = {}
    for number, path in last.values():
        plan_id = next((str(record.get("plan_id")) for record in read_records([path])), "")
        if is_plan_id(plan_id) and number:
            found[plan_id] = number
    return found


def _last_approval(home: Home) -> int:
    """Read fast, and only here: most homes have many cells and few questions."""
    last = 0
    for path in home.log_files():
        # Rotated or pruned meanwhile, or empty.
        with (
            suppress(NotFound, ValueError),
            open_log(path) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            last = max(last, 0, *_approvals_in(text))
    return last


def _approvals_in(text: mmap.mmap) -> Iterator[int]:
    at = text.find(_APPROVAL)
    while at >= 0:
        start = at + len(_APPROVAL)
        digits = text[start : start + 10].partition(b'"')[0]
        if digits.isdigit():
            yield int(digits)
        at = text.find(_APPROVAL, start)
