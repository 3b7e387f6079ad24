"""Checkpoints beside Kishu, dill, cloudpickle and pickle, each in an environment of its own.

Called by hand, since making the environments takes minutes the first time:

    python tests/benchmarks/checkpoints.py [--size 60,240,1000] [--tools flow,kishu,…] [--json FILE]
        [--quick] [--here] [--no-micro] [--setup-only]

The tools and their sessions are alive together and take turns. A target that is missed is shown as
missed; the exit code is 1 only when something could not be measured.
"""

import argparse
import functools
import json
import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import checkpoint_measures
import checkpoint_micro
import checkpoint_table
import kept
from checkpoint_process import BARE, FLOW, KINDS, KISHU, PICKLERS, ToolKind, set_up_all
from checkpoint_session import SIZES_MB
from checkpoint_table import Row
from documents import Document, begin
from harness import Bench
from machine import machine
from peers import pinned

_QUICK_MB: Final = 2.0
_QUICK_SCALE: Final = 0.01
_HERE: Final = (FLOW, BARE, PICKLERS[-1])
"""What runs without an environment of its own."""
_MICRO: Final = (FLOW, BARE, KISHU, PICKLERS[-1])
_PACKAGES: Final = ("flow_kernel", "ipython", "numpy", "pandas")


def main(arguments: list[str] | None = None) -> int:
    """Makes the environments, measures, prints the table. Returns the exit code."""
    options = _parser().parse_args(arguments)
    kinds, unknown = _chosen(options)
    if unknown:
        names = ", ".join(kind.name for kind in KINDS)
        print(f"no tool is named {unknown}; they are {names}", file=sys.stderr)
        return 2
    if not options.here:
        set_up_all(kinds)
    if options.setup_only:
        return 0
    kept.load(options.results)
    found = _machine(kinds, here=options.here)
    document: Document = begin("checkpoints", found, quick=options.quick)
    rows: list[Row] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        bench = Bench(quick=options.quick, tmp=Path(tmp), rng=random.Random(options.seed))
        for name, measure in _measures(options, kinds, bench, failed):
            try:
                rows += measure()
            except Exception as error:  # noqa: BLE001 - one size must not stop the others
                traceback.print_exc()
                failed[name] = f"{type(error).__name__}: {error}"[:400]
    document |= {
        "tools": {kind.name: kind.title for kind in kinds if kind is not BARE},
        "results": [_entry(row, quick=options.quick) for row in rows],
        "failed": failed,
    }
    print(checkpoint_table.plain(document["results"], document["tools"]))
    for name, why in failed.items():
        print(f"{name} could not be measured: {why}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    # Rows of few tools or sizes would take the place of those of all.
    if options.results or not (options.tools or options.here or options.size != list(SIZES_MB)):
        kept.keep(document, options.results)
    return 1 if failed else 0


def _measures(
    options: argparse.Namespace, kinds: list[ToolKind], bench: Bench, failed: dict[str, str]
) -> list[tuple[str, Callable[[], list[Row]]]]:
    """What to run, by name."""
    found: list[tuple[str, Callable[[], list[Row]]]] = []
    for size_mb in [_QUICK_MB] if options.quick else options.size:
        plan = checkpoint_measures.Plan(
            kinds=kinds,
            size_mb=size_mb,
            scale=_QUICK_SCALE if options.quick else 1.0,
            has_models=not options.quick and (not options.here or find_spec("sklearn") is not None),
            here=options.here,
            bench=bench,
        )
        measure = functools.partial(checkpoint_measures.measure, plan, failed)
        found.append((f"{size_mb:g} MB", measure))
    if not options.no_micro:
        few = [kind for kind in kinds if kind in _MICRO]
        found.append(("micro", lambda: checkpoint_micro.measure(few, bench, here=options.here)))
    return found


def _machine(kinds: list[ToolKind], *, here: bool) -> dict[str, Any]:
    """What it was taken on; the versions are those of the environments that were measured."""
    found = machine(_PACKAGES)
    if not here:
        names = ["session", *(["kishu"] if KISHU in kinds else []), "picklers"]
        pins = [pin for name in names for pin in pinned(name) if "==" in pin]
        found["versions"] |= dict(pin.split("==") for pin in pins)
    return found


def _entry(row: Row, *, quick: bool) -> dict[str, Any]:
    entry = row.as_json()
    # Few turns show that the machinery works; they neither reach a target nor miss it.
    return {**entry, "meets": None} if quick else entry


def _chosen(options: argparse.Namespace) -> tuple[list[ToolKind], str]:
    """The tools asked for, the shell without any among them; and the first name that is none."""
    known = {kind.name: kind for kind in (_HERE if options.here else KINDS)}
    names = options.tools.split(",") if options.tools else list(known)
    for name in names:
        if name not in known:
            return [], name
    return [kind for name, kind in known.items() if name in {*names, BARE.name}], ""


def _sizes(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="checkpoints.py", description="Checkpoints beside others")
    parser.add_argument(
        "--size", type=_sizes, default=list(SIZES_MB), metavar="MB,…", help="of the session"
    )
    parser.add_argument("--tools", metavar="NAME,…", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--here", action="store_true", help="this interpreter, ours beside pickle")
    parser.add_argument("--no-micro", action="store_true", help="without the micro-notebooks")
    parser.add_argument("--setup-only", action="store_true", help="make the environments, stop")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the turns")
    kept.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(kept.guarded(main))
