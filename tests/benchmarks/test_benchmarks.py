"""The benchmarks run: their machinery, never their figures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).with_name("run.py")
CHECKPOINTS = RUN.with_name("checkpoints.py")
POOLS = RUN.with_name("pools.py")
WHERE = RUN.with_name("where.py")


def call(*arguments: str, script: Path = RUN) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_list_names_every_benchmark_with_what_it_measures() -> None:
    done = call("--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names))
    assert {
        "recorder_cpu_200",
        "recorder_cpu_5000",
        "recorder_cpu_100000",
        "round_trip",
        "first_print",
        "prints_100k",
        "lines_50_mb",
        "displays_2000",
        "imports_diff",
        "journal_append",
        "rss_growth",
        "import_time",
        "cold_start",
        "stats_1m_python",
        "context_update",
        "context_4_writers",
        "store_open",
        "suggest_10k",
        "context_read",
    } <= set(names)


def test_a_quick_benchmark_writes_its_result_and_the_table_for_readme(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = call("imports_diff", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert {key: document[key] for key in ("format", "table", "quick", "asked")} == {
        "format": 2,
        "table": "benchmarks",
        "quick": True,
        "asked": ["imports_diff"],
    }
    assert document["failed"] == {}
    (result,) = document["results"]
    for measured in (
        "value",
        "spread",
        "peer_value",
        "ratio",
        "ratio_spread",
        "peer_beside_itself",
    ):
        assert result.pop(measured) is not None
    assert result == {
        "name": "imports_diff",
        "title": "finding new modules among 3,000",
        "unit": "us",
        "samples": 3,
        "peer": "set(sys.modules) - before",
        "target": "≤ 2 us",
        "meets": None,
        "note": "",
        "benchmark": "imports_diff",
        "family": "micro",
    }
    table = call("--readme", str(file)).stdout.splitlines()
    assert table[0] == "<!-- benchmarks: start -->"
    assert table[-1] == "<!-- benchmarks: end -->"
    assert table[3].startswith("| finding new modules among 3,000 | ")


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        (
            "output",
            {
                "first_print": "≤ 10 ms",
                "prints_100k": "≤ 0.35x",
                "lines_50_mb": "≤ 0.4x",
                "displays_2000": "≤ 0.5x",
            },
        ),
        # These start kernels as the others do, and take six seconds each.
        pytest.param(
            "relay",
            {
                "isolated_line": "≤ 5 ms",
                "isolated_prints_100k": "≤ 0.4x",
                "isolated_10_mb": "≤ 1.15x",
                "isolated_50_mb": "≤ 1.15x",
            },
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "memory",
            {
                "rss_growth": "≤ 0.1 KB",
                "idle_rss": "≤ 5 MB",
                "idle_uss": "≤ 5 MB",
                "rss_100_mb": "≤ 5 MB",
                "rss_100_cells": "≤ 5 MB",
            },
            marks=pytest.mark.soak,
        ),
        ("rates", {"full_rate": "≥ 1.3x", "full_rate_rss": "≤ 1x"}),
    ],
)
def test_a_quick_run_of_a_family_measures_beside_a_peer_what_has_a_target(
    tmp_path: Path, family: str, targets: dict[str, str]
) -> None:
    file = tmp_path / "results.json"
    done = call(family, "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["failed"] == {}
    results = document["results"]
    assert {row["name"]: row["target"] for row in results if row["target"]} == targets
    assert [row["name"] for row in results if row["peer_value"] is None] == []


def test_a_quick_run_measures_checkpoints_beside_pickle(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = call("--here", "--quick", "--json", str(file), script=CHECKPOINTS)
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["failed"] == {}
    assert document["tools"] == {"flow": "flow", "pickle": "pickle"}
    measured = {row["name"]: set(row["values"]) for row in document["results"]}
    assert {name for name, tools in measured.items() if tools == {"flow", "pickle"}} >= {
        "first_2",
        "edit_2",
        "edit_bytes_2",
        "undo_2",
        "far_2",
        "elsewhere_2",
        "elsewhere_warm_2",
        "micro_append_stored",
        "micro_update_blocked",
        "micro_readon_stored",
    }
    assert measured["calls_2"] == {"flow"}
    assert {row["meets"] for row in document["results"]} == {None}
    table = call("--readme", str(file)).stdout.splitlines()
    assert table[1] == "| what | flow | pickle | target |  |"


def _went(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Which ways a pool went, without the figures."""
    figures = ("value", "spread", "samples")
    return {
        name: [{k: v for k, v in way.items() if k not in figures} for way in ways]
        for name, ways in result.items()
        if isinstance(ways, list)
    }


def test_a_quick_run_measures_isolated_cells_beside_concurrent_futures(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = call("--quick", "--json", str(file), script=POOLS)
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["failed"] == {}
    assert [each["name"] for each in document["results"]] == ["flow", "fork", "spawn"]
    assert [_went(each) for each in document["results"]] == [
        {
            "after_crash": [{"why": None, "renewal": None}],
            "run_away": [{"how": "--timeout 0.2", "tried": []}],
            "after_run_away": [{"why": None, "renewal": None}],
        },
        *[
            {
                "after_crash": [{"why": "BrokenProcessPool", "renewal": "a new executor"}],
                "run_away": [{"how": None, "tried": ["cancel()"]}],
            }
        ]
        * 2,
    ]
    said = [each["says"] for each in document["results"]]
    assert "(SIGSEGV)" in said[0]
    assert {text.partition(":")[0] for text in said[1:]} == {"BrokenProcessPool"}
    for each in document["results"]:
        for figure in ("start", "round_trip", "array_in", "array_out", "crash"):
            assert each[figure]["value"] > 0
    table = call("--readme", str(file)).stdout.splitlines()
    assert (table[0], table[-1]) == ("<!-- pools: start -->", "<!-- pools: end -->")
    assert table[4].endswith("| no: `cancel()` leaves it running |")


def test_where_the_time_of_a_cell_goes_is_told_for_each_thread_and_function() -> None:
    done = call("--cells", "2", "--blocks", "2", "--rows", "3", script=WHERE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "`1+1`, a cell's share of 4 cells each:"
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    named = [row[0].strip("| ") for row in rows]
    twice = ("MainThread", "Shell channel", "all threads")
    assert [named.count(name) for name in twice] == [2, 2, 2]
    assert named.count("function") == 2
    assert {len(row) for row in rows} == {5}
    assert str(RUN.parents[2]) not in done.stdout


def test_a_tool_that_nobody_knows_is_refused_in_one_sentence() -> None:
    done = call("--here", "--tools", "flow,kishy", script=CHECKPOINTS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no tool is named kishy; they are flow, ")


def test_a_pool_that_nobody_knows_is_refused_in_one_sentence() -> None:
    done = call("flow", "loki", script=POOLS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no pool is named loki; they are flow, ")


def test_an_unknown_name_is_refused_in_one_sentence() -> None:
    done = call("round_tripp")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no benchmark is named 'round_tripp'; try --list\n"


def test_a_missed_target_is_shown_in_the_table_for_readme(tmp_path: Path) -> None:
    missed = {
        "name": "round_trip",
        "title": "1+1 until idle",
        "unit": "ms",
        "value": 4.4,
        "spread": [4.2, 4.9],
        "peer": "stock ipykernel",
        "peer_value": 4.0,
        "ratio": 1.1,
        "target": "≤ 1.05x",
        "meets": False,
    }
    document = {
        "table": "benchmarks",
        "machine": {"cpus": 2, "python": "3.11.7", "versions": {"ipykernel": "7.4.0"}},
        "date": "2026-03-01T10:00:00Z",
        "results": [missed],
        "failed": {"cold_start": "KernelLostError"},
    }
    file = tmp_path / "results.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert call("--readme", str(file)).stdout.splitlines() == [
        "<!-- benchmarks: start -->",
        "| what | flow | p25 to p75 | beside | its value | ratio | target |  |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 1+1 until idle | 4.4 ms | 4.2 to 4.9 | stock ipykernel | 4 ms | 1.10x | ≤ 1.05x"
        " | MISSED |",
        "",
        "Medians of alternating turns in one run; p25 to p75 is the spread of our figure."
        " 2026-03-01, 2 CPUs, Python 3.11.7, ipykernel 7.4.0.",
        "Not measured: cold_start (KernelLostError).",
        "<!-- benchmarks: end -->",
    ]
