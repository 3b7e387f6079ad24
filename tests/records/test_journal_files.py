"""A journal's files: torn, deleted, renamed, replaced, full, planted, and many."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.scan import verify
from flow_kernel.settings import JournalSettings
from tests.records.journals import (
    OTHER,
    SESSION,
    Make,
    a_moment,
    all_at_once,
    journals_on,
    lines_of,
    note,
    read_by_hand,
)


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


@pytest.mark.parametrize("tail", [b"torn", b'{"v":1,"kind":"late","session":"x"}', b"\xff\x00"])
def test_a_torn_tail_costs_the_next_record_nothing(make: Make, log: Path, tail: bytes) -> None:
    note(make())
    with log.open("ab") as file:
        file.write(tail)

    note(make(OTHER))

    assert lines_of(log)[1] == tail
    assert [len(verify([log]).damaged), verify([log]).records] == [1, 2]


def test_bytes_that_another_program_appends_are_noticed(make: Make, log: Path) -> None:
    journal = make()
    note(journal)
    with log.open("ab") as file:
        file.write(b"noise")

    note(journal)

    assert lines_of(log)[1] == b"noise"
    assert verify([log]).records == 2
    assert verify([log]).gaps == ()


@pytest.mark.parametrize("is_home", [True, False])
def test_a_deleted_log_is_made_anew(make: Make, home: Home, log: Path, is_home: bool) -> None:
    journal = make()
    note(journal)
    if is_home:
        shutil.rmtree(home.root)
    else:
        log.unlink()
    a_moment()

    assert note(journal) == 2

    (record,) = read_by_hand(log)
    assert record["seq"] == 2
    assert (home.root / ".gitignore").read_text() == "*\n"


def test_a_renamed_log_is_left_and_a_new_one_begun(make: Make, log: Path) -> None:
    journal = make()
    note(journal)
    log.rename(log.with_name("away"))
    a_moment()

    assert note(journal) == 2

    assert [r["seq"] for r in read_by_hand(log)] == [2]
    assert [r["seq"] for r in read_by_hand(log.with_name("away"))] == [1]


def test_a_log_replaced_by_its_copy_goes_on_in_the_chain(make: Make, log: Path) -> None:
    journal = make()
    note(journal)
    note(make(OTHER))
    copy = log.with_name("copy")
    shutil.copy(log, copy)
    copy.replace(log)
    a_moment()

    assert note(journal) == 2

    assert [(r["session"], r["seq"]) for r in read_by_hand(log)] == [
        (SESSION, 1),
        (OTHER, 1),
        (SESSION, 2),
    ]


def test_a_full_file_is_renamed_and_never_another_one_overwritten(make: Make, log: Path) -> None:
    journal = make(settings=JournalSettings(rotate_bytes=1000))
    log.parent.mkdir(parents=True)
    log.with_name("T-0000.3.jsonl").write_text("older\n")

    for _ in range(20):
        note(journal, "x" * 40)

    older, *parts = Home(log.parents[2]).log_files()
    assert older.read_text() == "older\n"
    assert [path.name for path in parts] == [
        *(f"T-0000.{n}.jsonl" for n in range(4, 7)),
        "T-0000.jsonl",
    ]
    assert [r["seq"] for path in parts for r in read_by_hand(path)] == list(range(1, 21))
    assert verify(parts).ok


def test_several_writers_rotate_together(make: Make, home: Home) -> None:
    settings = JournalSettings(rotate_bytes=5000)
    sessions = [f"{n:032x}" for n in range(4)]
    journals = [make(session, settings=settings) for session in sessions]

    def writer(journal: Journal) -> Callable[[], None]:
        return lambda: [note(journal, "x" * 100) for n in range(150)] and None

    all_at_once([writer(journal) for journal in journals])

    verdict = verify(home.log_files())
    assert (verdict.ok, verdict.records) == (True, 600)
    assert verdict.files > 10


def test_rotation_that_is_refused_does_not_stop_the_recording(make: Make, log: Path) -> None:
    journal = make(settings=JournalSettings(rotate_bytes=500))
    log.parent.mkdir(parents=True)
    if subprocess.run(["chattr", "+a", log.parent], capture_output=True, check=False).returncode:
        pytest.skip("this file system or user cannot forbid renaming in a directory")
    try:
        assert [note(journal, "x" * 300) for _ in range(5)] == [1, 2, 3, 4, 5]
    finally:
        subprocess.run(["chattr", "-a", log.parent], check=True)

    assert [r["seq"] for r in read_by_hand(log)] == [1, 2, 3, 4, 5]


def test_only_a_few_files_stay_open(make: Make, home: Home) -> None:
    journal = make()
    for n in range(30):
        note(journal, n, task=f"T-{n:04d}")
    journal.sync()

    assert _open_below(home) == 8
    assert [note(journal, n, task=f"T-{n:04d}") for n in range(30)] == list(range(31, 61))
    assert verify(home.log_files()).ok
    journal.close()
    assert _open_below(home) == 0


def test_files_that_are_never_synced_do_not_pile_up(make: Make, home: Home) -> None:
    journal = make()
    for n in range(60):
        note(journal, n, task=f"T-{n:04d}")

    assert _open_below(home) == 16
    journal.sync()
    assert _open_below(home) == 8


def test_on_a_network_file_system_each_session_has_its_file(make: Make, home: Home) -> None:
    settings = JournalSettings(rotate_bytes=1000)
    journals = [make(session, settings=settings, is_network=True) for session in (SESSION, OTHER)]

    for journal in journals * 8:
        note(journal, "x" * 200)

    names = [path.name for path in home.log_files()]
    assert names == [
        "T-0000.07070707.1.jsonl",
        "T-0000.07070707.2.jsonl",
        "T-0000.07070707.jsonl",
        "T-0000.5e5e5e5e.1.jsonl",
        "T-0000.5e5e5e5e.2.jsonl",
        "T-0000.5e5e5e5e.jsonl",
    ]
    assert verify(home.log_files()).ok


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "dangling"])
def test_what_is_planted_at_the_path_is_not_written_to(
    make: Make, log: Path, tmp_path: Path, kind: str
) -> None:
    log.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    if kind == "fifo":
        os.mkfifo(log)
    elif kind == "directory":
        log.mkdir()
    else:
        if kind == "link":
            victim.write_text("mine")
        log.symlink_to(victim)

    assert note(make()) is None
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "mine"


def _open_below(home: Home) -> int:
    count = 0
    for entry in os.scandir("/proc/self/fd"):
        try:
            count += os.readlink(entry.path).startswith(str(home.log_dir))
        except OSError:
            continue
    return count
