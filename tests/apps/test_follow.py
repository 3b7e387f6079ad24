"""`jupyter flow log --follow`: every new record once, across rotation and new files."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.follow import Follower
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog


@pytest.fixture
def home() -> Path:
    """The home of the working directory."""
    return Path(".flow").absolute()


def test_new_records_appear_as_stored_while_the_log_rotates_and_tasks_begin(
    cli: Cli, home: Path
) -> None:
    log = SampleLog(home)
    log.put("cell", code="before")

    with _following(cli, "--json") as lines:
        seen = [next(lines)]
        log.put("cell", code="after")
        seen.append(next(lines))
        log.path.rename(log.path.with_name("T-0001.1.jsonl"))
        log.put("cell", code="rotated")
        seen.append(next(lines))
        other = SampleLog(home, task="T-0002", session="b" * 32)
        other.put("cell", code="other task")
        seen.append(next(lines))

    assert [json.loads(line)["code"] for line in seen] == [
        "before",
        "after",
        "rotated",
        "other task",
    ]
    stored = b"".join(path.read_bytes() for path in home.glob("log/*/*.jsonl"))
    assert sorted(stored.splitlines()) == sorted(line.rstrip(b"\n") for line in seen)


def test_it_waits_for_a_home_that_has_no_log_yet(cli: Cli, home: Path) -> None:
    home.mkdir()
    with _following(cli, "--json") as lines:
        SampleLog(home).put("cell", code="first")
        assert json.loads(next(lines))["code"] == "first"


def test_a_limit_counts_only_what_was_there_at_the_start(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    for number in range(5):
        log.put("cell", code=f"old {number}")

    with _following(cli, "--json", "--limit", "1") as lines:
        assert json.loads(next(lines))["code"] == "old 4"
        log.put("cell", code="new 1")
        log.put("cell", code="new 2")
        assert [json.loads(next(lines))["code"] for _ in range(2)] == ["new 1", "new 2"]


def test_filters_hold_for_new_records_too(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    with _following(cli, "--json", "--failed", "--task", "T-0001") as lines:
        log.cell("fine")
        SampleLog(home, task="T-0002", session="b" * 32).failed("other task")
        log.failed("bad")
        assert json.loads(next(lines))["code"] == "bad"


def test_the_table_grows_by_one_row_a_cell(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("first()")

    with _following(cli) as lines:
        head = [next(lines) for _ in range(3)]
        log.failed("second()")
        row, note = next(lines), next(lines)

    assert [b"first()" in line for line in head] == [False, False, True]
    assert b"second()" in row
    assert b"ZeroDivisionError" in note


def test_it_ends_by_itself_when_nobody_reads(cli: Cli, home: Path) -> None:
    SampleLog(home).cell()

    with cli.apart("log", "--follow", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0


def test_a_line_is_given_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    follower = Follower(lambda: [path])

    path.write_bytes(b"one\ntw")
    first = follower.poll()
    with path.open("ab") as file:
        file.write(b"o\n\nthree\n")

    assert (first, follower.poll(), follower.poll()) == ([b"one"], [b"two", b"three"], [])


def test_a_file_that_was_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old line\n")
    follower = Follower(lambda: [path])
    follower.poll()

    path.write_bytes(b"new line, which is longer\n")

    assert follower.poll() == [b"new line, which is longer"]


def test_a_file_renamed_between_listing_and_opening_is_not_read_again(tmp_path: Path) -> None:
    path, renamed = tmp_path / "a.jsonl", tmp_path / "a.1.jsonl"
    listed = [path]
    follower = Follower(lambda: listed)
    path.write_bytes(b"one\n")
    first = follower.poll()

    path.rename(renamed)
    missed = follower.poll()
    listed[:] = [renamed]
    _append(renamed, b"two\n")

    assert (first, missed, follower.poll()) == ([b"one"], [], [b"two"])


def test_what_was_read_before_is_skipped_whatever_the_file_is_called_now(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo")
    follower = Follower(lambda: sorted(tmp_path.glob("*.jsonl")))

    follower.skip(b"one", b"two", len(b"one\ntwo"))
    _append(path, b"\nthree\n")
    path.rename(tmp_path / "a.1.jsonl")
    path.write_bytes(b"four\n")

    assert sorted(follower.poll()) == [b"four", b"three"]


def test_after_a_repair_only_new_lines_are_given(cli: Cli, home: Path) -> None:
    log = SampleLog(home)
    log.cell("one")
    log.raw(b"damage\n")
    log.cell("two")
    follower = Follower(lambda: [log.path])
    before = follower.poll()

    assert cli("check", "--repair").code == 0
    repaired = follower.poll()
    log.cell("three")

    assert (len(before), repaired, len(follower.poll())) == (5, [], 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["append", "part", "rotate", "poll", "task"]), max_size=30))
def test_each_line_is_given_once_whatever_happens_to_the_files(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        follower = Follower(lambda: sorted(root.glob("*.jsonl")))
        name, count, pending, written, seen = "a", 0, b"", [], []
        for step in steps:
            path = root / f"{name}.jsonl"
            if step == "append":
                count += 1
                pending += f"line {count}".encode()
                written.append(pending)
                _append(path, f"line {count}\n".encode())
                pending = b""
            elif step == "part":
                count += 1
                part = f"part {count} ".encode()
                pending += part
                _append(path, part)
            elif step == "rotate" and path.exists() and not pending:
                path.rename(root / f"{name}.{count}.jsonl")
            elif step == "task" and not pending:
                name += "b"
            elif step == "poll":
                seen += follower.poll()
        seen += follower.poll()

        assert sorted(seen) == sorted(written)


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, data)
    os.close(fd)


@contextmanager
def _following(cli: Cli, *options: str) -> Iterator[Iterator[bytes]]:
    with cli.apart("log", "--follow", *options) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout.readline, b"")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
