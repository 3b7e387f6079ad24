"""`jupyter flow stats`: right counts, whatever counts them and whatever the log looks like."""

import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.shares import Share, blocks
from flow_kernel.apps.tally import Tally, tally
from flow_kernel.records.codec import encode
from flow_kernel.records.scan import read_records
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog

ENGINES = ["python", "duckdb"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """What counts."""
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return str(request.param)


@pytest.fixture
def home() -> Path:
    """The home of the working directory."""
    return Path(".flow").absolute()


def test_json_counts_cells_failures_and_time_per_task(cli: Cli, home: Path, engine: str) -> None:
    first = SampleLog(home)
    first.cell(elapsed_ms=0.1)
    first.failed(elapsed_ms=0.2)
    first.death(first.start("boom()"))
    first.hidden()
    second = SampleLog(home, task="T-0002", session="b" * 32)
    second.cell(elapsed_ms=1000)

    assert cli("stats", "--json", "--engine", engine).document == {
        "cells": 3,
        "failures": 1,
        "elapsed_ms": 1000.3,
        "tasks": [
            {
                "plan_id": "local",
                "task_id": "T-0001",
                "cells": 2,
                "failures": 1,
                "elapsed_ms": 0.3,
            },
            {
                "plan_id": "local",
                "task_id": "T-0002",
                "cells": 1,
                "failures": 0,
                "elapsed_ms": 1000.0,
            },
        ],
    }


def test_odd_logs_are_counted_alike_by_every_engine(cli: Cli, home: Path, engine: str) -> None:
    _odd_log(home)
    expected = _by_hand(sorted(home.glob("log/*/*.jsonl")))

    document = cli("stats", "--json", "--engine", engine).document

    assert document == expected
    assert document["cells"] == 10


def test_the_engines_agree_on_every_count(home: Path) -> None:
    pytest.importorskip("duckdb")
    from flow_kernel.apps.tally_duckdb import tally_duckdb

    _odd_log(home)
    clean = SampleLog(home, task="T-0009", session="c" * 32)
    for number in range(50):
        clean.cell(f"# {number}", elapsed_ms=number / 7)
        clean.failed(f"\n  boom({number % 3})")
    paths = sorted(home.glob("log/*/*.jsonl"))

    python, duckdb = tally(paths), tally_duckdb(paths)

    assert duckdb.groups == python.groups
    assert duckdb.failing == python.failing
    assert duckdb.damaged == python.damaged
    assert [c.elapsed_us for c in duckdb.slowest] == [c.elapsed_us for c in python.slowest]


def test_many_processes_count_what_one_counts(home: Path) -> None:
    _odd_log(home)
    log = SampleLog(home, task="T-0003", session="c" * 32)
    for number in range(200):
        log.cell("x" * (number * 37 % 5000), elapsed_ms=number)
    paths = sorted(home.glob("log/*/*.jsonl"))

    alone = tally(paths, processes=1)

    for processes in (2, 3, 7):
        assert tally(paths, processes=processes) == alone


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), max_size=12),
    st.booleans(),
    st.lists(st.integers(0, 120), max_size=4),
)
def test_shares_of_any_size_hold_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ends: bool, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("shares", numbered=True) / "log"
    data = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    path.write_bytes(data)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pairs = list(pairwise(edges))

    found = [
        (offset, bytes(block[:size]))
        for start, end in pairs
        for offset, block, size in blocks(Share(path=str(path), start=start, end=end))
    ]

    whole = data if data.endswith(b"\n") or not data else data + b"\n"
    assert b"".join(block for _, block in found) == whole
    assert all(data[offset : offset + len(block)] + b"\n" != block for offset, block in found[:-1])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_damage_is_counted_as_readers_of_the_log_see_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("damage", numbered=True)
    log = SampleLog(home)
    for number in range(4):
        log.cell(f"cell {number}", elapsed_ms=number)
        log.failed()
    content = bytearray(log.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    log.path.write_bytes(content[: data.draw(st.integers(0, len(content)))])

    counted = tally([log.path])

    expected = _by_hand([log.path])
    assert _totals(counted) == (
        expected["cells"],
        expected["failures"],
        round(expected["elapsed_ms"] * 1000),
    )


def test_any_glob_of_logs_is_summarised_once_each(cli: Cli, tmp_path: Path) -> None:
    for project in ("a", "b"):
        log = SampleLog(tmp_path / project / ".flow", session=project * 32)
        log.cell()
    pattern = str(tmp_path / "*" / ".flow" / "log" / "*" / "*.jsonl")
    path = str(tmp_path / "a/.flow/log/local/T-0001.jsonl")

    assert cli("stats", pattern, path, "--json").document["cells"] == 2
    assert cli("stats", path, path, "--json").document["cells"] == 1


def test_the_tables_show_tasks_days_slowest_and_failing(cli: Cli, home: Path) -> None:
    log = SampleLog(home, start=datetime(2026, 3, 2, 23, 59, 50, tzinfo=UTC))
    log.cell("slow()", elapsed_ms=90_000)
    log.failed("bad()")
    log.failed("bad()")
    log.failed("never()", ename="Aborted")
    for _ in range(3):
        log.cell("quick()", elapsed_ms=2)

    assert cli("stats", "--engine", "python").lines == [
        "7 cells · 3 failed (43 %) · 1 min 30 s of running · 1 task · 2 days",
        "",
        "task               cells   failed           running  a cell",
        "T-0001                 7        3  43 %  1 min 30 s  12.9 s",
        "",
        "day                cells   failed           running  a cell",
        "Tue 03 Mar 2026        3        0              6 ms    2 ms",
        "Mon 02 Mar 2026        4        3  75 %  1 min 30 s  22.5 s",
        "",
        "   slowest  task    seq  cell",
        "1 min 30 s  T-0001    2  slow()",
        "     41 ms  T-0001    8  never()",
        "     41 ms  T-0001    6  bad()",
        "     41 ms  T-0001    4  bad()",
        "      2 ms  T-0001   10  quick()",
        "",
        "failed  error              cell",
        "     2  ZeroDivisionError  bad()",
    ]


def test_days_are_those_of_the_reader(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    SampleLog(home, start=datetime(2026, 3, 2, 18, 29, 0, tzinfo=UTC)).cell()
    later = SampleLog(home, session="b" * 32, start=datetime(2026, 3, 2, 18, 30, 0, tzinfo=UTC))
    later.cell()

    days = [line.split()[:2] for line in cli("stats", "--engine", "python").lines if "Mar" in line]

    assert days == [["Tue", "03"], ["Mon", "02"]]


def test_damage_is_not_counted_and_said(cli: Cli, home: Path, engine: str) -> None:
    log = SampleLog(home)
    log.cell()
    whole = log.path.read_bytes()
    log.path.write_bytes(whole.replace(b"41.2", b"99.9") + b"garbage\n")

    done = cli("stats", "--json", "--engine", engine)

    assert done.document == {"cells": 0, "failures": 0, "elapsed_ms": 0.0, "tasks": []}
    assert done.err == "2 damaged lines not counted; try: jupyter flow check\n"


def test_without_duckdb_its_engine_names_the_extra(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SampleLog(home).cell()
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)

    done = cli("stats", "--engine", "duckdb")

    assert (done.code, done.err) == (
        2,
        'jupyter flow: DuckDB is not installed; try: pip install "flow_kernel[stats]"\n',
    )


def _odd_log(home: Path) -> None:
    """A log with everything that could be read in two ways; ten of its cells count."""
    log = SampleLog(home, plan='pl"an\\é', task="T-0001")
    log.cell('\'\\n"kind":"cell"\'', elapsed_ms=1.2345)
    log.failed('print("日本", "success")', ename="E\u2028rror")
    log.cell("\x1b[0m", elapsed_ms=0)
    log.cell("x", elapsed_ms=12345678.9)
    other = SampleLog(home, plan="Ω", task="aufgabe ✓", session="b" * 32, file="odd.jsonl")
    other.cell(elapsed_ms=None)
    other.cell(success=None)
    other.cell("huge" * 200_000)
    other.raw(b"\n\n")
    # The same record with its fields in another order, and one with an escaped id.
    fields = {
        "kind": "cell",
        "task_id": "Ω",
        "plan_id": "Ω",
        "timestamp": "2026-03-02T10:00:00.000Z",
    }
    other.raw(encode({**fields, "elapsed_ms": 7, "success": False, "seq": 1, "v": 1}) + b"\n")
    torn = SampleLog(home, task="T-0002", session="c" * 32)
    torn.cell(elapsed_ms=5)
    whole = torn.path.read_bytes()
    torn.raw(whole[:300])
    torn.raw(b"\n" + whole.replace(b'"success":true', b'"success":false'))
    torn.raw(b'{"v":1,"kind":"cell","no":"checksum"}\n[1,2]\nnull\n')
    torn.raw(whole.rstrip(b"\n"))


def _by_hand(paths: list[Path]) -> dict[str, Any]:
    tasks: dict[tuple[str, str], list[int]] = {}
    for record in read_records(paths):
        if record["kind"] != "cell":
            continue
        sums = tasks.setdefault((str(record["plan_id"]), str(record["task_id"])), [0, 0, 0])
        elapsed = record["elapsed_ms"]
        sums[0] += 1
        sums[1] += record["success"] is False
        sums[2] += int(elapsed * 1000 + 0.5) if isinstance(elapsed, int | float) else 0
    facts = [
        {"plan_id": p, "task_id": t, "cells": c, "failures": f, "elapsed_ms": us / 1000}
        for (p, t), (c, f, us) in sorted(tasks.items())
    ]
    return {
        "cells": sum(sums[0] for sums in tasks.values()),
        "failures": sum(sums[1] for sums in tasks.values()),
        "elapsed_ms": sum(sums[2] for sums in tasks.values()) / 1000,
        "tasks": facts,
    }


def _totals(counted: Tally) -> tuple[int, int, int]:
    groups = list(counted.groups.values())
    return sum(g[0] for g in groups), sum(g[1] for g in groups), sum(g[2] for g in groups)
