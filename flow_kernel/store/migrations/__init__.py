"""The numbered migrations of the store, each a file of SQL.

Read by `sqlite` when it opens a file that is older than the newest of them.
"""

from importlib.resources import files
from typing import Final

NAMES: Final = (
    "0001_tasks",
    "0002_approvals",
    "0003_approval_facts",
    "0004_lives",
    "0005_runs",
    "0006_pages",
)
"""In order; a name begins with its number, which is `user_version` once it was applied."""

NUMBERS: Final = tuple(int(name.partition("_")[0]) for name in NAMES)


def statements(number: int) -> list[str]:
    """The statements of migration `number`."""
    name = NAMES[NUMBERS.index(number)]
    text = files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
