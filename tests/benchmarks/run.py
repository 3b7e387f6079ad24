"""The benchmarks: every figure beside a peer that is measured in the same run.

Called by hand and by `make bench`:

    python tests/benchmarks/run.py [NAME…] [--soak] [--json FILE] [--quick] [--list]
    python tests/benchmarks/run.py --page
    python tests/benchmarks/run.py --readme FILE

A run is kept in `results/benchmarks.json`, and `RESULTS.md` is written anew; only the rows that it
was asked for are others then. `--page` writes the page alone. `--readme README.md` puts the tables
of all that is kept between its markers; a FILE with results is printed as such a table.

A target that is missed is shown as missed; the exit code is 1 only when a benchmark could not run.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final

import agents
import approvals
import background
import cells
import checkpoint_store
import clicks
import control
import dashboard
import events
import forked_start
import isolated
import kept
import memory
import micro
import output
import rates
import reading
import readme_tables
import recorder_cpu
import recorder_shell
import relay
import repl
import sandbox
import startup
import store
import table
import tasks
import transfer
import watchdog
from documents import Document, begin
from harness import Bench, Benchmark, Result
from machine import machine

FAMILIES: Final = (
    cells,
    output,
    startup,
    memory,
    rates,
    recorder_shell,
    recorder_cpu,
    micro,
    store,
    events,
    forked_start,
    reading,
    tasks,
    approvals,
    control,
    checkpoint_store,
    isolated,
    relay,
    transfer,
    watchdog,
    background,
    repl,
    agents,
    sandbox,
    clicks,
    dashboard,
)
BENCHMARKS: Final[tuple[Benchmark, ...]] = tuple(
    benchmark for family in FAMILIES for benchmark in family.BENCHMARKS
)
_FAMILY_OF: Final = {
    benchmark.name: family.__name__ for family in FAMILIES for benchmark in family.BENCHMARKS
}


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for. Returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        width = max(len(benchmark.name) for benchmark in BENCHMARKS)
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:{width}}  {benchmark.about}")
        return 0
    chosen, unknown = choose(options.names, has_soaks=options.soak)
    if unknown:
        print(f"no benchmark is named {unknown[0]!r}; try --list", file=sys.stderr)
        return 2
    if options.readme:
        _readme(options.readme, options.results)
        return 0
    if options.page:
        kept.write_page(options.results)
        return 0
    kept.load(options.results)
    document = run(chosen, quick=options.quick, seed=options.seed)
    print(table.plain(document["results"]))
    for name, why in document["failed"].items():
        print(f"{name} could not run: {why}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    kept.keep(document, options.results)
    return 1 if document["failed"] else 0


def _readme(file: Path, results: Path | None) -> None:
    """Puts the tables of what is kept into README, or prints that of a file of results."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".md":
        print(readme_tables.markdown(json.loads(text)))
        return
    file.write_text(readme_tables.replaced(text, kept.load(results)), encoding="utf-8")


def choose(names: list[str], *, has_soaks: bool) -> tuple[list[Benchmark], list[str]]:
    """The benchmarks of these names, all without any; a family's file name stands for its own.

    Args:
        names: Of benchmarks and of families.
        has_soaks: Take the soaks as well that are not asked for by their own names.
    """
    families = {
        family.__name__: [each for each in family.BENCHMARKS if has_soaks or not each.is_soak]
        for family in FAMILIES
    }
    known = {benchmark.name: (benchmark,) for benchmark in BENCHMARKS}
    unknown = [name for name in names if name not in known and name not in families]
    if not names:
        return [each for benchmarks in families.values() for each in benchmarks], []
    chosen = [b for name in names for b in known.get(name) or families.get(name, ())]
    return list(dict.fromkeys(chosen)), unknown


def run(chosen: list[Benchmark], *, quick: bool, seed: int) -> Document:
    """Runs them one after the other; one that fails is noted and the others go on."""
    document = begin("benchmarks", machine(), quick=quick)
    results: list[dict[str, object]] = []
    failed: dict[str, str] = {}
    took_s = dict.fromkeys((_FAMILY_OF[benchmark.name] for benchmark in chosen), 0.0)
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        for number, benchmark in enumerate(chosen, 1):
            _say(f"[{number}/{len(chosen)}] {benchmark.name} …")
            bench = Bench(quick=quick, tmp=Path(tmp), rng=random.Random(seed))
            began = time.monotonic()
            try:
                results += [
                    _entry(result, benchmark, quick=quick) for result in benchmark.run(bench)
                ]
            except Exception as error:  # noqa: BLE001  # one benchmark must not stop the others
                traceback.print_exc()
                failed[benchmark.name] = f"{type(error).__name__}: {error}"
            took_s[_FAMILY_OF[benchmark.name]] += time.monotonic() - began
    for family, seconds in took_s.items():
        _say(f"{family}: {seconds:.0f} s")
    return {
        **document,
        "families": {family.__name__: _title(family) for family in FAMILIES},
        "known": [benchmark.name for benchmark in BENCHMARKS],
        "asked": [benchmark.name for benchmark in chosen],
        "results": results,
        "failed": failed,
    }


def _entry(result: Result, benchmark: Benchmark, *, quick: bool) -> dict[str, object]:
    entry = result.as_json()
    entry |= {"benchmark": benchmark.name, "family": _FAMILY_OF[benchmark.name]}
    # Few turns show that the machinery works; they neither reach a target nor miss it.
    return {**entry, "meets": None} if quick else entry


def _title(family: ModuleType) -> str:
    """The first sentence of its docstring: the page needs no second one."""
    return (family.__doc__ or "").partition("\n")[0].rstrip(".")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="The benchmarks of flow_kernel.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--list", action="store_true", help="the names, and what each measures")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the turns")
    parser.add_argument("--soak", action="store_true", help="those that take tens of minutes, too")
    parser.add_argument("--page", action="store_true", help="only write the page of what is kept")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="README.md: put the tables in; else print FILE"
    )
    kept.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(kept.guarded(main))
