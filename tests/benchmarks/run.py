"""The benchmarks: every figure beside a peer that is measured in the same run.

Called by hand and by `make bench`:

    python tests/benchmarks/run.py [NAME…] [--json FILE] [--quick] [--list]
    python tests/benchmarks/run.py --readme FILE

A target that is missed is shown as missed; the exit code is 1 only when a benchmark could not run.
"""

import argparse
import json
import random
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import approvals
import background
import cells
import checkpoint_store
import checkpoint_table
import events
import isolated
import memory
import micro
import output
import pool_table
import rates
import reading
import recorder_cpu
import recorder_shell
import relay
import repl
import startup
import store
import table
import tasks
import transfer
import watchdog
from harness import Bench, Benchmark, Result
from machine import machine

FAMILIES: Final = (
    recorder_shell,
    recorder_cpu,
    cells,
    output,
    micro,
    store,
    events,
    memory,
    rates,
    startup,
    reading,
    tasks,
    approvals,
    checkpoint_store,
    isolated,
    relay,
    transfer,
    watchdog,
    background,
    repl,
)
BENCHMARKS: Final[tuple[Benchmark, ...]] = tuple(
    benchmark for family in FAMILIES for benchmark in family.BENCHMARKS
)
_TABLES: Final = {"checkpoints": checkpoint_table, "pools": pool_table}
"""Tables that are others than those of pairs."""


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for. Returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        width = max(len(benchmark.name) for benchmark in BENCHMARKS)
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:{width}}  {benchmark.about}")
        return 0
    if options.readme:
        document = json.loads(options.readme.read_text(encoding="utf-8"))
        print(_TABLES.get(document["table"], table).markdown(document))
        return 0
    chosen, unknown = choose(options.names)
    if unknown:
        print(f"no benchmark is named {unknown[0]!r}; try --list", file=sys.stderr)
        return 2
    document = run(chosen, quick=options.quick, seed=options.seed)
    print(table.plain(document["results"]))
    for name, why in document["failed"].items():
        print(f"{name} could not run: {why}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if document["failed"] else 0


def choose(names: list[str]) -> tuple[list[Benchmark], list[str]]:
    """The benchmarks of these names, all without any; a family's file name stands for its own."""
    families = {family.__name__: family.BENCHMARKS for family in FAMILIES}
    known = {benchmark.name: (benchmark,) for benchmark in BENCHMARKS}
    unknown = [name for name in names if name not in known and name not in families]
    if not names:
        return list(BENCHMARKS), []
    chosen = [b for name in names for b in known.get(name) or families.get(name, ())]
    return list(dict.fromkeys(chosen)), unknown


def run(chosen: list[Benchmark], *, quick: bool, seed: int) -> dict[str, Any]:
    """Runs them one after the other; one that fails is noted and the others go on."""
    results: list[dict[str, object]] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        for benchmark in chosen:
            print(f"{benchmark.name} …", file=sys.stderr, flush=True)
            bench = Bench(quick=quick, tmp=Path(tmp), rng=random.Random(seed))
            try:
                results += [_entry(result, quick=quick) for result in benchmark.run(bench)]
            except Exception as error:  # noqa: BLE001  # one benchmark must not stop the others
                traceback.print_exc()
                failed[benchmark.name] = f"{type(error).__name__}: {error}"
    return {
        "table": "benchmarks",
        "machine": machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "quick": quick,
        "results": results,
        "failed": failed,
    }


def _entry(result: Result, *, quick: bool) -> dict[str, object]:
    entry = result.as_json()
    # Few turns show that the machinery works; they neither reach a target nor miss it.
    return {**entry, "meets": None} if quick else entry


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="The benchmarks of flow_kernel.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--list", action="store_true", help="the names, and what each measures")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the turns")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="FILE as the table of README")
    return parser


if __name__ == "__main__":
    sys.exit(main())
