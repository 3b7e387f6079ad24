"""Isolated cells beside other pools of processes, each in an environment of its own.

Called by hand and by `make bench-pools`; making the environments takes a minute the first time:

    python tests/benchmarks/pools.py [NAME…] [--json FILE] [--quick] [--setup-only]

All pools are alive together and take turns: a start, a round trip, 100 MB in and back, a worker
that dies of SIGSEGV, and one that never ends. `--quick` is ours beside concurrent.futures, which
needs no environment. The exit code is 1 only when something could not be measured.
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import kept
import pool_table
from checkpoint_process import ToolKind, ToolProcess
from documents import Document, begin
from harness import Bench, in_turn, spread
from machine import machine
from peers import pinned, set_up
from pool_kernel import FlowPool

Answer = dict[str, Any]

FLOW: Final = "flow"
PEERS: Final = (
    ToolKind(
        name="fork",
        title="concurrent.futures, fork",
        environment="",
        script="peers/pool_futures.py",
        argument="fork",
    ),
    ToolKind(
        name="spawn",
        title="concurrent.futures, spawn",
        environment="",
        script="peers/pool_futures.py",
        argument="spawn",
    ),
    ToolKind(name="loky", title="loky", environment="pool-loky", script="peers/pool_loky.py"),
    ToolKind(
        name="pebble", title="Pebble", environment="pool-pebble", script="peers/pool_pebble.py"
    ),
    ToolKind(name="dask", title="Dask", environment="pool-dask", script="peers/pool_dask.py"),
    ToolKind(
        name="ipyparallel",
        title="ipyparallel",
        environment="pool-ipyparallel",
        script="peers/pool_ipyparallel.py",
    ),
)
"""Those without an environment run in the interpreter that runs this."""
NAMES: Final = (FLOW, *(kind.name for kind in PEERS))
_PACKAGES: Final = ("flow_kernel", "ipykernel", "numpy")
_NUMBERS: Final = 12_500_000
"""100 MB."""


class Asked(Protocol):
    """Who answers requests."""

    def ask(self, do: str, **request: Any) -> Answer: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often what is done, and how long is waited.

    Attributes:
        turns: By the name of the figure.
        warm_up: Turns before them, of the same kind, that are not counted.
        numbers: In the array.
        has_fresh: A pool is made anew before it is put to the test.
        timeout_s: That a call without an end is given.
        patience_s: That each way to stop it is given.
        within_s: That the next call is given.
    """

    turns: dict[str, int]
    warm_up: dict[str, int]
    numbers: int
    has_fresh: bool
    timeout_s: float
    patience_s: float
    within_s: float


FULL: Final = Plan(
    turns={"start": 5, "round_trip": 100, "array_in": 12, "array_out": 12, "hard": 3},
    warm_up={"round_trip": 20, "array_in": 3, "array_out": 3},
    numbers=_NUMBERS,
    has_fresh=True,
    timeout_s=1.0,
    patience_s=3.0,
    within_s=20.0,
)
QUICK: Final = Plan(
    turns={"start": 1, "round_trip": 2, "array_in": 1, "array_out": 1, "hard": 1},
    warm_up={},
    numbers=1000,
    has_fresh=False,
    timeout_s=0.2,
    patience_s=0.1,
    within_s=5.0,
)


class Contender:
    """One pool with what was measured of it; after its first failure nothing more is asked.

    Attributes:
        name: For programs.
        title: For people.
        failure: Why nothing more is asked; None where it is.
    """

    def __init__(self, name: str, title: str, asked: Asked) -> None:
        self.name = name
        self.title = title
        self.failure: str | None = None
        self._asked = asked
        self._times: dict[str, list[float]] = {}
        self._ways: dict[str, dict[str, list[float]]] = {}
        self._says: str | None = None

    def ask(self, do: str, **request: Any) -> Answer | None:
        """One answer; None where it fails, now or before."""
        if self.failure is not None:
            return None
        try:
            return self._asked.ask(do, **request)
        except Exception as error:  # noqa: BLE001 - one pool must not stop the others
            traceback.print_exc()
            self.failure = f"{type(error).__name__}: {error}"[:400]
            return None

    def take(self, do: str, **request: Any) -> Answer | None:
        """Ask for what is only a time, and keep it."""
        answer = self.ask(do, **request)
        if answer is not None:
            self._times.setdefault(do, []).append(answer["ms"])
            self._says = answer.get("says", self._says)
        return answer

    def take_way(self, figure: str, do: str, **request: Any) -> Answer | None:
        """Ask for what can go several ways, and keep the time of the way that it went."""
        answer = self.ask(do, **request)
        if answer is not None:
            way = {key: value for key, value in answer.items() if key != "ms"}
            taken = self._ways.setdefault(figure, {}).setdefault(json.dumps(way), [])
            taken.append(math.nan if answer["ms"] is None else answer["ms"])
        return answer

    def as_json(self) -> dict[str, Any]:
        """With medians and spreads; of what can go several ways, the most frequent one first."""
        times = {figure: _summary(taken) for figure, taken in self._times.items()}
        ways = {
            figure: [
                {**json.loads(way), **_summary(taken)}
                for way, taken in sorted(found.items(), key=lambda each: -len(each[1]))
            ]
            for figure, found in self._ways.items()
        }
        return {"name": self.name, "title": self.title, **times, **ways, "says": self._says}


def main(arguments: list[str] | None = None) -> int:
    """Makes the environments, measures, prints the tables. Returns the exit code."""
    options = _parser().parse_args(arguments)
    names = options.names or (NAMES[:3] if options.quick else NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no pool is named {unknown[0]}; they are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    kinds = [kind for kind in PEERS if kind.name in names]
    failed = _set_up(kinds)
    if options.setup_only:
        return 1 if failed else 0
    kept.load(options.results)
    found = machine(_PACKAGES)  # its load is that of the others: nothing runs yet
    found["versions"] |= _pins(kinds)
    document: Document = begin("pools", found, quick=options.quick)
    chosen = [kind for kind in kinds if kind.name not in failed]
    contenders = measure(
        chosen,
        QUICK if options.quick else FULL,
        has_flow=FLOW in names,
        rng=random.Random(options.seed),
    )
    failed |= {each.title: each.failure for each in contenders if each.failure}
    document |= {
        "results": [each.as_json() for each in contenders],
        "failed": failed,
    }
    print(pool_table.plain(document))
    for name, why in failed.items():
        print(f"{name} could not be measured: {why}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.results or not options.names:  # a few would take the place of all
        kept.keep(document, options.results)
    return 1 if failed else 0


def measure(
    kinds: Sequence[ToolKind], plan: Plan, *, has_flow: bool, rng: random.Random
) -> list[Contender]:
    """All figures of these pools, and of ours before them."""
    with ExitStack() as stack:
        tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flow-bench-")))
        contenders = []
        if has_flow:
            ours = FlowPool(Bench(quick=not plan.has_fresh, tmp=tmp, rng=rng))
            stack.callback(ours.close)
            contenders.append(Contender(FLOW, "isolated cells", ours))
        for kind in kinds:
            (tmp / kind.name).mkdir()
            process = ToolProcess(kind, tmp / kind.name, here=not kind.environment)
            stack.callback(process.close)
            contenders.append(Contender(kind.name, kind.title, process))
        _easy(contenders, plan, rng)
        _hard(contenders, plan, rng)
        for each in contenders:
            each.ask("end")
    return contenders


def _easy(contenders: list[Contender], plan: Plan, rng: random.Random) -> None:
    """What is only a time."""
    for figure in pool_table.FIGURES:
        _say(figure)
        more = {"count": plan.numbers} if figure.startswith("array_") else {}
        for _ in range(plan.warm_up.get(figure, 0)):
            for each in contenders:
                each.ask(figure, **more)
        taken = [_taker(each, figure, more) for each in contenders]
        in_turn(plan.turns[figure], rng, taken)


def _taker(contender: Contender, figure: str, more: dict[str, Any]) -> Callable[[int], object]:
    return lambda _: contender.take(figure, **more)


def _hard(contenders: list[Contender], plan: Plan, rng: random.Random) -> None:
    """A worker that dies, and one that never ends."""

    def crash(each: Contender) -> None:
        each.take("crash")
        each.take_way("after_crash", "after", within_s=plan.within_s)

    def run_away(each: Contender) -> None:
        request = {"timeout_s": plan.timeout_s, "patience_s": plan.patience_s}
        answer = each.take_way("run_away", "run_away", **request)
        if answer is not None and answer["how"] is not None:
            each.take_way("after_run_away", "after", within_s=plan.within_s)
        else:
            each.ask("end")  # it would take a core from the others

    for name, test in (("crash", crash), ("run_away", run_away)):
        _say(name)
        tested = [_tester(each, test, has_fresh=plan.has_fresh) for each in contenders]
        in_turn(plan.turns["hard"], rng, tested)


def _tester(
    contender: Contender, test: Callable[[Contender], None], *, has_fresh: bool
) -> Callable[[int], None]:
    def take(_: int) -> None:
        if has_fresh:
            contender.ask("start")
        test(contender)

    return take


def _set_up(kinds: Sequence[ToolKind]) -> dict[str, str]:
    """Make the environments; which could not be made, and why."""
    failed = {}
    for kind in kinds:
        if kind.environment:
            try:
                set_up(kind.environment, has_kernel=False)
            except (OSError, RuntimeError) as error:
                failed[kind.name] = f"{type(error).__name__}: {error}"[:400]
    return failed


def _pins(kinds: Sequence[ToolKind]) -> dict[str, str]:
    """The versions of the peers."""
    pins = [pin for kind in kinds if kind.environment for pin in pinned(kind.environment)]
    return {name: version for name, version in (pin.split("==") for pin in pins) if name != "numpy"}


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _summary(taken: Sequence[float]) -> dict[str, Any]:
    """Median and spread; None for both where there is no time to be taken."""
    if any(map(math.isnan, taken)):
        return {"value": None, "spread": None, "samples": len(taken)}
    return {
        "value": _short(statistics.median(taken)),
        "spread": [_short(edge) for edge in spread(taken)],
        "samples": len(taken),
    }


def _short(number: float) -> float:
    return float(f"{number:.5g}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pools.py", description="Isolated cells beside pools.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    parser.add_argument("--setup-only", action="store_true", help="make the environments, stop")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the turns")
    kept.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(kept.guarded(main))
