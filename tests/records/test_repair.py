"""Repair takes damaged bytes out of a log, and nothing else, while others write to it."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.locks import EXCLUSIVE, flock
from flow_kernel.records.repair import repair
from flow_kernel.records.scan import read_records, verify
from flow_kernel.settings import JournalSettings
from tests.records.journals import OTHER, SESSION, few, lines_of, read_by_hand


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with three records."""
    home = Home(tmp_path / ".flow")
    journal = Journal(home, SESSION)
    for n in range(3):
        journal.append("late", "local", "T-0000", {"n": n})
    journal.close()
    return home.log_path("local", "T-0000")


def _torn(log: Path) -> Path:
    return log.with_name(f"{log.name}.torn")


def _spoil(log: Path, at: int) -> None:
    data = bytearray(log.read_bytes())
    data[at] ^= 1
    log.write_bytes(data)


def test_damaged_lines_are_moved_and_the_others_stay_as_they_are(log: Path) -> None:
    one, two, three = lines_of(log)
    spoilt = two.replace(b'"n":1', b'"n":7')
    log.write_bytes(b"\n".join([one, spoilt, b"noise", three, b'{"v":1,"ki']))

    assert repair(log) == 3

    assert log.read_bytes() == one + b"\n" + three + b"\n"
    assert _torn(log).read_bytes() == spoilt + b'\nnoise\n{"v":1,"ki\n'
    assert verify([log]).damaged == ()
    assert sorted(path.name for path in log.parent.iterdir()) == [log.name, _torn(log).name]


def test_a_second_repair_changes_nothing(log: Path) -> None:
    _spoil(log, 10)
    repair(log)
    before = (log.read_bytes(), log.stat().st_ino, _torn(log).read_bytes())

    assert repair(log) == 0
    assert (log.read_bytes(), log.stat().st_ino, _torn(log).read_bytes()) == before


@pytest.mark.parametrize("data", [b"", b"\n", None])
def test_without_damage_nothing_is_written(log: Path, data: bytes | None) -> None:
    if data is None:
        # Whole, though its newline is missing.
        data = log.read_bytes()[:-1]
    log.write_bytes(data)
    before = os.stat(log)

    assert repair(log) == 0
    assert os.stat(log) == before
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_damaged_bytes_are_collected_over_several_repairs(log: Path) -> None:
    for noise in (b"first", b"second"):
        with log.open("ab") as file:
            file.write(noise + b"\n")
        assert repair(log) == 1

    assert _torn(log).read_bytes() == b"first\nsecond\n"


def test_the_mode_of_the_file_stays(log: Path) -> None:
    log.chmod(0o640)
    _spoil(log, 10)
    repair(log)

    assert [path.stat().st_mode & 0o777 for path in (log, _torn(log))] == [0o640, 0o640]


@few
@given(at=st.integers(0), flip=st.integers(1, 255))
def test_after_any_changed_byte_the_other_records_are_there(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    journal = Journal(home, SESSION)
    for n in range(3):
        journal.append("late", "local", "T-0000", {"n": n})
    journal.close()
    log = home.log_path("local", "T-0000")
    data = bytearray(log.read_bytes())
    hit = 1 + data[: at % len(data)].count(b"\n")
    data[at % len(data)] ^= flip
    log.write_bytes(data)

    assert repair(log) >= 1

    assert verify([log]).damaged == ()
    assert {record["seq"] for record in read_records([log])} >= {1, 2, 3} - {hit}


def test_a_writer_goes_on_in_the_repaired_file(log: Path) -> None:
    journal = Journal(Home(log.parents[2]), OTHER)
    assert journal.append("late", "local", "T-0000", {}) == 1
    _spoil(log, 10)
    assert repair(log) == 1
    assert journal.append("late", "local", "T-0000", {}) == 2
    journal.close()

    assert [(r["session"], r["seq"]) for r in read_by_hand_after_loss(log)] == [
        (SESSION, 2),
        (SESSION, 3),
        (OTHER, 1),
        (OTHER, 2),
    ]


def read_by_hand_after_loss(log: Path) -> list[dict[str, object]]:
    """The records of a log whose first line was lost; the other session's chain is checked."""
    mine = [line for line in lines_of(log) if OTHER.encode() in line]
    chain = log.with_name("chain")
    chain.write_bytes(b"\n".join(mine))
    assert len(read_by_hand(chain)) == len(mine)
    return list(read_records([log]))


@pytest.mark.parametrize("lock_timeout_s", [0.05, 0.0])
def test_repair_under_load_loses_no_acknowledged_record(
    tmp_path: Path, lock_timeout_s: float
) -> None:
    """Three writers, patient or not, while noise is written and repaired all the time."""
    home = Home(tmp_path)
    log = home.log_path("local", "T-0000")
    settings = JournalSettings(lock_timeout_s=lock_timeout_s)
    journals = [Journal(home, f"{n:032x}", settings=settings) for n in range(3)]
    acknowledged: list[list[int | None]] = [[], [], []]
    left = threading.Semaphore(0)
    written = threading.Semaphore(0)

    def write(n: int) -> None:
        for i in range(300):
            seq = journals[n].append("late", "local", "T-0000", {"text": "x" * (i % 7) * 700})
            acknowledged[n].append(seq)
            written.release()
        left.release()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    moved = finished = 0
    while finished < 3 or not moved:
        finished += left.acquire(blocking=False)
        if log.exists():
            with log.open("ab") as file:
                file.write(b"\nnoise\n")
            moved += repair(log, lock_timeout_s=20)
        # A repair after each few records, or the lock would hardly ever be free for them.
        for _ in range(5):
            written.acquire(timeout=0.05)
    for thread, journal in zip(threads, journals, strict=True):
        thread.join()
        journal.close()
    repair(log)

    verdict = verify([log])
    # A repair that takes longer than a writer waits leaves records waiting in memory for a while.
    assert [
        [got for got, seq in zip(seqs, range(1, 301), strict=True) if got not in (seq, None)]
        for seqs in acknowledged
    ] == [[], [], []]
    assert (verdict.records, verdict.damaged, verdict.gaps) == (900, (), ())
    assert set(lines_of(_torn(log))) == {b"noise"}


def test_a_log_that_others_hold_locked_is_left_alone(log: Path) -> None:
    _spoil(log, 10)
    before = log.read_bytes()
    with log.open("rb") as holder:
        flock(holder.fileno(), EXCLUSIVE)
        with pytest.raises(StoreError, match="held by another process; nothing was changed"):
            repair(log, lock_timeout_s=0.05)

    assert log.read_bytes() == before
    assert repair(log) == 1


def test_a_repair_that_the_disk_refuses_leaves_the_log_as_it_was(log: Path) -> None:
    _spoil(log, 10)
    before = log.read_bytes()
    _torn(log).mkdir()

    with pytest.raises(StoreError, match=r"Is a directory.*the log is as before"):
        repair(log)

    assert log.read_bytes() == before
    assert not log.with_name(f".{log.name}.repair").exists()


def test_a_draft_of_a_repair_that_was_killed_is_no_obstacle(log: Path) -> None:
    log.with_name(f".{log.name}.repair").write_text("half a line")
    _spoil(log, 10)

    assert repair(log) == 1
    assert verify([log]).records == 2
    assert not log.with_name(f".{log.name}.repair").exists()


def test_links_in_the_place_of_files_are_not_followed(log: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    _spoil(log, 10)
    _torn(log).symlink_to(victim)
    with pytest.raises(StoreError):
        repair(log)
    link = log.with_name("T-0001.jsonl")
    link.symlink_to(log)
    with pytest.raises(StoreError):
        repair(link)

    assert victim.read_text() == "mine"


def test_a_missing_log_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no log file"):
        repair(tmp_path / "missing.jsonl")
