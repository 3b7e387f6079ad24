"""The journal: what it writes, and what it does when files, disks and neighbours misbehave."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from flow_kernel.records.codec import link
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.records.scan import verify
from flow_kernel.settings import JournalSettings
from tests.records.journals import (
    A_MOMENT_S,
    NO_LINK,
    OTHER,
    SESSION,
    lines_of,
    little_stack,
    read_by_hand,
    seqs_of,
)

_OURS = tuple(
    f"records/{name}.py" for name in ("journal", "logfile", "backlog", "codec", "descriptors")
)
Make = Callable[..., Journal]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".flow")


@pytest.fixture
def log(home: Home) -> Path:
    return home.log_path("local", "T-0000")


@pytest.fixture
def make(home: Home) -> Iterator[Make]:
    """Makes journals on the home, and closes them."""
    made: list[Journal] = []

    def make(session: str = SESSION, **options: Any) -> Journal:
        made.append(Journal(home, session, **options))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


def _note(journal: Journal, text: object = "x", *, task: str = "T-0000") -> int | None:
    return journal.append("late", "local", task, {"text": text})


def _a_moment() -> None:
    threading.Event().wait(A_MOMENT_S)


def test_a_record_has_its_header_first_and_its_checksum_last(make: Make, log: Path) -> None:
    journal = make(now=lambda: "2026-11-21T01:02:03.456Z")

    assert journal.append("late", "local", "T-0000", {"b": 1, "a": "ü"}) == 1
    assert journal.append("late", "local", "T-0000", {}) == 2

    first, second = lines_of(log)
    start = b'"session":"%b","seq":' % SESSION.encode()
    place = b'"plan_id":"local","task_id":"T-0000","timestamp":"2026-11-21T01:02:03.456Z","prev":'
    assert first.startswith(
        b'{"v":1,"kind":"late",%b1,%b"%b","b":1,"a":"\xc3\xbc","crc":"'
        % (start, place, NO_LINK.encode())
    )
    assert second.startswith(
        b'{"v":1,"kind":"late",%b2,%b"%b","crc":"' % (start, place, link(first).encode())
    )
    assert len(read_by_hand(log)) == 2


def test_the_clock_is_utc_in_milliseconds() -> None:
    now = utc_now_ms()

    assert len(now) == 24
    assert (now[4], now[7], now[10], now[13], now[16], now[19], now[23]) == tuple("--T::.Z")


def test_numbers_run_through_all_tasks_and_chains_through_each_file(make: Make, home: Home) -> None:
    journal = make()

    seqs = [_note(journal, n, task=f"T-000{n % 3}") for n in range(9)]

    assert seqs == list(range(1, 10)) == seqs_of(home)
    assert journal.last_seq == 9
    assert len(home.log_files()) == 3
    assert verify(home.log_files()).ok


def test_files_are_private(make: Make, log: Path, home: Home) -> None:
    _note(make())

    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_nothing_is_made_before_the_first_record(make: Make, home: Home) -> None:
    make()

    assert not home.root.exists()


def test_a_name_of_the_header_is_refused(make: Make, log: Path) -> None:
    journal = make()

    with pytest.raises(ValueError, match=r"\['seq', 'session'\]"):
        journal.append("death", "local", "T-0000", {"session": OTHER, "seq": 3, "pid": 1})

    assert _note(journal) == 1


def test_several_threads_share_a_journal(make: Make, home: Home) -> None:
    journal = make()
    acknowledged: list[int | None] = []

    def write() -> None:
        for n in range(200):
            acknowledged.append(_note(journal, n, task=f"T-000{n % 2}"))  # noqa: PERF401 - threads

    _all_at_once([write] * 4)

    assert sorted(acknowledged, key=int) == list(range(1, 801)) == seqs_of(home)
    assert verify(home.log_files()).ok


def test_several_sessions_share_a_file(make: Make, log: Path, home: Home) -> None:
    sessions = [f"{n:032x}" for n in range(4)]
    journals = [make(session) for session in sessions]

    def writer(journal: Journal) -> Callable[[], None]:
        return lambda: [_note(journal, n) for n in range(200)] and None

    _all_at_once([writer(journal) for journal in journals])

    assert [seqs_of(home, session) for session in sessions] == [list(range(1, 201))] * 4
    assert verify([log]).ok


def test_a_session_is_continued_where_its_last_line_lies(make: Make, log: Path) -> None:
    _note(make())
    _note(make(OTHER))
    last = lines_of(log)[0]

    assert make(last_seq=1, links={log: link(last)}).append("death", "local", "T-0000", {}) == 2
    assert make(last_seq=2).append("death", "local", "T-0000", {}) == 3

    assert [(r["session"], r["seq"]) for r in read_by_hand(log)] == [
        (SESSION, 1),
        (OTHER, 1),
        (SESSION, 2),
        (SESSION, 3),
    ]


@pytest.mark.parametrize("tail", [b"torn", b'{"v":1,"kind":"late","session":"x"}', b"\xff\x00"])
def test_a_torn_tail_costs_the_next_record_nothing(make: Make, log: Path, tail: bytes) -> None:
    _note(make())
    with log.open("ab") as file:
        file.write(tail)

    _note(make(OTHER))

    assert lines_of(log)[1] == tail
    assert [len(verify([log]).damaged), verify([log]).records] == [1, 2]


def test_bytes_that_another_program_appends_are_noticed(make: Make, log: Path) -> None:
    journal = make()
    _note(journal)
    with log.open("ab") as file:
        file.write(b"noise")

    _note(journal)

    assert lines_of(log)[1] == b"noise"
    assert verify([log]).records == 2
    assert verify([log]).gaps == ()


@pytest.mark.parametrize("is_home", [True, False])
def test_a_deleted_log_is_made_anew(make: Make, home: Home, log: Path, is_home: bool) -> None:
    journal = make()
    _note(journal)
    if is_home:
        shutil.rmtree(home.root)
    else:
        log.unlink()
    _a_moment()

    assert _note(journal) == 2

    (record,) = read_by_hand(log)
    assert record["seq"] == 2
    assert (home.root / ".gitignore").read_text() == "*\n"


def test_a_renamed_log_is_left_and_a_new_one_begun(make: Make, log: Path) -> None:
    journal = make()
    _note(journal)
    log.rename(log.with_name("away"))
    _a_moment()

    assert _note(journal) == 2

    assert [r["seq"] for r in read_by_hand(log)] == [2]
    assert [r["seq"] for r in read_by_hand(log.with_name("away"))] == [1]


def test_a_log_replaced_by_its_copy_goes_on_in_the_chain(make: Make, log: Path) -> None:
    journal = make()
    _note(journal)
    _note(make(OTHER))
    copy = log.with_name("copy")
    shutil.copy(log, copy)
    copy.replace(log)
    _a_moment()

    assert _note(journal) == 2

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
        _note(journal, "x" * 40)

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
        return lambda: [_note(journal, "x" * 100) for n in range(150)] and None

    _all_at_once([writer(journal) for journal in journals])

    verdict = verify(home.log_files())
    assert (verdict.ok, verdict.records) == (True, 600)
    assert verdict.files > 10


def test_rotation_that_is_refused_does_not_stop_the_recording(make: Make, log: Path) -> None:
    journal = make(settings=JournalSettings(rotate_bytes=500))
    log.parent.mkdir(parents=True)
    if subprocess.run(["chattr", "+a", log.parent], capture_output=True, check=False).returncode:
        pytest.skip("this file system or user cannot forbid renaming in a directory")
    try:
        assert [_note(journal, "x" * 300) for _ in range(5)] == [1, 2, 3, 4, 5]
    finally:
        subprocess.run(["chattr", "-a", log.parent], check=True)

    assert [r["seq"] for r in read_by_hand(log)] == [1, 2, 3, 4, 5]


def test_only_a_few_files_stay_open(make: Make, home: Home) -> None:
    journal = make()
    for n in range(30):
        _note(journal, n, task=f"T-{n:04d}")
    journal.sync()

    assert _open_below(home) == 8
    assert [_note(journal, n, task=f"T-{n:04d}") for n in range(30)] == list(range(31, 61))
    assert verify(home.log_files()).ok
    journal.close()
    assert _open_below(home) == 0


def test_files_that_are_never_synced_do_not_pile_up(make: Make, home: Home) -> None:
    journal = make()
    for n in range(60):
        _note(journal, n, task=f"T-{n:04d}")

    assert _open_below(home) == 16
    journal.sync()
    assert _open_below(home) == 8


def test_a_closed_journal_writes_nothing(make: Make, log: Path) -> None:
    journal = make()
    _note(journal)
    journal.close()
    journal.close()
    journal.sync()

    assert _note(journal) is None
    assert len(read_by_hand(log)) == 1


def test_a_relative_home_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(Home(Path(".flow")), SESSION)
    monkeypatch.chdir("/")

    assert _note(journal) == 1
    journal.close()

    assert (tmp_path / ".flow" / "log" / "local" / "T-0000.jsonl").exists()


def test_an_append_inside_an_append_is_written_after_it(make: Make, log: Path) -> None:
    inner: list[int | None] = []

    def clock_that_appends() -> str:
        if not inner:
            inner.append(-1)
            inner[0] = _note(journal, "inner")
        return "now"

    journal = make(now=clock_that_appends)

    assert _note(journal, "outer") == 1
    assert inner == [None]
    assert [(r["seq"], r["text"]) for r in read_by_hand(log)] == [(1, "outer"), (2, "inner")]


def test_a_record_survives_a_nearly_full_stack(make: Make, log: Path) -> None:
    journal = make()
    _note(journal)

    with little_stack(10):
        seq = _note(journal)

    assert seq == 2
    assert len(read_by_hand(log)) == 2


def test_text_that_json_cannot_carry_is_recorded(make: Make, log: Path) -> None:
    journal = make()

    assert journal.append("late", "pl\ud800an", "ta\0sk", {"text": "\ud800\0"}) == 1
    assert _note(journal) == 2

    (path,) = set(Home(log.parents[2]).log_files()) - {log}
    (record,) = read_by_hand(path)
    assert (record["plan_id"], record["task_id"], record["text"]) == (
        "pl\\ud800an",
        "ta\\x00sk",
        "\\ud800\\x00",
    )


def test_on_a_network_file_system_each_session_has_its_file(make: Make, home: Home) -> None:
    settings = JournalSettings(rotate_bytes=1000)
    journals = [make(session, settings=settings, is_network=True) for session in (SESSION, OTHER)]

    for journal in journals * 8:
        _note(journal, "x" * 200)

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


def test_a_home_that_cannot_be_made_is_said_once_and_recorded_in_memory(
    make: Make, home: Home, log: Path
) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    home.root.write_text("in the way")

    assert [_note(journal, n) for n in range(5)] == [None] * 5
    assert journal.is_memory_only
    assert journal.last_seq == 5

    home.root.unlink()
    assert _note(journal, 5) == 6
    assert not journal.is_memory_only
    assert [(r["seq"], r["text"]) for r in read_by_hand(log)] == [(n + 1, n) for n in range(6)]
    assert said == [f"cannot write {log} (Not a directory); recording goes on in memory"]


def test_each_outage_is_said_once(make: Make, home: Home, log: Path) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    for _ in range(3):
        shutil.rmtree(home.root, ignore_errors=True)
        home.root.write_text("in the way")
        _a_moment()
        _note(journal)
        _note(journal)
        home.root.unlink()
        _note(journal)

    assert len(said) == 3
    assert [r["seq"] for r in read_by_hand(log)] == [7, 8, 9]


def test_one_refused_log_does_not_hold_up_the_others(make: Make, home: Home, log: Path) -> None:
    log.parent.mkdir(parents=True)
    log.mkdir()
    journal = make()

    assert _note(journal) is None
    assert _note(journal, task="T-0001") == 2
    log.rmdir()
    assert _note(journal, task="T-0001") == 3

    assert seqs_of(home) == [1, 2, 3]


def test_waiting_records_are_written_by_the_background_sync(
    make: Make, home: Home, log: Path
) -> None:
    journal = make()
    home.root.write_text("in the way")
    _note(journal)
    home.root.unlink()

    journal.sync()

    assert not journal.is_memory_only
    assert seqs_of(home) == [1]


def test_the_memory_for_waiting_records_is_bounded(make: Make, home: Home, log: Path) -> None:
    said: list[str] = []
    journal = make(settings=JournalSettings(backlog_bytes=10_000), on_trouble=said.append)
    home.root.write_text("in the way")
    for _ in range(100):
        _note(journal, "x" * 1000)
    kept = 100 - journal.dropped
    home.root.unlink()
    _note(journal)

    assert 0 < kept < 10
    assert [r["seq"] for r in read_by_hand(log)] == list(range(101 - kept, 102))
    assert [gap.after_seq for gap in verify([log]).gaps] == [0]


def test_a_record_larger_than_the_memory_is_dropped(make: Make, home: Home, log: Path) -> None:
    journal = make(settings=JournalSettings(backlog_bytes=1000))
    home.root.write_text("in the way")
    assert _note(journal, "x" * 2000) is None
    home.root.unlink()

    assert _note(journal) == 2
    assert (journal.dropped, journal.is_memory_only) == (1, False)


def test_what_could_never_be_written_is_said_at_the_end(make: Make, home: Home) -> None:
    said: list[str] = []
    journal = make(on_trouble=said.append)
    home.root.write_text("in the way")
    _note(journal)
    _note(journal)

    journal.close()

    assert said[1:] == [f"2 records could not be written to {home.root} and are lost"]


def test_a_listener_that_fails_does_not_break_the_cell(make: Make, home: Home) -> None:
    def fail(sentence: str) -> None:
        raise RuntimeError(sentence)

    home.root.write_text("in the way")

    assert _note(make(on_trouble=fail)) is None


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

    assert _note(make()) is None
    assert victim.exists() == (kind == "link")
    assert kind != "link" or victim.read_text() == "mine"


@pytest.mark.parametrize("moment", ["first", "ordinary", "rotation", "recovery", "neighbour"])
def test_an_interrupt_at_any_line_loses_and_doubles_nothing(tmp_path: Path, moment: str) -> None:
    """Raises KeyboardInterrupt at the first line run in an append, then the second, to the last."""
    at = 0
    settings = JournalSettings(rotate_bytes=500 if moment == "rotation" else 10**6)
    while True:
        at += 1
        home = Home(tmp_path / str(at) / ".flow")
        journal = Journal(home, SESSION, settings=settings)
        acknowledged = [_note(journal, n) for n in range(0 if moment == "first" else 3)]
        if moment == "recovery":
            shutil.rmtree(home.root)
            home.root.write_text("in the way")
            _a_moment()
            _note(journal)
            _note(journal)
            home.root.unlink()
        elif moment == "neighbour":
            other = Journal(home, OTHER)
            _note(other)
            other.close()
        was_interrupted = _interrupted(at, journal, acknowledged)
        acknowledged += [_note(journal, n) for n in range(3)]
        journal.close()

        # What was recorded before the recovery was deleted with the home.
        first = 4 if moment == "recovery" else 1
        assert seqs_of(home, SESSION) == list(range(first, journal.last_seq + 1)), at
        assert {seq for seq in acknowledged[first - 1 :] if seq} <= set(seqs_of(home)), at
        assert verify(home.log_files()).damaged == (), at
        if not was_interrupted:
            break
        shutil.rmtree(home.root)

    assert at > 25


def _interrupted(at: int, journal: Journal, acknowledged: list[int | None]) -> bool:
    # True when an append came to its `at`-th line in our code and was interrupted there.
    left = at

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        name = frame.f_code.co_filename
        if not name.endswith(_OURS):
            return None
        # `append` itself holds what CPython guards: no interrupt comes between `with`, `try` and
        # the first call, or inside `finally`.
        if event == "line" and not (
            name.endswith("journal.py") and frame.f_code.co_name == "append"
        ):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        acknowledged.append(_note(journal, "hit"))
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def _all_at_once(actions: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        try:
            barrier.wait(10)
            action()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def _open_below(home: Home) -> int:
    count = 0
    for entry in os.scandir("/proc/self/fd"):
        try:
            count += os.readlink(entry.path).startswith(str(home.log_dir))
        except OSError:
            continue
    return count
