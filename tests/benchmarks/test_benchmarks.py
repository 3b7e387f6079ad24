"""The benchmarks run: their machinery, never their figures."""

import json
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).with_name("run.py")


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
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
        "imports_diff",
        "journal_append",
        "rss_growth",
        "import_time",
        "cold_start",
        "stats_1m_python",
    } <= set(names)


def test_a_quick_benchmark_writes_its_result_and_the_table_for_readme(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = call("imports_diff", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text(encoding="utf-8"))
    assert set(document) == {"table", "machine", "date", "quick", "results", "failed"}
    assert document["failed"] == {}
    (result,) = document["results"]
    for measured in ("value", "spread", "peer_value", "ratio", "ratio_spread"):
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
    }
    table = call("--readme", str(file)).stdout.splitlines()
    assert table[0] == "<!-- benchmarks: start -->"
    assert table[-1] == "<!-- benchmarks: end -->"
    assert table[3].startswith("| finding new modules among 3,000 | ")


def test_an_unknown_name_is_refused_in_one_sentence() -> None:
    done = call("round_tripp")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no benchmark is named 'round_tripp'; try --list\n"
