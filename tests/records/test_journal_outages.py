"""A disk that refuses: records wait in memory, in order, bounded, and it is said once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.scan import verify
from flow_kernel.settings import JournalSettings
from tests.records.journals import Make, a_moment, journals_on, note, read_by_hand, seqs_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".flow")


@pytest.fixture
def log(home: Home) -> Path:
    return home.log_path("local", "T-0000")


@pytest.fixture
def make(home: Home) -> Iterator[Make]:
    with journals_on(home) as make:
        yield make


def test_a_home_that_cannot_be_made_is_said_once_and_recorded_in_memory(
    make: Make, home: Home, log: Path
) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    home.root.write_text("in the way")

    assert [note(journal, n) for n in range(5)] == [None] * 5
    assert journal.is_memory_only
    assert journal.last_seq == 5

    home.root.unlink()
    assert note(journal, 5) == 6
    assert not journal.is_memory_only
    assert [(r["seq"], r["text"]) for r in read_by_hand(log)] == [(n + 1, n) for n in range(6)]
    assert said == [f"cannot write {log} (Not a directory); recording goes on in memory"]


def test_each_outage_is_said_once(make: Make, home: Home, log: Path) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    for _ in range(3):
        shutil.rmtree(home.root, ignore_errors=True)
        home.root.write_text("in the way")
        a_moment()
        note(journal)
        note(journal)
        home.root.unlink()
        note(journal)

    assert len(said) == 3
    assert [r["seq"] for r in read_by_hand(log)] == [7, 8, 9]


def test_one_refused_log_does_not_hold_up_the_others(make: Make, home: Home, log: Path) -> None:
    log.parent.mkdir(parents=True)
    log.mkdir()
    journal = make()

    assert note(journal) is None
    assert note(journal, task="T-0001") == 2
    log.rmdir()
    assert note(journal, task="T-0001") == 3

    assert seqs_of(home) == [1, 2, 3]


def test_waiting_records_are_written_by_the_background_sync(
    make: Make, home: Home, log: Path
) -> None:
    journal = make()
    home.root.write_text("in the way")
    note(journal)
    home.root.unlink()

    journal.sync()

    assert not journal.is_memory_only
    assert seqs_of(home) == [1]


def test_the_memory_for_waiting_records_is_bounded(make: Make, home: Home, log: Path) -> None:
    said: list[str] = []
    journal = make(settings=JournalSettings(backlog_bytes=10_000), on_trouble=said.append)
    home.root.write_text("in the way")
    for _ in range(100):
        note(journal, "x" * 1000)
    kept = 100 - journal.dropped
    home.root.unlink()
    note(journal)

    assert 0 < kept < 10
    assert [r["seq"] for r in read_by_hand(log)] == list(range(101 - kept, 102))
    assert [gap.after_seq for gap in verify([log]).gaps] == [0]


def test_a_record_larger_than_the_memory_is_dropped(make: Make, home: Home, log: Path) -> None:
    journal = make(settings=JournalSettings(backlog_bytes=1000))
    home.root.write_text("in the way")
    assert note(journal, "x" * 2000) is None
    home.root.unlink()

    assert note(journal) == 2
    assert (journal.dropped, journal.is_memory_only) == (1, False)


def test_what_could_never_be_written_is_said_at_the_end(make: Make, home: Home) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    home.root.write_text("in the way")
    note(journal)
    note(journal)

    journal.close()

    assert said[1:] == [f"2 records could not be written to {home.root} and are lost"]


def test_a_listener_that_fails_does_not_break_the_cell(make: Make, home: Home) -> None:
    def fail(sentence: str) -> None:
        raise RuntimeError(sentence)

    home.root.write_text("in the way")

    assert note(make(on_trouble=fail)) is None
