"""Micro-notebooks that only append, only update or only read: ours beside pickle and Kishu.

Called by `checkpoints.py`. After each cell everything is kept; the figure of a notebook is the sum
over its cells.
"""

import sys
from collections.abc import Sequence
from typing import Final

from checkpoint_process import BARE, ToolKind, cost_ms, processes
from checkpoint_session import micro_notebooks
from checkpoint_table import Row
from harness import Bench

_MOST_STORED: Final = 0.2
_MOST_BLOCKED: Final = 0.05


def measure(kinds: Sequence[ToolKind], bench: Bench, *, here: bool) -> list[Row]:
    """Stored bytes and the user's time for each notebook."""
    rows = []
    for name, cells in micro_notebooks(bench.count(1_000_000, 2_000)).items():
        stored: dict[str, list[float]] = {}
        blocked: dict[str, list[float]] = {}
        for number in range(bench.count(3, 1)):
            print(f"{name} notebook, run {number + 1} …", file=sys.stderr, flush=True)
            chosen = [kind for kind in kinds if kind.slow is None or number < kind.slow]
            root = bench.folder(f"{name}-{number}")
            with processes(chosen, root, here=here) as alive:
                sums = dict.fromkeys(alive, 0.0)
                total = dict.fromkeys(alive, 0.0)
                for cell in cells[: bench.count(len(cells), 4)]:
                    order = list(alive)
                    bench.rng.shuffle(order)
                    answers = {tool: alive[tool].ask("cell", code=cell) for tool in order}
                    bare_ms = answers[BARE.name]["ms"]
                    for tool, answer in answers.items():
                        sums[tool] += cost_ms(answer, bare_ms) / len(cells)
                        total[tool] += answer["bytes"] / 1e6
            for tool in alive:
                if tool != BARE.name:
                    blocked.setdefault(tool, []).append(sums[tool])
                    stored.setdefault(tool, []).append(total[tool])
        saves = f"{len(cells)} cells"
        rows += [
            Row(
                name=f"micro_{name}_blocked",
                title=f"{name} notebook, {saves}: blocked a cell",
                unit="ms",
                samples=blocked,
                at_most=_MOST_BLOCKED,
                of="pickle",
            ),
            Row(
                name=f"micro_{name}_stored",
                title=f"{name} notebook, {saves}: stored",
                unit="MB",
                samples=stored,
                at_most=_MOST_STORED,
                of="pickle",
            ),
        ]
    return rows
