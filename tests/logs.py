"""The task logs of one home, read as any other program would: line by line.

Called by the tests through `Kernel.logs`. Each line is checked against its checksum, so a test that
reads a damaged log fails by itself.
"""

import threading
import time
from pathlib import Path
from typing import Any

from flow_kernel.records.codec import LineDamaged, decode

Record = dict[str, Any]


class TaskLogs:
    """All log files under `home`, read incrementally."""

    def __init__(self, home: Path, *, may_be_torn: bool = False) -> None:
        self.home = home
        self.torn: list[bytes] = []
        """Damaged lines, where the log may hold some."""
        self._may_be_torn = may_be_torn
        self._offsets: dict[Path, int] = {}
        self._records: list[Record] = []

    def records(self, kind: str | None = None, **fields: object) -> list[Record]:
        """Records so far in file order, optionally of one kind and with these field values."""
        self._read()
        return [
            r
            for r in self._records
            if kind in (None, r["kind"]) and all(r.get(k) == v for k, v in fields.items())
        ]

    def one(self, kind: str | None = None, **fields: object) -> Record:
        """The only record that fits."""
        found = self.records(kind, **fields)
        assert len(found) == 1, f"{len(found)} records of kind {kind} with {fields}"
        return found[0]

    def wait(
        self, kind: str | None = None, *, count: int = 1, timeout: float = 10.0, **fields: object
    ) -> list[Record]:
        """Wait until at least `count` records fit."""
        tick = threading.Event()
        deadline = time.monotonic() + timeout
        while len(found := self.records(kind, **fields)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} records of kind {kind} with {fields}")
            tick.wait(0.005)
        return found

    def bytes(self) -> bytes:
        """Every byte of every file under the home."""
        return b"".join(p.read_bytes() for p in sorted(self.home.rglob("*")) if p.is_file())

    def _read(self) -> None:
        for path in sorted(self.home.glob("log/*/*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            for line in filter(None, whole.split(b"\n")):
                try:
                    self._records.append(decode(line))
                except LineDamaged:
                    if not self._may_be_torn:
                        raise
                    self.torn.append(line)
