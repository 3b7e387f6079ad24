"""What a step of a workflow costs, in a process of its own and in that of the runner.

Called by `workflows.py`. The peer is the same run with a fresh interpreter for each step, turn by
turn. A chain is timed from step to step, so what the first one waits for is a figure of its own.
"""

import statistics
from collections.abc import Callable
from typing import Any, Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Pairs,
    Result,
    Target,
    alone,
    alternate,
    in_turn,
    pairs_of,
    side_by_side,
)
from workflow_home import INC, LENGTH, BenchHome, Taken

SUBPROCESS: Final = "subprocess steps"
_PANDAS: Final = f"import pandas as pd\n{INC}"
_SLEEP: Final = "import time; time.sleep({})"
_BUDGET_S: Final = 60.0

_STEP: Final = Figure(
    name="fork_step",
    title="isolated step, to the next one",
    unit="ms",
    target=Target(at_most=4),
)
_STEP_P95: Final = Figure(
    name="fork_step_p95", title="the same, p95 of a chain", unit="ms", target=Target(at_most=8)
)
_STEP_RATIO: Final = Figure(
    name="fork_step_ratio",
    title="the same, beside a fresh interpreter",
    unit="ms",
    target=Target(at_most=0.2, of="ratio"),
)
_FIRST: Final = Figure(
    name="fork_first", title="a new run until its first isolated step is over", unit="ms"
)
_PANDAS_STEP: Final = Figure(
    name="fork_pandas",
    title="isolated step that imports pandas, warm",
    unit="ms",
    target=Target(at_most=10),
)
_FAN: Final = Figure(
    name="fan_100",
    title="100 isolated steps side by side, 2 places, the whole run",
    unit="ms",
    target=Target(at_most=250),
)
_FAN_WARM: Final = Figure(
    name="fan_100_warm",
    title="the same, from the end of the first step to that of the last",
    unit="ms",
    target=Target(at_most=250),
)
_BRANCHES: Final = Figure(
    name="branches",
    title="0.2 s then 0.8 s beside 0.8 s then 0.2 s",
    unit="ms",
    target=Target(at_most=1050),
)
_INLINE: Final = Figure(
    name="inline_step",
    title="durable step in the process of the runner, survives a kill",
    unit="ms",
    target=Target(at_most=0.1),
)
_INLINE_DURABLE: Final = Figure(
    name="inline_step_durable",
    title="the same, survives a power loss",
    unit="ms",
    target=Target(at_most=0.9),
)


def _taker(home: BenchHome, workflow: Any, executor: str, **options: Any) -> Callable[[int], Taken]:
    return lambda _: home.run(workflow, executor, **options)


def _chain(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("chain"))
    chain = home.chain(bench.count(LENGTH, 3))
    home.run(chain, "fork")
    taken = alternate(
        bench.count(15, 2),
        bench.rng,
        ours=_taker(home, chain, "fork"),
        peer=_taker(home, chain, "subprocess"),
    )
    home.close()
    middle = pairs_of([(_median(ours), _median(peer)) for ours, peer in taken])
    high = pairs_of([(_p95(ours), _p95(peer)) for ours, peer in taken])
    first = pairs_of([(ours.ended_ms[0], peer.ended_ms[0]) for ours, peer in taken])
    return [
        side_by_side(figure, pairs, peer=SUBPROCESS)
        for figure, pairs in (
            (_STEP, middle),
            (_STEP_P95, high),
            (_STEP_RATIO, middle),
            (_FIRST, first),
        )
    ]


def _pandas(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("pandas"))
    ours = home.chain(bench.count(20, 4), _PANDAS)
    peer = home.workflow([{"id": f"s{at}", "file": "inc.py"} for at in range(2)], n=0)
    home.run(ours, "fork")
    taken = alternate(
        bench.count(7, 1),
        bench.rng,
        ours=lambda _: statistics.median(home.run(ours, "fork").gaps_ms[2:]),
        peer=lambda _: home.run(peer, "subprocess").gaps_ms[0],
    )
    home.close()
    return [side_by_side(_PANDAS_STEP, pairs_of(taken), peer=SUBPROCESS)]


def _fan(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("fan"))
    home.chain(1)
    fan = home.workflow(
        [{"id": f"s{at:03}", "file": "inc.py", "order": 1} for at in range(bench.count(100, 4))],
        n=0,
    )
    home.run(fan, "fork")
    taken = alternate(
        bench.count(9, 1),
        bench.rng,
        ours=_taker(home, fan, "fork"),
        peer=_taker(home, fan, "subprocess"),
    )
    home.close()
    whole = pairs_of([(ours.whole_ms, peer.whole_ms) for ours, peer in taken])
    between = pairs_of([(_between(ours), _between(peer)) for ours, peer in taken])
    return [
        side_by_side(_FAN, whole, peer=SUBPROCESS),
        side_by_side(_FAN_WARM, between, peer=SUBPROCESS),
    ]


def _branches(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("branches"))
    naps = {"a": 0.2, "b": 0.8, "c": 0.8, "d": 0.2}
    needs = {"a": [], "b": ["a"], "c": [], "d": ["c"]}
    found = home.workflow(
        [
            {"id": name, "code": _SLEEP.format(nap), "needs": needs[name]}
            for name, nap in naps.items()
        ]
    )
    taken = [home.run(found, "fork").whole_ms for _ in range(bench.count(5, 1))]
    home.close()
    return [alone(_BRANCHES, taken, note="the whole run; 1,000 ms are slept")]


def _inline(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("inline"))
    chain = home.chain(bench.count(LENGTH, 3))
    home.run(chain, "inline")
    safe, durable = in_turn(
        bench.count(40, 2),
        bench.rng,
        [_taker(home, chain, "inline"), _taker(home, chain, "inline", is_durable=True)],
        budget_s=_BUDGET_S,
    )
    home.close()
    pairs = Pairs([_median(each) for each in durable], [_median(each) for each in safe])
    return [
        alone(_INLINE, pairs.peers),
        side_by_side(_INLINE_DURABLE, pairs, peer="survives a kill only"),
    ]


def _between(taken: Taken) -> float:
    return taken.ended_ms[-1] - taken.ended_ms[0]


def _median(taken: Taken) -> float:
    return statistics.median(taken.gaps_ms)


def _p95(taken: Taken) -> float:
    gaps = taken.gaps_ms
    return statistics.quantiles(gaps, n=20, method="inclusive")[-1]


BENCHMARKS: Final = (
    Benchmark(name="chain", about="isolated steps, one after the other", run=_chain),
    Benchmark(name="pandas", about="isolated steps that import pandas", run=_pandas),
    Benchmark(name="fan", about="isolated steps side by side", run=_fan),
    Benchmark(name="branches", about="branches that wait for themselves alone", run=_branches),
    Benchmark(name="inline", about="steps in the process of the runner", run=_inline),
)
