"""What is kept of the benchmarks, and the page that is made of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).with_name("run.py")
POOLS = RUN.with_name("pools.py")
ROOT = RUN.parents[2]
MACHINE = {
    "cpus": 2,
    "model": "A processor",
    "memory_gb": 16,
    "python": "3.11.7",
    "system": "Linux 6.1",
    "load": 0.25,
    "versions": {"ipykernel": "7.4.0"},
}
ROUND_TRIP = {
    "name": "round_trip",
    "title": "1+1 until idle",
    "unit": "ms",
    "value": 2.8,
    "spread": [2.7, 2.9],
    "samples": 600,
    "peer": "stock ipykernel",
    "peer_value": 4.0,
    "ratio": 0.7,
    "ratio_spread": [0.68, 0.72],
    "peer_beside_itself": [0.95, 1.06],
    "target": "≤ 0.65x",
    "meets": False,
    "note": "",
    "benchmark": "round_trip",
    "family": "cells",
    "date": "2026-03-01T10:00:00Z",
}
IMPORTS = {
    **ROUND_TRIP,
    "name": "imports_diff",
    "title": "finding new modules",
    "unit": "us",
    "peer": None,
    "peer_value": None,
    "ratio": None,
    "ratio_spread": None,
    "peer_beside_itself": None,
    "target": "≤ 3 us",
    "meets": True,
    "note": "on a | b",
    "benchmark": "imports_diff",
    "family": "micro",
}
DOCUMENT = {
    "format": 2,
    "table": "benchmarks",
    "machine": MACHINE,
    "date": "2026-03-01T10:00:00Z",
    "quick": False,
    "families": {"cells": "Small cells", "micro": "The smallest pieces"},
    "known": ["round_trip", "imports_diff", "cold_start", "idle_memory", "sandbox"],
    "results": [ROUND_TRIP, IMPORTS],
    "failed": {"cold_start": "KernelLostError: it does not answer"},
    "machines": {"2026-03-01T10:00:00Z": MACHINE},
}


def call(*arguments: str, script: Path = RUN) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder in which the document above is kept."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "benchmarks.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return folder


def page(results: Path) -> list[str]:
    return (results.parent / "RESULTS.md").read_text(encoding="utf-8").splitlines()


def kept(results: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / "benchmarks.json").read_text(encoding="utf-8"))
    return found


def test_the_page_shows_each_figure_with_its_spread_and_what_is_missed(results: Path) -> None:
    (results / "profiles.md").write_text("The lock takes it all.\n", encoding="utf-8")

    done = call("--page", "--results", str(results))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = page(results)
    head = (
        "| what | flow | p25 to p75 | turns | beside | its value | beside itself | ratio"
        " | target |  | taken |"
    )
    rule = "|" + " --- |" * 11
    assert lines[lines.index("## Machine") :] == [
        "## Machine",
        "",
        "| taken (UTC) | by | machine | load | versions |",
        "| --- | --- | --- | --- | --- |",
        "| 2026-03-01 10:00 | `make bench` | 2 CPUs (A processor), 16 GB, Linux 6.1 | 0.25"
        " | Python 3.11.7, ipykernel 7.4.0 |",
        "",
        "## Targets",
        "",
        "1 of 2 targets are met. MISSED:",
        "",
        "- 1+1 until idle: 0.70x (0.68x to 0.72x), target ≤ 0.65x",
        "",
        "## Small cells",
        "",
        head,
        rule,
        "| 1+1 until idle | 2.8 ms | 2.7 to 2.9 | 600 | stock ipykernel | 4 ms | 0.95x to 1.06x"
        " | 0.70x (0.68x to 0.72x) | ≤ 0.65x | MISSED | 2026-03-01 |",
        "",
        "## The smallest pieces",
        "",
        head,
        rule,
        "| finding new modules (on a \\| b) | 2.8 us | 2.7 to 2.9 | 600 |  |  |  |  | ≤ 3 us | met"
        " | 2026-03-01 |",
        "",
        "## Not measured",
        "",
        "- cold_start (`make bench`): KernelLostError: it does not answer",
        "- `make bench` was not run for idle_memory, sandbox.",
        "- `make bench-peers` was not run.",
        "- `make bench-checkpoints` was not run.",
        "- `make bench-pools` was not run.",
        "- `make bench-workflows` was not run.",
        "",
        "## Out of reach",
        "",
        "The lock takes it all.",
    ]


def test_a_run_of_one_benchmark_replaces_its_rows_and_leaves_the_others_with_their_day(
    results: Path,
) -> None:
    done = call("imports_diff", "--quick", "--results", str(results))

    assert done.returncode == 0, done.stderr
    found = kept(results)
    assert found["results"][0] == ROUND_TRIP
    (new,) = [row for row in found["results"] if row["name"] == "imports_diff"]
    assert new["title"] == "finding new modules among 3,000"
    assert new["date"] == found["date"] > ROUND_TRIP["date"]
    assert list(found["machines"]) == [ROUND_TRIP["date"], new["date"]]
    assert found["failed"] == DOCUMENT["failed"]
    rows = [line for line in page(results) if line.startswith(("| 1+1 ", "| finding "))]
    assert [row.rstrip(" |").rpartition("| ")[2] for row in rows] == [
        "2026-03-01",
        new["date"][:10],
    ]


def test_what_is_asked_for_again_is_no_failure_any_more_and_what_is_gone_is_dropped(
    results: Path,
) -> None:
    gone = {**ROUND_TRIP, "name": "of_old", "benchmark": "of_old"}
    failed = {"imports_diff": "it failed", "of_old": "it failed as well"}
    old = {**DOCUMENT, "results": [ROUND_TRIP, gone], "failed": failed}
    (results / "benchmarks.json").write_text(json.dumps(old), encoding="utf-8")

    done = call("imports_diff", "--quick", "--results", str(results))

    assert done.returncode == 0, done.stderr
    found = kept(results)
    assert [row["name"] for row in found["results"]] == ["round_trip", "imports_diff"]
    assert found["failed"] == {}


@pytest.mark.parametrize("script", [RUN, POOLS], ids=["benchmarks", "pools"])
def test_a_document_of_an_older_format_is_refused_in_one_sentence(
    results: Path, script: Path
) -> None:
    old = {key: value for key, value in DOCUMENT.items() if key != "format"}
    (results / "benchmarks.json").write_text(json.dumps(old), encoding="utf-8")

    done = call("--quick", "--results", str(results), script=script)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "benchmarks.json is of format 1, this program reads format 2: remove it and run"
        " `make bench` again\n"
    )
    assert kept(results) == old


def test_readme_gets_the_tables_of_what_is_kept_and_keeps_the_others(results: Path) -> None:
    readme = results.parent / "README.md"
    readme.write_text(
        "before\n<!-- benchmarks: start -->\nold\n<!-- benchmarks: end -->\nbetween\n"
        "<!-- pools: start -->\nold\n<!-- pools: end -->\nafter\n",
        encoding="utf-8",
    )

    done = call("--readme", str(readme), "--results", str(results))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert [line for line in lines if line.startswith("| 1+1")] == [
        "| 1+1 until idle | 2.8 ms | 2.7 to 2.9 | stock ipykernel | 4 ms | 0.70x | ≤ 0.65x"
        " | MISSED |"
    ]
    end = lines.index("<!-- benchmarks: end -->")
    assert lines[end + 1 :] == [
        "between",
        "<!-- pools: start -->",
        "old",
        "<!-- pools: end -->",
        "after",
    ]


def test_reasons_on_the_page_name_no_folder_of_the_machine(results: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import documents\n"
        "why = \"KernelLostError: ['/a/b/python', '-m'] does\\nnot answer: /tmp/y/stderr.txt\"\n"
        "print(documents.merged(None, {'failed': {'cells': why}})['failed']['cells'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(RUN.parent)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "KernelLostError: ['python', '-m'] does not answer: stderr.txt\n"


def test_the_page_and_readme_show_the_results_that_are_kept(tmp_path: Path) -> None:
    folder, copy = RUN.with_name("results"), tmp_path / "results"
    shutil.copytree(folder, copy) if folder.exists() else copy.mkdir()
    readme = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", readme)
    has_some = any(copy.glob("*.json"))

    written = call("--page", "--results", str(copy))
    quoted = call("--readme", str(readme), "--results", str(copy))

    assert (written.returncode, written.stderr) == (0, "")
    assert (quoted.returncode, quoted.stderr) == (0, "")
    assert RUN.with_name("RESULTS.md").exists() is has_some
    if has_some:
        assert page(copy) == RUN.with_name("RESULTS.md").read_text(encoding="utf-8").splitlines()
    assert readme.read_text(encoding="utf-8") == (ROOT / "README.md").read_text(encoding="utf-8")
