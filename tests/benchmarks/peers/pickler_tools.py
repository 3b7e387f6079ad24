"""The three picklers behind the one face of a checkpoint tool.

Called by `checkpoint_picklers.py`, whose `__main__` is the session.
"""

import pickle
import sys
import time
import types
from pathlib import Path
from typing import Any, Final

_OURS: Final = frozenset(["Cloudpickle", "Dill", "Pickle", "serve", "sys"])


class Pickle:
    """pickle with protocol 5 of a dict of all variables."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = vars(sys.modules["__main__"])
        self._count = 0
        self._bytes = 0

    def cell(self, code: str) -> float:
        """A cell, and everything into a file; how long the latter takes."""
        exec(code, self.namespace)
        started = time.perf_counter()
        self.save()
        return (time.perf_counter() - started) * 1000

    def quiet(self, code: str) -> None:
        """A cell alone."""
        exec(code, self.namespace)

    def save(self) -> None:
        """Everything into a new file; the one before is removed."""
        before, self._count = self._path, self._count + 1
        self._write(self._path)
        self._bytes += self._path.stat().st_size
        before.unlink(missing_ok=True)

    def settle(self) -> None:
        """It is as written as it will be."""

    def here(self) -> str:
        """The newest file."""
        return str(self._path)

    def back(self, to: str) -> None:
        """Everything from that file, or from the newest one: an older one is gone, and as large."""
        self._read(Path(to) if Path(to).exists() else self._path)

    def stored_bytes(self) -> int:
        """What was written so far."""
        return self._bytes

    @property
    def _path(self) -> Path:
        return Path(f"{self._count}.pickle")

    def _variables(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.namespace.items()
            if not name.startswith("_")
            and name not in _OURS
            and not isinstance(value, types.ModuleType)
        }

    def _write(self, path: Path) -> None:
        with path.open("wb") as file:
            pickle.dump(self._variables(), file, protocol=5)

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            self.namespace.update(pickle.load(file))


class Cloudpickle(Pickle):
    """The same with cloudpickle."""

    def _write(self, path: Path) -> None:
        import cloudpickle  # only where it is measured

        with path.open("wb") as file:
            cloudpickle.dump(self._variables(), file, protocol=5)


class Dill(Pickle):
    """dill's own way to keep a session."""

    def _write(self, path: Path) -> None:
        import dill  # only where it is measured

        dill.dump_session(str(path))

    def _read(self, path: Path) -> None:
        import dill  # only where it is measured

        dill.load_session(str(path))
