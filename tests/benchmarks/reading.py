"""How fast a million records are read: summarised, and verified.

Called by `run.py`. The records lie in the page cache. Every figure is the whole command, start of
the interpreter included.
"""

import functools
import importlib.util
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side
from live import environment
from sample_records import write_home

_CLI: Final = "import sys; from flow_kernel.apps.cli import main; sys.exit(main())"
# What one writes without us, with the fastest JSON reader that Python has.
_BY_HAND: Final = """
import collections, glob, orjson, sys
tasks = collections.defaultdict(lambda: [0, 0, 0.0])
for path in glob.glob(sys.argv[1] + "/log/*/*.jsonl"):
    with open(path, "rb") as lines:
        for line in lines:
            record = orjson.loads(line)
            if record["kind"] == "cell":
                task = tasks[record["plan_id"], record["task_id"]]
                task[0] += 1
                task[1] += not record["success"]
                task[2] += record["elapsed_ms"]
print(sum(task[0] for task in tasks.values()))
"""
_CRC_BY_HAND: Final = """
import glob, sys, zlib
records = 0
for path in glob.glob(sys.argv[1] + "/log/*/*.jsonl"):
    with open(path, "rb") as lines:
        for line in lines:
            head, _, crc = line.rpartition(b',"crc":"')
            assert b"%08x" % zlib.crc32(head) == crc[:8]
            records += 1
print(records)
"""


_VERIFY: Final = Figure(name="verify_1m", title="a million records verified", unit="s")


def stats(bench: Bench, *, engine: str) -> list[Result]:
    """`jupyter flow stats` over a million records."""
    home = million(bench)
    pattern = str(home / "log" / "*" / "*.jsonl")
    ours = [sys.executable, "-c", _CLI, "stats", pattern, "--engine", engine, "--json"]
    figure = Figure(
        name=f"stats_1m_{engine}",
        title=f"a million records summarised ({engine})",
        unit="s",
        target=Target(at_most=2) if engine == "python" else None,
    )
    return [_beside(bench, figure, ours, _BY_HAND, counted="cells")]


def verify(bench: Bench) -> list[Result]:
    """`jupyter flow log --verify` over a million records: every checksum, link and number."""
    ours = [sys.executable, "-c", _CLI, "log", "--verify", "--json"]
    return [_beside(bench, _VERIFY, ours, _CRC_BY_HAND, counted="records")]


def million(bench: Bench) -> Path:
    """A home with a million records, written once a run."""
    # Beside the directories of single benchmarks, because several use it.
    home = bench.tmp / "million"
    if not home.exists():
        write_home(home, records=bench.count(1_000_000, 2_000), rng=random.Random(2))
    return home


def _beside(
    bench: Bench, figure: Figure, ours: Sequence[str], by_hand: str, *, counted: str
) -> Result:
    home = million(bench)
    peer = [sys.executable, "-c", by_hand, str(home)]
    found = json.loads(_run(ours, home).output)[counted]
    if found != int(_run(peer, home).output):
        raise RuntimeError(f"{found} {counted}: not what the peer counted")
    taken = alternate(
        bench.count(5, 1),
        bench.rng,
        ours=lambda _: _run(ours, home).took_s,
        peer=lambda _: _run(peer, home).took_s,
    )
    label = "crc32 of each line by hand" if by_hand is _CRC_BY_HAND else "orjson.loads on each line"
    size = sum(path.stat().st_size for path in home.glob("log/*/*.jsonl"))
    note = f"{found:,} {counted} in {size / 1e6:,.0f} MB"
    return side_by_side(figure, pairs_of(taken), peer=label, note=note)


@dataclass(frozen=True, slots=True)
class _Done:
    took_s: float
    output: bytes


def _run(command: Sequence[str], home: Path) -> _Done:
    env = environment(home.parent, {"FLOW_HOME": str(home)})
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=home.parent, capture_output=True, check=False)
    took_s = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode()[-300:]}")
    return _Done(took_s, done.stdout)


_ENGINES: Final = ("python", "duckdb") if importlib.util.find_spec("duckdb") else ("python",)
BENCHMARKS: Final = (
    *(
        Benchmark(
            name=f"stats_1m_{engine}",
            about=f"a million records summarised, engine {engine}",
            run=functools.partial(stats, engine=engine),
        )
        for engine in _ENGINES
    ),
    Benchmark(name=_VERIFY.name, about=_VERIFY.title, run=verify),
)
