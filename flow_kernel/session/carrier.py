"""Brings the changes of a home's state into its logs.

Built by `session.assembly` for a session and by `session.open_home` for other programs.
"""

from collections.abc import Collection

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.scan import read_records
from flow_kernel.store.contract import Store
from flow_kernel.store.outbox import carry

_KINDS = frozenset({"task", "step", "context", "tag", "approval", "plan"})


class Carrier:
    """Carries the outbox of `store` into the logs of `home` with `journal`."""

    def __init__(self, home: Home, store: Store, journal: Journal) -> None:
        self._home = home
        self._store = store
        self._journal = journal

    def __call__(self) -> int:
        """Carry what waits. Returns how many records were written."""
        return carry(self._store, self._journal.append, self)

    def numbers(self, plan_id: str, task_id: str) -> Collection[int]:
        """The numbers of the changes that the log of a task holds."""
        path = self._home.log_path(plan_id, task_id)
        parts = [*path.parent.glob(f"{path.stem}.*{path.suffix}"), path]
        found = set()
        for record in read_records([part for part in parts if part.exists()]):
            number = record.get("change")
            if record.get("kind") in _KINDS and type(number) is int:
                found.add(number)
        return found
