"""Large values of runs as files that are named by their content, below the home.

Used by `ledger`. Many steps and runs that hold one value hold one file.

    .flow/objects/steps/<first 2 hex>/<sha256 of the JSON>
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreDamaged, StoreError
from flow_kernel.records.home import Home
from flow_kernel.workflow.private import private_directory

LARGE_BYTES: Final = 65_536
"""From this size on: a row of the database stays small, and is read without it."""


class Objects:
    """The objects of one home."""

    def __init__(self, home: Home) -> None:
        self._root = home.root / "objects" / "steps"

    def path(self, name: str) -> Path:
        """Where an object lies."""
        return self._root / name[:2] / name

    def all(self) -> list[Path]:
        """The files of all objects, and of drafts that a process did not finish."""
        return [path for path in self._root.glob("*/*") if path.is_file()]

    def put(self, data: bytes, *, is_durable: bool = False) -> str:
        """Keep `data`; its name.

        Args:
            data: Any.
            is_durable: True when it must be on the disk once this returns, power loss or not.

        Raises:
            StoreError: The disk refuses.
        """
        name = hashlib.sha256(data).hexdigest()
        path = self.path(name)
        try:
            if path.stat().st_size == len(data):
                os.utime(path)  # it counts as young, so that no pruning takes it
                return name
        except OSError:
            pass
        draft = path.with_name(f".{name[:16]}.{os.urandom(6).hex()}")
        try:
            private_directory(path.parent)
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    if is_durable:
                        file.flush()
                        os.fsync(file.fileno())
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(f"cannot keep a value of {len(data):,} bytes ({error})") from error
        return name

    def get(self, name: str) -> bytes:
        """An object, checked against its name.

        Raises:
            StoreDamaged: It is missing or not what it was.
        """
        try:
            data = self.path(name).read_bytes()
        except OSError as error:
            raise StoreDamaged(f"a value of a run cannot be read ({error})") from error
        if hashlib.sha256(data).hexdigest() != name:
            raise StoreDamaged(f"the value {name[:16]} of a run is damaged")
        return data
