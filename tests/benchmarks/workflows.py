"""Workflows: our figures beside their targets, and other engines beside us.

Called by hand, by `make bench-workflows` and by `make bench-peers`; making the environments takes
some minutes the first time:

    python tests/benchmarks/workflows.py [NAME…] [--json FILE] [--quick] [--setup-only]
    python tests/benchmarks/workflows.py --readme FILE

A NAME is one of our benchmarks or an engine; `ours` and `engines` stand for all of a kind.
`--quick` without names is ours alone, which needs no environment. A target that is missed is shown
as missed; the exit code is 1 only when something could not be measured.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import kept
import workflow_peers
import workflow_scale
import workflow_steps
import workflow_table
from documents import Document, begin
from harness import Bench, Benchmark
from machine import machine
from peers import pinned, set_up
from workflow_kinds import OURS, PEERS, EngineKind

BENCHMARKS: Final[tuple[Benchmark, ...]] = (*workflow_steps.BENCHMARKS, *workflow_scale.BENCHMARKS)
ENGINES: Final[tuple[EngineKind, ...]] = (*OURS, *PEERS)
_GROUPS: Final = {
    "ours": tuple(each.name for each in BENCHMARKS),
    "engines": tuple(each.name for each in ENGINES),
}
_PACKAGES: Final = ("flow_kernel", "orjson", "pandas")


def main(arguments: list[str] | None = None) -> int:
    """Makes the environments, measures, prints the tables. Returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.readme:
        print(workflow_table.markdown(json.loads(options.readme.read_text(encoding="utf-8"))))
        return 0
    asked = options.names or (["ours"] if options.quick else [*_GROUPS])
    names = [name for each in asked for name in _GROUPS.get(each, (each,))]
    unknown = [name for name in names if not any(name in group for group in _GROUPS.values())]
    if unknown:
        known = ", ".join([*_GROUPS, *(name for group in _GROUPS.values() for name in group)])
        print(f"nothing is named {unknown[0]}; there are {known}", file=sys.stderr)
        return 2
    benchmarks = [each for each in BENCHMARKS if each.name in names]
    engines = [each for each in ENGINES if each.name in names]
    failed = _set_up(engines)
    if options.setup_only:
        return 1 if failed else 0
    kept.load(options.results)
    document: Document = {
        # Its load is that of the others: nothing runs yet.
        **begin("workflows", machine(_PACKAGES), quick=options.quick),
        "known": [each.name for each in (*BENCHMARKS, *ENGINES)],
        "asked": [each.name for each in (*benchmarks, *engines)],
        "results": [],
        "engines": [],
        "failed": failed,
    }
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        bench = Bench(quick=options.quick, tmp=Path(tmp), rng=random.Random(options.seed))
        for benchmark in benchmarks:
            for result in _tried(benchmark.name, lambda: benchmark.run(bench), failed) or ():  # noqa: B023 - it is called at once
                entry = {**result.as_json(), "benchmark": benchmark.name}
                document["results"].append({**entry, "meets": None} if bench.quick else entry)
        for engine in engines:
            if engine.name in failed:
                continue
            found = _tried(engine.name, lambda: workflow_peers.measure(engine, bench), failed)  # noqa: B023 - as above
            if found is not None:
                document["engines"].append(
                    {**found, "version": _version(engine), "benchmark": engine.name}
                )
    document["load_after"] = round(os.getloadavg()[0], 2)
    print(workflow_table.plain(document))
    for name, why in failed.items():
        print(f"{name} could not be measured: {why}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    kept.keep(document, options.results)
    return 1 if failed else 0


def _tried(name: str, what: Callable[[], Any], failed: dict[str, str]) -> Any:
    """What it gives; None and a reason noted where it cannot: the others go on."""
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        return what()
    except Exception as error:  # noqa: BLE001 - one must not stop the others
        traceback.print_exc()
        failed[name] = f"{type(error).__name__}: {error}"[:400]
        return None


def _set_up(engines: Sequence[EngineKind]) -> dict[str, str]:
    """Make the environments; which could not be made, and why."""
    failed = {}
    for engine in engines:
        if engine.tool.environment:
            try:
                set_up(engine.tool.environment, has_kernel=False)
            except (OSError, RuntimeError) as error:
                failed[engine.name] = f"{type(error).__name__}: {error}"[:400]
    return failed


def _version(engine: EngineKind) -> str:
    """The version that is pinned first."""
    environment = engine.tool.environment
    return pinned(environment)[0].partition("==")[2] if environment else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workflows.py", description="Workflows beside others.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--setup-only", action="store_true", help="make the environments, stop")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the turns")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="FILE as the tables of README")
    kept.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(kept.guarded(main))
