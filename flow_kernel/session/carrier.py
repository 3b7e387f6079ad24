"""Brings the changes of a home's state into its logs.

Built by `session.assembly` for a session and by `session.open_home` for other programs.

Once all changes are carried, whatever the logs hold by then is marked; the next time only what came
after it is looked through, so a long log costs no more than a short one.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.lines import open_log, raw_lines, split_damaged
from flow_kernel.session.change_secrets import without_secrets
from flow_kernel.session.deferred_redactor import DeferredRedactor, SecretFilter
from flow_kernel.store.contract import Store
from flow_kernel.store.outbox import carry

KINDS: Final = frozenset(
    {"task", "step", "context", "tag", "approval", "plan", "checkpoint", "rollback", "run"}
)
MARK: Final = b'"change":'
_PROOF_BYTES: Final = 256


class _Read(NamedTuple):
    """How far a file was read, and the bytes before that place: it may be made anew meanwhile."""

    end: int
    before: bytes


class Carrier:
    """Carries the outbox of `store` into the logs of `home` with `journal`.

    Args:
        home: Where the logs lie.
        store: Whose changes.
        journal: Writes the records.
        redactor: Finds the secrets in them; by default that of the environment.
    """

    def __init__(
        self,
        home: Home,
        store: Store,
        journal: Journal,
        *,
        redactor: SecretFilter | None = None,
    ) -> None:
        self._redactor = redactor or DeferredRedactor(os.environ)
        self._home = home
        self._store = store
        self._journal = journal
        self._read: dict[bytes, _Read] = {}

    def __call__(self) -> bool:
        """Carry what waits. Returns False when some still waits, because the disk refuses it.

        That is no error of whoever made a change: it is safe in the store, and carried later.
        """
        if self._journal.is_memory_only:
            # What was carried last is one of the records in memory, and in no file to be found.
            self._journal.sync()
            if self._journal.is_memory_only:
                return False
        logs = _Logs(self._home, self._read)
        try:
            is_all = carry(self._store, self._append, logs)
        except StoreError:
            return False
        if is_all:
            self._read = {**self._read, **logs.looked_at}
        return is_all

    def _append(
        self, kind: str, plan_id: str, task_id: str, fields: dict[str, object]
    ) -> int | None:
        said = without_secrets(fields, self._redactor)
        return self._journal.append(kind, plan_id, task_id, said)


class _Logs:
    """The changes in the logs, from where they were read to the last time."""

    def __init__(self, home: Home, read: dict[bytes, _Read]) -> None:
        self._home = home
        self._read = read
        # By its first bytes: a file is renamed when it is full.
        self.looked_at: dict[bytes, _Read] = {}

    def numbers(self, plan_id: str, task_id: str, store_id: str) -> Collection[int]:
        """The numbers of the changes that the log of a task may hold without being marked."""
        path = self._home.log_path(plan_id, task_id)
        found: set[int] = set()
        for part in [*path.parent.glob(f"{path.stem}.*{path.suffix}"), path]:
            with suppress(NotFound), open_log(part) as file:
                found |= self._numbers_in(file, store_id)
        return found

    def _numbers_in(self, file: BinaryIO, store_id: str) -> set[int]:
        fd = file.fileno()
        head = os.pread(fd, _PROOF_BYTES, 0)
        read = self._read.get(head)
        start = read.end if read is not None and read == _at(fd, read.end) else 0
        end = start
        found: set[int] = set()
        for offset, raw, is_whole in raw_lines(file, start):
            if is_whole:
                end = offset + len(raw) + 1
            if MARK in raw:
                numbers = (change_of(record) for record in _records(raw))
                found.update(n for store, n in filter(None, numbers) if store == store_id)
        if end >= _PROOF_BYTES:
            self.looked_at[head] = _at(fd, end)
        return found


def _at(fd: int, end: int) -> _Read:
    return _Read(end, os.pread(fd, _PROOF_BYTES, end - _PROOF_BYTES))


def _records(raw: bytes) -> list[dict[str, object]]:
    try:
        return [decode(raw)]
    except LineDamaged:
        return [piece.record for piece in split_damaged(raw, "") if piece.record is not None]


def change_of(record: dict[str, object]) -> tuple[str, int] | None:
    """The store and the number of the change that a record tells of, if it tells of one."""
    number, store_id = record.get("change"), record.get("store", "")
    if type(number) is int and type(store_id) is str and record.get("kind") in KINDS:
        return store_id, number
    return None
