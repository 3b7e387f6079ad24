"""Kishu as a checkpoint tool: a commit a cell, as its users have it.

Run by `checkpoints.py` in Kishu's environment. The saving of the notebook by a browser is left out
(there is none), and a way back leaves the notebook alone; both are to Kishu's advantage.
"""

from pathlib import Path
from typing import Any

from checkpoint_tool import a_shell, run_in_shell, serve


class Kishu:
    """Kishu in IPython's shell."""

    def __init__(self) -> None:
        self._shell = a_shell()
        script = Path(__file__).with_name("kishu_commit.py")
        run_in_shell(self._shell, script.read_text(encoding="utf-8"))
        self._kishu: Any = self._shell.user_ns["_kishu"]
        self._database = Path(self._kishu.database_path())

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables."""
        return self._shell.user_ns  # type: ignore[no-any-return]  # IPython has no types here

    def cell(self, code: str) -> None:
        """A cell with its commit."""
        run_in_shell(self._shell, code)

    quiet = cell  # all that it did not see would be part of the next commit

    def save(self) -> None:
        """A commit that was asked for; unchanged variables are not stored again."""
        self._kishu.commit()

    def settle(self) -> None:
        """It writes before it returns."""

    def here(self) -> str:
        """The newest commit."""
        return str(self._kishu._kishu_branch.get_head().commit_id)

    def back(self, to: str) -> None:
        """A checkout of the variables."""
        self._kishu.checkout(to, skip_notebook=True)

    def stored_bytes(self) -> int:
        """Its database."""
        return sum(path.stat().st_size for path in self._database.parent.glob("*.kishudb*"))


if __name__ == "__main__":
    serve(Kishu)
