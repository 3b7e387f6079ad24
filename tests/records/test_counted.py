"""Counts with their nouns, as people read them."""

import re

from flow_kernel.records.plain import counted
from tests.source import ROOT

# A count, and behind it a noun that is always the plural.
_PLURAL = re.compile(r"\{[^{}]*(?:count|len\([^{}]*\))[^{}]*\} (?:variables|checkpoints|cells)\b")


def test_one_of_something_is_told_in_the_singular() -> None:
    assert [counted(count, "variable") for count in (0, 1, 2, 1200)] == [
        "0 variables",
        "1 variable",
        "2 variables",
        "1,200 variables",
    ]
    assert [counted(count, "one is", "ones are") for count in (1, 2)] == ["1 one is", "2 ones are"]


def test_no_text_of_the_package_counts_variables_checkpoints_or_cells_without_it() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in (ROOT / "flow_kernel").rglob("*.py")
        for match in _PLURAL.finditer(path.read_text("utf-8"))
    }
    # More than one begin alike, or there is none to be found.
    assert found == {"flow_kernel/session/checkpoints/shelf.py: {len(begun)} checkpoints"}
