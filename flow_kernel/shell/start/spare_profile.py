"""A kernel starts where IPython's own folder cannot be written, and says so.

Used by the application of `shell.kernel`, and by its kernel to tell the person.

IPython makes a folder for its profile, and copies a text into it. Where that fails as on a full
disk, stock ipykernel ends before anybody could be told. Here the profile is in a temporary folder
then, which goes with the kernel: its history is not kept.

Proven for IPython 9.0 to 9.18: `init_profile_dir` is called again with `ProfileDir.location` set.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_GRAIN_S: Final = 0.1
"""The clock of a file system may be so much behind."""
_IN_MEMORY: Final = ":memory:"


class SpareProfileApp(IPKernelApp):  # type: ignore[misc]  # ipykernel has no types
    """An application that has a profile, wherever that is."""

    profile_trouble: str = ""
    """Why the profile is in a temporary folder, for the person; empty where it is not."""
    _spare: Any = None
    _began_s = 0.0

    def init_profile_dir(self) -> None:
        """Find or make the profile as IPython does; else a spare one."""
        self._began_s = time.time() - _GRAIN_S
        try:
            super().init_profile_dir()
        except OSError as error:
            self._spare = TemporaryDirectory(prefix="flow-profile-")
            self.update_config(Config({"ProfileDir": {"location": self._spare.name}}))
            super().init_profile_dir()
            self.profile_trouble = (
                f"cannot write {self.ipython_dir} ({error.strerror});"
                " IPython's profile and history are temporary"
            )

    def close(self) -> None:
        """End as ipykernel does."""
        super().close()
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cleanup()


def trouble_of(app: Any, shell: Any) -> str:
    """What of IPython's is not kept, and why; empty where all is."""
    trouble = getattr(app, "profile_trouble", "")
    history = shell.history_manager
    if trouble or history is None or not history.enabled:
        return str(trouble)
    if history.hist_file != _IN_MEMORY:
        moved = _moved_since(Path(history.hist_file), getattr(app, "_began_s", 0.0))
        return f"IPython's history was broken or locked; it is now {moved}" if moved else ""
    asked = (shell.config.get(each, {}) for each in ("HistoryManager", "HistoryAccessor"))
    if any(each.get("hist_file") == _IN_MEMORY for each in asked):
        return ""
    return "IPython's history cannot be opened; that of this session is not kept"


def _moved_since(history: Path, began_s: float) -> str:
    """Where IPython has put a history that it could not open; empty when it could."""
    try:
        for path in history.parent.glob(f"{history.stem}-corrupt*"):
            if path.stat().st_ctime >= began_s:  # renamed: its content may be as old as it likes
                return str(path)
    except OSError:
        pass
    return ""
