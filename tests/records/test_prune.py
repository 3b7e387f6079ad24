"""Pruning deletes whole log files that are old and belong to no living session."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.ledger import pruned_numbers
from flow_kernel.records.locks import EXCLUSIVE, flock
from flow_kernel.records.prune import PruneReport, prune
from flow_kernel.records.scan import verify, verify_home
from flow_kernel.settings import JournalSettings
from tests.records.journals import OTHER, SESSION, seqs_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LIMIT = NOW - timedelta(days=90)
OLD = "2026-08-01T00:00:00.000Z"
YOUNG = "2026-11-20T00:00:00.000Z"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / ".flow")
    home.ensure()
    return home


def _record(home: Home, when: str, *tasks: str, session: str = SESSION, last_seq: int = 0) -> None:
    journal = Journal(
        home,
        session,
        now=lambda: when,
        last_seq=last_seq,
        settings=JournalSettings(rotate_bytes=1000),
    )
    for task in tasks:
        journal.append("late", "local", task, {})
    journal.close()


def _log(home: Home, name: str) -> Path:
    return home.log_dir / "local" / f"{name}.jsonl"


def test_files_with_only_old_records_go_and_others_stay(home: Home) -> None:
    _record(home, OLD, "T-0001", "T-0001", "T-0002", "T-0003")
    _record(home, YOUNG, "T-0002", session=OTHER)
    old = {path: path.stat().st_size for path in (_log(home, "T-0001"), _log(home, "T-0003"))}
    report = PruneReport(files=tuple(old), bytes=sum(old.values()), records=3)

    assert prune(home, LIMIT, dry_run=True) == report
    assert len(home.log_files()) == 3
    assert prune(home, LIMIT, dry_run=False) == report
    assert home.log_files() == [_log(home, "T-0002")]
    assert prune(home, LIMIT, dry_run=False) == PruneReport(files=(), bytes=0, records=0)


def test_old_parts_of_a_rotated_log_go_alone(home: Home) -> None:
    _record(home, OLD, *["T-0001"] * 20)
    _record(home, YOUNG, "T-0001", session=OTHER)
    files = home.log_files()

    assert prune(home, LIMIT, dry_run=False).files == tuple(files[:-1])
    assert home.log_files() == files[-1:]


def test_what_was_pruned_is_not_taken_for_lost(home: Home) -> None:
    _record(home, OLD, "T-0001", "T-0001", "T-0002", "T-0001", "T-0003")
    _record(home, YOUNG, "T-0002", last_seq=5)
    _record(home, OLD, "T-0001", session=OTHER)
    prune(home, LIMIT, dry_run=False)

    assert seqs_of(home) == [3, 6]
    assert [gap.after_seq for gap in verify(home.log_files()).gaps] == [0, 3]
    assert pruned_numbers(home) == {SESSION: [(1, 2), (4, 4), (5, 5)]}
    assert verify_home(home).ok


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{SESSION}.lease", f'{{"session":"{SESSION}"}}'),
        ("anything.lease", f'{{"session":"{SESSION}"}}'),
        (f"{SESSION}.lease", "torn {"),
        (f"{SESSION}.claimed.{OTHER}", "{}"),
    ],
)
def test_files_of_a_session_with_a_lease_stay(home: Home, name: str, content: str) -> None:
    _record(home, OLD, "T-0001")
    _record(home, OLD, "T-0001", session=OTHER)
    (home.run_dir / name).write_text(content)

    assert prune(home, LIMIT, dry_run=False).files == ()
    (home.run_dir / name).unlink()
    assert prune(home, LIMIT, dry_run=False).records == 2


def test_the_limit_itself_is_kept_and_time_zones_count(home: Home) -> None:
    _record(home, "2026-08-23T00:00:00.000Z", "T-0001")
    east = timezone(timedelta(hours=2))

    assert prune(home, LIMIT, dry_run=True).files == ()
    assert prune(home, LIMIT.astimezone(east), dry_run=True).files == ()
    assert prune(home, LIMIT + timedelta(milliseconds=1), dry_run=True).records == 1
    with pytest.raises(UsageError, match="time zone"):
        prune(home, LIMIT.replace(tzinfo=None), dry_run=True)


def test_a_file_without_a_record_stays(home: Home) -> None:
    _log(home, "T-0001").parent.mkdir()
    _log(home, "T-0001").touch()
    _log(home, "T-0002").write_text("noise\n")

    assert prune(home, LIMIT, dry_run=False).files == ()


@pytest.mark.parametrize("suffix", ["", ".torn"])
def test_bytes_that_cannot_be_read_are_as_young_as_their_file(home: Home, suffix: str) -> None:
    _record(home, OLD, "T-0001")
    log = _log(home, "T-0001")
    spoilt = log.with_name(log.name + suffix)
    with spoilt.open("ab") as file:
        file.write(b"noise")
    written = datetime.fromtimestamp(spoilt.stat().st_mtime, UTC)

    assert prune(home, written - timedelta(days=1), dry_run=False).files == ()
    report = prune(home, written + timedelta(days=1), dry_run=False)
    assert log in report.files
    assert report.files[-1] == spoilt
    assert not log.parent.exists()


def test_a_file_that_somebody_writes_to_stays(home: Home) -> None:
    _record(home, OLD, "T-0001")
    with _log(home, "T-0001").open("rb") as holder:
        flock(holder.fileno(), EXCLUSIVE)
        assert prune(home, LIMIT, dry_run=False, lock_timeout_s=0.01).files == ()

    assert len(prune(home, LIMIT, dry_run=False).files) == 1


def test_a_writer_whose_log_is_pruned_goes_on_in_a_new_one(home: Home) -> None:
    journal = Journal(home, SESSION, now=lambda: OLD)
    assert journal.append("late", "local", "T-0001", {}) == 1
    prune(home, LIMIT, dry_run=False)
    assert journal.append("late", "local", "T-0001", {}) == 2
    journal.close()

    assert seqs_of(home) == [2]


def test_a_home_without_logs_has_nothing_to_prune(tmp_path: Path) -> None:
    assert prune(Home(tmp_path / "none"), NOW, dry_run=False).files == ()
    assert pruned_numbers(Home(tmp_path / "none")) == {}
