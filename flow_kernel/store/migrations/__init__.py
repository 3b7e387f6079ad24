"""The numbered migrations of the store, each a file of SQL.

Read by `sqlite` when it opens a file that is older than the newest of them.
"""

from importlib.resources import files
from typing import Final

NAMES: Final = ("0001_tasks", "0002_approvals")
"""In order; the number of a migration is its place, and `user_version` once it was applied."""


def statements(number: int) -> list[str]:
    """The statements of migration `number`, from 1."""
    text = files(__name__).joinpath(f"{NAMES[number - 1]}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
