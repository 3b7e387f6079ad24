"""Reading logs: whatever is damaged is named, and costs itself and nothing else."""

import json
import tempfile
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.codec import NO_PREVIOUS, fill, link, template
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.lines import STRAY
from flow_kernel.records.scan import Damage, Gap, read_records, scan_file, verify, verify_home
from flow_kernel.settings import JournalSettings
from tests.records.journals import OTHER, SESSION, few, many

_NO_CHECKSUM = "no checksum at the end of the line"
_WRONG_CHECKSUM = "the checksum does not match the line"


def _chain(count: int, *, session: str = SESSION, size: int = 20, first: int = 1) -> list[bytes]:
    """So many lines of one session, as a journal writes them."""
    start = template("late", session, "local", "T-0000")
    lines: list[bytes] = []
    for n in range(first, first + count):
        prev = link(lines[-1]) if lines else NO_PREVIOUS
        lines.append(fill(start, n, "2026-11-21T01:02:03.456Z", prev, {"text": "é" * size}))
    return lines


def _write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _seqs(path: Path) -> list[object]:
    return [record["seq"] for record in read_records([path])]


def test_an_undamaged_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = _chain(3)
    path = _write(tmp_path / "log", lines)

    found = list(scan_file(path))

    assert [(f.file, f.line, f.raw, f.reason) for f in found] == [
        (path, n, line, None) for n, line in enumerate(lines, 1)
    ]
    assert [f.offset for f in found] == [0, len(lines[0]) + 1, len(lines[0]) + len(lines[1]) + 2]
    assert [f.record for f in found] == [json.loads(line) for line in lines]
    assert [f.record for f in scan_file(path, offset=found[1].offset)] == [
        json.loads(line) for line in lines[1:]
    ]


_THREE = _chain(3, size=3)
_WHOLE = b"".join(line + b"\n" for line in _THREE)
_NEWLINES = [at for at, byte in enumerate(_WHOLE) if byte == ord("\n")]


@many
@given(st.integers(0, len(_WHOLE) - 1) | st.sampled_from(_NEWLINES), st.integers(1, 255))
def test_any_changed_byte_is_named_and_costs_its_record_only(at: int, flip: int) -> None:
    with _file() as path:
        path.write_bytes(_WHOLE[:at] + bytes([_WHOLE[at] ^ flip]) + _WHOLE[at + 1 :])
        hit = 1 + _WHOLE[:at].count(b"\n")
        verdict = verify([path])

        assert verdict.damaged
        assert {damage.line for damage in verdict.damaged} <= {hit, hit + 1}
        # A newline belongs to no record, and costs none.
        assert set(_seqs(path)) == {1, 2, 3} - ({hit} if at not in _NEWLINES else set())


def test_any_truncation_costs_the_last_record_only() -> None:
    with _file() as path:
        for end in range(len(_WHOLE)):
            path.write_bytes(_WHOLE[:end])
            left = _WHOLE[:end].split(b"\n")
            torn = left[-1] if left[-1] not in _THREE else b""
            verdict = verify([path])

            assert verdict.records == sum(line in _THREE for line in left), end
            assert verdict.gaps == ()
            assert verdict.damaged == (
                (Damage(file=path, line=len(left), offset=end - len(torn), reason="torn"),)
                if torn
                else ()
            ), end


@few
@given(st.lists(st.binary(max_size=60)), st.integers(0, 3))
def test_noise_of_any_kind_hides_no_record(noise: list[bytes], first: int) -> None:
    lines = _chain(4)
    mixed = [*lines[:first], *noise, *lines[first:]]
    with _file() as path:
        _write(path, mixed)

        assert _seqs(path) == [1, 2, 3, 4]
        assert verify([path]).ok == (not any(noise))


@pytest.mark.parametrize("glue", [b"", b"?", b":", b"\r", b"\0" * 3000, b'{"v":1,"kind":"la'])
def test_a_damaged_newline_costs_no_record(tmp_path: Path, glue: bytes) -> None:
    one, two, three = _chain(3)
    path = tmp_path / "log"
    path.write_bytes(one + glue + two + b"\n" + three + b"\n")

    assert _seqs(path) == [1, 2, 3]
    stray = Damage(file=path, line=1, offset=len(one), reason=STRAY)
    assert verify([path]).damaged == ((stray,) if glue else ())
    assert [line.raw for line in scan_file(path)] == [raw for raw in (one, glue, two, three) if raw]


def test_a_record_inside_a_damaged_record_is_not_read_as_one(tmp_path: Path) -> None:
    (inner,) = _chain(1, session=OTHER)
    start = template("context", SESSION, "local", "T-0000")
    outer = fill(start, 1, "now", NO_PREVIOUS, {"values": [json.loads(inner)], "x": "y"})
    assert inner in outer
    path = _write(tmp_path / "log", [outer.replace(b'"y"', b'"z"')])

    assert _seqs(path) == []
    assert [damage.reason for damage in verify([path]).damaged] == [_WRONG_CHECKSUM]


def test_a_line_full_of_false_records_is_read_in_bounded_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"v":1,"crc":"00000000"}' * 20_000 + b"\n" + _chain(1)[0])

    assert _seqs(path) == [1]
    assert len(verify([path]).damaged) == 1


def test_empty_lines_are_no_damage(tmp_path: Path) -> None:
    one, two = _chain(2)
    path = tmp_path / "log"
    path.write_bytes(b"\n\n" + one + b"\n\n" + two)

    assert [(line.line, line.offset) for line in scan_file(path)] == [(3, 2), (5, 4 + len(one))]
    assert verify([path]).ok


def test_lines_of_any_length_are_read_over_all_block_borders(tmp_path: Path) -> None:
    mega = 2**20
    sizes = [1, mega // 2, mega // 4 - 200, 10, 3 * mega, 5, mega // 2 - 107, 0, 7]
    start = template("late", SESSION, "local", "T-0000")
    lines: list[bytes] = []
    for n, size in enumerate(sizes, 1):
        prev = link(lines[-1]) if lines else NO_PREVIOUS
        lines.append(fill(start, n, "now", prev, {"text": "x" * size}))
    path = _write(tmp_path / "log", lines)

    assert [line.raw for line in scan_file(path)] == lines
    assert verify([path]).ok


def test_the_memory_to_verify_a_file_does_not_grow_with_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "log", _chain(20_000, size=200))
    tracemalloc.start()
    try:
        assert verify([path]).records == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert path.stat().st_size > 10_000_000
    assert peak < 5_000_000


def test_a_missing_record_is_a_gap(tmp_path: Path) -> None:
    one, two, three, four = _chain(4)
    path = _write(tmp_path / "log", [one, three, four])
    late = _write(tmp_path / "late", [three, four])

    assert verify([path]).gaps == (Gap(session=SESSION, after_seq=1),)
    assert verify([path]).damaged == ()
    assert verify([late]).gaps == (Gap(session=SESSION, after_seq=0),)
    assert verify([_write(tmp_path / "all", [one, two, three, four])]).ok


def test_numbers_are_counted_over_all_files_and_sessions(tmp_path: Path) -> None:
    mine, other = _chain(6), _chain(5, session=OTHER)
    first = _write(tmp_path / "1", [mine[0], other[0], mine[4]])
    second = _write(tmp_path / "2", [mine[5], mine[1], other[3], other[4]])

    assert verify([first, second]).gaps == (
        Gap(session=OTHER, after_seq=1),
        Gap(session=SESSION, after_seq=2),
    )
    assert (
        verify(
            [first, second], pruned={SESSION: [(3, 4)], OTHER: [(2, 2), (3, 3)], "a" * 32: [(7, 9)]}
        ).gaps
        == ()
    )


def test_a_line_exchanged_for_another_valid_one_breaks_the_chain(tmp_path: Path) -> None:
    lines = _chain(3)
    start = template("late", SESSION, "local", "T-0000")
    forged = fill(start, 2, "now", link(lines[0]), {"text": "forged"})
    path = _write(tmp_path / "log", [lines[0], forged, lines[2]])

    (damage,) = verify([path]).damaged
    assert (damage.line, damage.reason) == (3, "prev is not that of the line before")


def test_a_chain_goes_on_after_a_damaged_line(tmp_path: Path) -> None:
    one, two, three = _chain(3)
    path = _write(tmp_path / "log", [one, two.replace("é".encode(), "è".encode()), three])

    verdict = verify([path])
    assert [damage.line for damage in verdict.damaged] == [2]
    assert verdict.gaps == (Gap(session=SESSION, after_seq=1),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1',
        b'{"session":1,"seq":1',
        b'{"session":"x","seq":true',
        b'{"session":"x","seq":18446744073709551615',
    ],
)
def test_a_checksum_alone_makes_no_record_of_a_session(tmp_path: Path, body: bytes) -> None:
    path = _write(tmp_path / "log", [body + b',"crc":"%08x"}' % zlib.crc32(body)])

    (damage,) = verify([path]).damaged
    assert damage.reason == "the record has no session or no number"


def test_the_verdict_as_a_document(tmp_path: Path) -> None:
    one, _, three = _chain(3)
    path = _write(tmp_path / "log", [one, b"noise", three])

    assert verify([path]).as_json() == {
        "ok": False,
        "files": 1,
        "records": 2,
        "damaged": [{"file": str(path), "line": 2, "offset": len(one) + 1, "reason": _NO_CHECKSUM}],
        "gaps": [{"session": SESSION, "after_seq": 1}],
    }
    assert verify([]).as_json() == {
        "ok": True,
        "files": 0,
        "records": 0,
        "damaged": [],
        "gaps": [],
    }


def test_a_log_that_is_not_there_or_not_readable_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no log file"):
        verify([tmp_path / "missing"])
    with pytest.raises(StoreError, match="Is a directory"):
        list(scan_file(tmp_path))

    assert list(read_records([tmp_path / "missing"])) == []


def test_logs_are_sound_at_every_moment_of_their_writing(tmp_path: Path) -> None:
    """A writer appends lines of many pages to two tasks, which a reader could see half written."""
    home = Home(tmp_path)
    journal = Journal(home, SESSION)

    def write() -> None:
        for n in range(200):
            journal.append("late", "local", f"T-000{n % 2}", {"text": "x" * 50_000})

    thread = threading.Thread(target=write)
    thread.start()
    verdicts = []
    while thread.is_alive():
        verdicts.append(verify_home(home))
    thread.join()
    journal.close()

    assert [verdict.as_json() for verdict in verdicts if not verdict.ok] == []
    assert verify(home.log_files()).records == 200


def test_logs_are_sound_at_every_moment_of_their_rotation(tmp_path: Path) -> None:
    home = Home(tmp_path)
    journal = Journal(home, SESSION, settings=JournalSettings(rotate_bytes=3000))

    def write() -> None:
        for n in range(1500):
            journal.append("late", "local", f"T-000{n % 2}", {"text": "x" * 300})

    thread = threading.Thread(target=write)
    thread.start()
    verdicts = []
    while thread.is_alive():
        verdicts.append(verify_home(home))
    thread.join()
    journal.close()

    assert [verdict.as_json() for verdict in verdicts if not verdict.ok] == []
    assert verify(home.log_files()).records == 1500


@contextmanager
def _file() -> Iterator[Path]:
    # An example of hypothesis cannot have a fixture of its own.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "log"
