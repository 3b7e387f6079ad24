"""flow_kernel as a checkpoint tool: the extension in IPython's shell, a checkpoint a cell.

Run by `checkpoints.py` in the environment that is measured; with the argument `bare` it is the same
shell without any tool, which everything is compared with.
"""

import sys
from pathlib import Path
from typing import Any

from checkpoint_tool import a_shell, run_in_shell, serve, size_of


class Flow:
    """Our own."""

    def __init__(self) -> None:
        from flow_kernel import current_session  # in the environment that is measured

        self._shell = a_shell({"FlowKernel": {"checkpoint_every_cells": 1}})
        # As `c.InteractiveShellApp.extensions` does: before the first cell.
        self._shell.extension_manager.load_extension("flow_kernel")
        self._session: Any = current_session()
        self._objects = Path(self._session.home.root) / "objects"

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables."""
        return self._shell.user_ns  # type: ignore[no-any-return]  # IPython has no types here

    def cell(self, code: str) -> None:
        """A cell with its checkpoint."""
        run_in_shell(self._shell, code)

    def quiet(self, code: str) -> None:
        """A cell that is not recorded."""
        exec(code, self.namespace)

    def save(self) -> None:
        """An explicit checkpoint."""
        self._session.checkpoint()

    def settle(self) -> None:
        """Wait for the one that is on its way."""
        self._session.checkpoints.settle()

    def here(self) -> str:
        """The checkpoint of now."""
        return str(self._session.checkpoints.head_id or "")

    def back(self, to: str) -> None:
        """The way back."""
        self._session.rollback(to)

    def stored_bytes(self) -> int:
        """Chunks and manifests."""
        return size_of(self._objects)


class Bare:
    """No tool at all."""

    def __init__(self) -> None:
        self._shell = a_shell()

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables."""
        return self._shell.user_ns  # type: ignore[no-any-return]  # IPython has no types here

    def cell(self, code: str) -> None:
        """A cell."""
        run_in_shell(self._shell, code)

    def quiet(self, code: str) -> None:
        """A cell outside the shell."""
        exec(code, self.namespace)

    def save(self) -> None:
        """Nothing is kept."""

    def settle(self) -> None:
        """Nothing is written."""

    def here(self) -> str:
        """Nowhere."""
        return ""

    def back(self, to: str) -> None:
        """There is no way back."""

    def stored_bytes(self) -> int:
        """Nothing."""
        return 0


if __name__ == "__main__":
    serve(Bare if "bare" in sys.argv else Flow)
