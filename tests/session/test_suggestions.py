"""Values that were used before are offered in the order in which they are likely to be wanted."""

import pytest

from flow_kernel.session.suggestions import ranked
from flow_kernel.store.contract import Use


@pytest.mark.parametrize(
    ("uses", "wanted"),
    [
        ("", []),
        ("a1", ["a"]),
        ("c1 a2 b3", ["c", "a", "b"]),
        ("c1 a2 b3 b4", ["c", "b", "a"]),
        ("c1 b2 a3 a4 b5", ["c", "b", "a"]),
        ("c1 a2 a2 a2 b3 b4", ["c", "b", "a"]),
    ],
    ids=["none", "one", "newest first", "most tasks", "newer of equals", "a task counts once"],
)
def test_the_last_value_comes_first_then_what_most_tasks_used(uses: str, wanted: list[str]) -> None:
    """A letter is a value and the digit its task; the newest use stands first."""
    found = [Use(f'"{use[0]}"', "local", f"T-000{use[1]}") for use in uses.split()]
    assert ranked(found, limit=9) == wanted
    assert ranked(found, limit=2) == wanted[:2]
