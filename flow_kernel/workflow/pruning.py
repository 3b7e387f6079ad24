"""Deletes old runs of workflows with what only they held.

Called by `jupyter flow prune`.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import store_of
from flow_kernel.store.contract import Store
from flow_kernel.workflow.objects import Objects

_YOUNG_S: Final = 3600.0
"""A value that was written in the last hour may belong to a row that is not there yet."""


@dataclass(frozen=True, slots=True)
class PrunedRuns:
    """What was deleted, or would be.

    Attributes:
        runs: Ids of runs that were over.
        results: How many kept results of steps.
        objects: How many values that no row names any more.
        bytes: Of these.
    """

    runs: tuple[str, ...] = ()
    results: int = 0
    objects: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.results or self.objects)


def prune_runs(home: Home, older_than: datetime, *, dry_run: bool) -> PrunedRuns:
    """Delete the runs that were over before a moment, and kept results that are as old.

    Args:
        home: A home.
        older_than: With a time zone.
        dry_run: True deletes nothing.

    Raises:
        StoreError: The store cannot be written.
    """
    if not home.store_path.exists():
        return PrunedRuns()
    limit = older_than.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    store = store_of(home)
    try:
        with store.read() as view:
            runs = tuple(view.runs_over_before(limit))
            results = view.count_step_results(limit)
        if dry_run:
            return PrunedRuns(runs, results)
        if runs or results:
            with store.write() as change:
                for run_id in runs:
                    change.remove_run(run_id)
                results = change.forget_step_results(limit)
                change.forget_workflow_documents()
        count, size = _clear(Objects(home), store, older_than.timestamp())
    finally:
        store.close()
    return PrunedRuns(runs, results, count, size)


def _clear(objects: Objects, store: Store, older_s: float) -> tuple[int, int]:
    """How many objects went, and their bytes."""
    with store.read() as view:
        named = view.named_objects()
    limit = min(older_s, datetime.now(UTC).timestamp() - _YOUNG_S)
    count = size = 0
    for path in objects.all():
        with suppress(OSError):
            found = path.stat()
            if path.name not in named and found.st_mtime < limit:
                os.unlink(path)  # noqa: PTH108 - one of many
                count, size = count + 1, size + found.st_size
    return count, size
