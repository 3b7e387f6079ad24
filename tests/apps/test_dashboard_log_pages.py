"""Pages of the log: each record once, the newest first, whatever is written and rotated between."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.apps.server import log_pages
from flow_kernel.apps.server.log_pages import Record, Wanted, find_record, page_of
from flow_kernel.apps.server.records import SHOWN, wanted_of
from flow_kernel.apps.sources import Filter
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.backward import numbered_backward
from flow_kernel.records.codec import encode
from flow_kernel.records.home import Home
from tests.records.journals import few, many

SESSION = "5e" * 16
ANY = Wanted()


def line(task: str, seq: int, at: int, **fields: object) -> bytes:
    """A record as a journal writes it; `at` is its second."""
    body = {
        "v": 1,
        "kind": "cell",
        "session": SESSION,
        "seq": seq,
        "plan_id": "local",
        "task_id": task,
        "timestamp": f"2026-11-21T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}.000Z",
        "prev": "0" * 16,
        "success": True,
        "code": f"x = {seq}",
        **fields,
    }
    return encode(body)


def write(home: Home, task: str, *lines: bytes) -> Path:
    path = home.log_path("local", task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(each + b"\n" for each in lines))
    return path


def seqs(records: list[Record]) -> list[object]:
    return [record["seq"] for record in records]


def all_pages(home: Home, wanted: Wanted = ANY, *, limit: int = 3) -> list[object]:
    found, cursor = [], ""
    for _ in range(1000):
        page = page_of(home, wanted, limit=limit, cursor=cursor)
        found += seqs(page.records)
        if page.cursor is None:
            return found
        cursor = page.cursor
    raise AssertionError("the pages do not end")


@many
@given(data=st.lists(st.binary(max_size=12), max_size=20))
def test_lines_from_the_end_are_those_of_the_file_with_their_places(data: list[bytes]) -> None:
    whole = b"\n".join(data)
    expected, at = [], 0
    for each in whole.split(b"\n"):
        if each:
            expected.append((at, each))
        at += len(each) + 1
    fd = os.memfd_create("lines")
    try:
        os.write(fd, whole)
        found = [*numbered_backward(fd, len(whole))]
    finally:
        os.close(fd)

    assert found == expected[::-1]


@few
@given(
    tasks=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    limit=st.integers(1, 7),
)
def test_all_pages_together_hold_each_record_once_and_the_newest_first(
    tasks: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(tmp_path_factory.mktemp("home") / ".flow")
    for seq, task in enumerate(tasks, 1):
        write(home, f"T-000{task}", line(f"T-000{task}", seq, seq))

    assert all_pages(home, limit=limit) == [*range(len(tasks), 0, -1)]


def test_what_is_written_or_rotated_between_two_pages_changes_nothing_about_the_second(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / ".flow")
    path = write(home, "T-0001", *(line("T-0001", seq, seq) for seq in range(1, 11)))
    first = page_of(home, ANY, limit=4)
    path.rename(path.with_name("T-0001.1.jsonl"))
    write(home, "T-0001", line("T-0001", 11, 11))
    write(home, "T-0002", line("T-0002", 12, 12))

    second = page_of(home, ANY, limit=20, cursor=first.cursor or "")

    assert seqs(first.records) == [10, 9, 8, 7]
    assert seqs(second.records) == [6, 5, 4, 3, 2, 1]
    assert second.cursor is None


def test_a_file_that_is_older_than_the_page_is_not_opened(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    old = write(home, "T-0001", line("T-0001", 1, 1))
    os.utime(old, (1_000_000_000, 1_000_000_000))
    write(home, "T-0002", *(line("T-0002", seq, seq) for seq in range(2, 9)))

    page = page_of(home, ANY, limit=3)

    assert seqs(page.records) == [8, 7, 6]
    assert page.cursor is not None
    assert f"{old.stat().st_ino:x}." not in page.cursor
    assert all_pages(home) == [8, 7, 6, 5, 4, 3, 2, 1]


def test_damaged_and_torn_lines_are_passed_over(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    bad = line("T-0001", 2, 2).replace(b"x = 2", b"x = 7")
    path = write(home, "T-0001", line("T-0001", 1, 1), bad, b"{}", b"\0\xff", line("T-0001", 3, 3))
    with path.open("ab") as file:
        file.write(line("T-0001", 4, 4)[:40])

    assert all_pages(home) == [3, 1]


def test_a_search_that_finds_nothing_ends_with_its_budget_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / ".flow")
    lines = [line("T-0001", seq, seq) for seq in range(1, 201)]
    lines[3] = line("T-0001", 4, 4, code="needle = 1")
    write(home, "T-0001", *lines)
    monkeypatch.setattr(log_pages, "BUDGET_BYTES", 20 * len(lines[100]))
    wanted = wanted_of(Filter(), show="all", text="NEEDLE")

    first = page_of(home, wanted, limit=5)

    assert (first.records, first.is_cut, first.cursor is None) == ([], True, False)
    assert first.until == "2026-11-21T00:03:00.000Z"
    assert first.total_bytes == sum(len(each) + 1 for each in lines)
    assert 0 < first.total_bytes - first.left_bytes < 25 * len(lines[100])
    last = page_of(home, wanted, limit=5, cursor=first.cursor or "")
    while last.cursor:
        assert last.left_bytes < first.left_bytes
        first, last = last, page_of(home, wanted, limit=5, cursor=last.cursor)
    assert last.left_bytes == 0
    assert all_pages(home, wanted, limit=5) == [4]


def test_a_search_looks_through_what_a_person_reads_and_not_through_keys(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    write(
        home,
        "T-0001",
        line("T-0001", 1, 1, stdout="Größe 5", vars={"verkauft": {"type": "int"}}),
        line("T-0001", 2, 2, error={"ename": "KeyError", "evalue": "'x'", "traceback": []}),
        line("T-0001", 3, 3, kind="hidden", count=1),
    )

    def found(text: str, show: str = "all") -> list[object]:
        return all_pages(home, wanted_of(Filter(), show=show, text=text))

    assert found("größe") == [1]
    assert found("verkauft int") == [1]
    assert found("keyerror") == [2]
    assert found("stdout") == []
    assert found(SESSION) == []
    assert found("", "all") == [3, 2, 1]
    assert found("", "cells") == [2, 1]


def test_failures_are_the_cells_that_failed_and_deaths(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    write(
        home,
        "T-0001",
        line("T-0001", 1, 1),
        line("T-0001", 2, 2, success=False),
        line("T-0001", 3, 3, kind="death", reason="killed"),
        line("T-0001", 4, 4, code="print('\"success\":true')", success=False),
    )

    assert all_pages(home, wanted_of(Filter(), show="failed")) == [4, 3, 2]


def test_one_record_is_found_wherever_it_lies(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    path = write(home, "T-0001", *(line("T-0001", seq, seq) for seq in (1, 2)))
    path.rename(path.with_name("T-0001.1.jsonl"))
    write(home, "T-0001", line("T-0001", 3, 3, code='"session":"x","seq":2,'))
    where = Filter(plan_id="local", task_id="T-0001")

    assert find_record(home, where, session=SESSION, seq=2)["code"] == "x = 2"
    with pytest.raises(NotFound, match="there is no record 4"):
        find_record(home, where, session=SESSION, seq=4)
    with pytest.raises(NotFound):
        find_record(home, replace(where, task_id="T-0002"), session=SESSION, seq=2)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "1.2",
        "9~",
        "9~1.",
        "9~1.2-",
        "9~-1.2",
        "9~1.2.3",
        "9~1.2 ",
        "9~g.1",
        "9~1.2\n",
        "x~1.2",
    ],
)
def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(UsageError, match="is no cursor"):
        page_of(Home(tmp_path), ANY, limit=1, cursor=cursor)


def test_a_cursor_of_files_that_have_gone_is_the_end(tmp_path: Path) -> None:
    page = page_of(Home(tmp_path), ANY, limit=1, cursor="9~1.ffffffffff")

    assert (page.records, page.cursor) == ([], None)


def test_every_kind_of_record_can_be_shown() -> None:
    assert set().union(*SHOWN.values()) == SHOWN["all"]
