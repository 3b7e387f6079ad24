"""The last records of a session, read from the ends of its files."""

from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.recent import recent_records
from flow_kernel.settings import JournalSettings

_ME = "a" * 32
_OTHER = "b" * 32
_MB = 2**20


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.ensure()
    return home


def _journal(home: Home, session: str = _ME, *, rotate_bytes: int = 64 * _MB) -> Journal:
    return Journal(home, session, settings=JournalSettings(rotate_bytes=rotate_bytes))


def _seqs(records: list[dict[str, object]]) -> list[object]:
    return [record["seq"] for record in records]


def test_the_newest_come_from_all_files_in_the_order_of_their_numbers(home: Home) -> None:
    journal, other = _journal(home), _journal(home, _OTHER)
    for number in range(12):
        journal.append("cell", "local", f"T-000{number % 3}", {"code": str(number)})
        other.append("cell", "local", "T-0000", {"code": "x"})

    found = recent_records(journal.paths, _ME, limit=5, budget_bytes=_MB)

    assert _seqs(found.records) == [8, 9, 10, 11, 12]
    assert {record["session"] for record in found.records} == {_ME}
    assert found.is_complete is False
    journal.close()
    other.close()


def test_what_was_rotated_away_is_read_as_well(home: Home) -> None:
    journal = _journal(home, rotate_bytes=2000)
    for number in range(30):
        journal.append("cell", "local", "T-0001", {"code": "x" * 200, "n": number})

    found = recent_records(journal.paths, _ME, limit=100, budget_bytes=_MB)

    assert len(home.log_files()) > 3
    assert _seqs(found.records) == list(range(1, 31))
    assert found.is_complete is True
    journal.close()


def test_after_and_before_and_kinds_bound_what_is_given(home: Home) -> None:
    journal = _journal(home)
    for number in range(10):
        journal.append("cell" if number % 2 else "step", "local", "T-0001", {"n": number})

    found = recent_records(
        journal.paths, _ME, after=2, before=9, limit=100, kinds=("cell",), budget_bytes=_MB
    )

    assert _seqs(found.records) == [4, 6, 8]
    assert found.is_complete is True
    journal.close()


def test_no_more_is_read_than_may_be(home: Home) -> None:
    journal = _journal(home)
    for number in range(100):
        journal.append("cell", "local", "T-0001", {"code": "x" * 1000, "n": number})

    found = recent_records(journal.paths, _ME, limit=100, budget_bytes=20_000)

    assert 10 <= len(found.records) <= 20
    assert _seqs(found.records)[-1] == 100
    assert found.is_complete is False
    journal.close()


def test_damaged_lines_and_missing_files_are_passed_over(home: Home) -> None:
    journal = _journal(home)
    for number in range(3):
        journal.append("cell", "local", "T-0001", {"code": f"cell {number}"})
    journal.sync()
    (path,) = journal.paths
    path.write_bytes(path.read_bytes().replace(b"cell 1", b"cell 7"))

    found = recent_records([path, home.root / "gone.jsonl"], _ME, limit=9, budget_bytes=_MB)

    assert _seqs(found.records) == [1, 3]
    journal.close()
