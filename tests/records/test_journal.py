"""What a journal writes: headers, numbers, chains; with threads, sessions and odd content."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow_kernel.records.codec import link
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.records.scan import verify
from tests.records.journals import (
    NO_LINK,
    OTHER,
    SESSION,
    Make,
    all_at_once,
    journals_on,
    lines_of,
    little_stack,
    note,
    read_by_hand,
    seqs_of,
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

    seqs = [note(journal, n, task=f"T-000{n % 3}") for n in range(9)]

    assert seqs == list(range(1, 10)) == seqs_of(home)
    assert journal.last_seq == 9
    assert len(home.log_files()) == 3
    assert verify(home.log_files()).ok


def test_files_are_private(make: Make, log: Path, home: Home) -> None:
    note(make())

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

    assert note(journal) == 1


def test_several_threads_share_a_journal(make: Make, home: Home) -> None:
    journal = make()
    acknowledged: list[int | None] = []

    def write() -> None:
        for n in range(200):
            acknowledged.append(note(journal, n, task=f"T-000{n % 2}"))  # noqa: PERF401 - threads

    all_at_once([write] * 4)

    assert sorted(acknowledged, key=int) == list(range(1, 801)) == seqs_of(home)
    assert verify(home.log_files()).ok


def test_several_sessions_share_a_file(make: Make, log: Path, home: Home) -> None:
    sessions = [f"{n:032x}" for n in range(4)]
    journals = [make(session) for session in sessions]

    def writer(journal: Journal) -> Callable[[], None]:
        return lambda: [note(journal, n) for n in range(200)] and None

    all_at_once([writer(journal) for journal in journals])

    assert [seqs_of(home, session) for session in sessions] == [list(range(1, 201))] * 4
    assert verify([log]).ok


def test_a_session_is_continued_where_its_last_line_lies(make: Make, log: Path) -> None:
    note(make())
    note(make(OTHER))
    last = lines_of(log)[0]

    assert make(last_seq=1, links={log: link(last)}).append("death", "local", "T-0000", {}) == 2
    assert make(last_seq=2).append("death", "local", "T-0000", {}) == 3

    assert [(r["session"], r["seq"]) for r in read_by_hand(log)] == [
        (SESSION, 1),
        (OTHER, 1),
        (SESSION, 2),
        (SESSION, 3),
    ]


def test_a_closed_journal_writes_nothing(make: Make, log: Path) -> None:
    journal = make()
    note(journal)
    journal.close()
    journal.close()
    journal.sync()

    assert note(journal) is None
    assert len(read_by_hand(log)) == 1


def test_a_relative_home_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(Home(Path(".flow")), SESSION)
    monkeypatch.chdir("/")

    assert note(journal) == 1
    journal.close()

    assert (tmp_path / ".flow" / "log" / "local" / "T-0000.jsonl").exists()


def test_an_append_inside_an_append_is_written_after_it(make: Make, log: Path) -> None:
    inner: list[int | None] = []

    def clock_that_appends() -> str:
        if not inner:
            inner.append(-1)
            inner[0] = note(journal, "inner")
        return "now"

    journal = make(now=clock_that_appends)

    assert note(journal, "outer") == 1
    assert inner == [None]
    assert [(r["seq"], r["text"]) for r in read_by_hand(log)] == [(1, "outer"), (2, "inner")]


def test_a_record_survives_a_nearly_full_stack(make: Make, log: Path) -> None:
    journal = make()
    note(journal)

    with little_stack(10):
        seq = note(journal)

    assert seq == 2
    assert len(read_by_hand(log)) == 2


def test_text_that_json_cannot_carry_is_recorded(make: Make, log: Path) -> None:
    journal = make()

    assert journal.append("late", "pl\ud800an", "ta\0sk", {"text": "\ud800\0"}) == 1
    assert note(journal) == 2

    (path,) = set(Home(log.parents[2]).log_files()) - {log}
    (record,) = read_by_hand(path)
    assert (record["plan_id"], record["task_id"], record["text"]) == (
        "pl\\ud800an",
        "ta\\x00sk",
        "\\ud800\\x00",
    )
