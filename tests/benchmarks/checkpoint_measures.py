"""What is measured of each checkpoint tool on one session, turn by turn.

Called by `checkpoints.py`.

What a tool costs is its cell less the same cell in a shell without any tool, in the same turn. All
sessions are alive together and who goes first is drawn anew for each turn.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checkpoint_process import (
    BARE,
    FLOW,
    PLAIN,
    ToolFailedError,
    ToolKind,
    ToolProcess,
    cost_ms,
    processes,
)
from checkpoint_rows import Samples, rows
from checkpoint_session import BURST, CALLS, EDIT, STEPS, Step, build_cells
from checkpoint_table import Row
from harness import Bench
from live import KernelLostError

_MB: Final = 1e6
_MEASURED_EDITS: Final = 100
_EVERYTHING_BACK: Final = (
    "df.shape[1] == 10 and nested['k5']['a'] == 5 and list3 == [3] * 50 and pair[0] is list0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, and how much of it.

    Attributes:
        kinds: The tools, BARE among them.
        size_mb: Of the session.
        scale: Of its small objects.
        has_models: Whether scikit-learn is there.
        here: True to use this interpreter and no environment.
        bench: The dice and the folder.
    """

    kinds: Sequence[ToolKind]
    size_mb: float
    scale: float
    has_models: bool
    here: bool
    bench: Bench

    @property
    def cells(self) -> list[str]:
        """Those that make the session."""
        return build_cells(self.size_mb, scale=self.scale, has_models=self.has_models)


def measure(plan: Plan, failed: dict[str, str]) -> list[Row]:
    """All figures at one size; what a tool could not do is noted in `failed`."""
    samples = Samples()
    root = plan.bench.folder(f"size-{plan.size_mb:g}")
    for number in range(plan.bench.count(2, 0)):
        _first_alone(plan, root / f"first-{number}", samples, has_edits=number == 0)
    with processes(plan.kinds, root / "steps", here=plan.here) as started:
        alive = dict(started)
        first = _build(plan, alive, samples)
        for step in STEPS:
            _say(f"{plan.size_mb:g} MB, {step.title}")
            _step(plan, alive, step, samples)
        _burst(plan, alive, samples)
        _calls(plan, alive, samples)
        newest = {name: tool.ask("here")["id"] for name, tool in _tools(alive).items()}
        for name, tool in list(_tools(alive).items()):
            code = _EVERYTHING_BACK if tool.kind.saves_each_cell else "True"
            _back(alive, name, first[name], samples, figure="far", must=code)
        _elsewhere(plan, alive, newest, samples)
    failed |= {f"{figure}, {plan.size_mb:g} MB": why for figure, why in samples.failed.items()}
    return rows(plan.size_mb, samples)


def _tools(alive: Mapping[str, ToolProcess]) -> dict[str, ToolProcess]:
    return {name: tool for name, tool in alive.items() if tool.kind is not BARE}


def _first_alone(plan: Plan, root: Path, samples: Samples, *, has_edits: bool) -> None:
    """The first full checkpoint of our own in a new process; once with a hundred edits after it."""
    kinds = [kind for kind in plan.kinds if kind in (FLOW, PLAIN)]
    _say(f"{plan.size_mb:g} MB, the first checkpoint" + (" and 100 edits" if has_edits else ""))
    with processes(kinds, root, here=plan.here) as alive:
        for name, tool in alive.items():
            for cell in plan.cells:
                tool.ask("quiet", code=cell)
            stored = _saved(tool, samples)
            if has_edits:
                for turn in range(plan.bench.count(_MEASURED_EDITS, 3)):
                    stored += tool.ask("cell", code=EDIT.format(turn=turn))["bytes"]
                samples.add("hundred", name, stored / (plan.size_mb * _MB))


def _build(plan: Plan, alive: Mapping[str, ToolProcess], samples: Samples) -> dict[str, str]:
    """Makes every session and keeps it once; the ids of those checkpoints."""
    _say(f"{plan.size_mb:g} MB, making {len(alive)} sessions")
    bare = [alive["bare"].ask("cell", code=cell) for cell in plan.cells]
    bare_ms = sum(answer["ms"] for answer in bare)
    first = {}
    for name, tool in _tools(alive).items():
        if name == "kishu":  # it keeps each cell: the first checkpoint is what all of them cost
            answers = [tool.ask("cell", code=cell) for cell in plan.cells]
            samples.add("first", name, sum(answer["ms"] for answer in answers) - bare_ms)
            samples.add("durable", name, sum(answer["ms"] for answer in answers) - bare_ms)
            samples.add("first_bytes", name, sum(answer["bytes"] for answer in answers) / _MB)
        else:
            for cell in plan.cells:
                tool.ask("quiet", code=cell)
            _saved(tool, samples)
        first[name] = tool.ask("here")["id"]
        # Kishu cannot go back any more after a commit that was asked for ("KeyError: 'inner'").
        for _ in range(plan.bench.count(tool.kind.slow or 5, 1) if name != "kishu" else 0):
            answer = tool.ask("save")
            samples.add("again", name, answer["ms"])
            samples.add("again_durable", name, answer["durable_ms"])
    return first


def _saved(tool: ToolProcess, samples: Samples) -> float:
    answer = tool.ask("save")
    samples.add("first", tool.kind.name, answer["ms"])
    samples.add("durable", tool.kind.name, answer["durable_ms"])
    samples.add("first_bytes", tool.kind.name, answer["bytes"] / _MB)
    return float(answer["bytes"])


def _step(plan: Plan, alive: dict[str, ToolProcess], step: Step, samples: Samples) -> None:
    turns = plan.bench.count(7 if plan.size_mb < 500 else 5, 1)
    for turn in range(turns):
        bare_ms, taken = 0.0, {}
        order = [
            name
            for name, tool in alive.items()
            if (tool.kind.slow is None or turn < tool.kind.slow)
            and (tool.kind.saves_each_cell or step.name in ("edit", "drop"))
        ]
        plan.bench.rng.shuffle(order)
        for name in order:
            tool = alive[name]
            before = tool.ask("here")["id"]
            answer = tool.ask("cell", code=step.cell.format(turn=turn))
            if name == "bare":
                bare_ms = answer["ms"]
            else:
                taken[name] = answer
            if step.is_undone:
                _undo(alive, name, before, samples)
        for name, answer in taken.items():
            samples.add(step.name, name, cost_ms(answer, bare_ms))
            samples.add(f"{step.name}_durable", name, cost_ms(answer, bare_ms, field="durable_ms"))
            samples.add(f"{step.name}_bytes", name, answer["bytes"] / _MB)


def _undo(alive: dict[str, ToolProcess], name: str, before: str, samples: Samples) -> None:
    """Back by one cell; where a tool cannot, the column is made anew for the next turn."""
    tool = alive[name]
    if tool.kind.saves_each_cell and tool.kind is not BARE:
        _back(alive, name, before, samples, figure="undo", must="'c9' in df.columns")
        return
    if tool.kind is not BARE:  # its file was written after the cell: what it costs to load
        _back(alive, name, before, samples, figure="undo", must="True")
    tool.ask("quiet", code="df['c9'] = rng.standard_normal(len(df))")


def _back(
    alive: dict[str, ToolProcess],
    name: str,
    to: str,
    samples: Samples,
    *,
    figure: str,
    must: str,
) -> None:
    """A way back; a tool that fails on it, or comes to another state, is out."""
    try:
        answer = alive[name].ask("back", to=to)
        holds = alive[name].ask("value", code=must)["value"]
        why = "" if holds else f"it went back, and this does not hold: {must}"
    except ToolFailedError as error:
        why = str(error)
    if why:
        samples.failed[f"{figure}, {name}"] = why
        del alive[name]
    else:
        samples.add(figure, name, answer["ms"])


def _burst(plan: Plan, alive: Mapping[str, ToolProcess], samples: Samples) -> None:
    """Edits without a pause, where a tool may have to wait for what it began before."""
    _say(f"{plan.size_mb:g} MB, edits without a pause")
    shells = [name for name, tool in alive.items() if tool.kind.saves_each_cell]
    for turn in range(plan.bench.count(5, 1)):
        order = [name for name in shells if turn < (alive[name].kind.slow or 99)]
        plan.bench.rng.shuffle(order)
        codes = [EDIT.format(turn=1000 + turn * BURST + number) for number in range(BURST)]
        took = {name: float(alive[name].ask("cells", codes=codes)["ms"]) for name in order}
        for name in order:
            if name != "bare":
                samples.add("burst", name, took[name] - took["bare"])


def _calls(plan: Plan, alive: Mapping[str, ToolProcess], samples: Samples) -> None:
    """How much slower a loop of the user's own calls is."""
    shells = [name for name, tool in alive.items() if tool.kind.saves_each_cell]
    for turn in range(plan.bench.count(7, 1)):
        order = [name for name in shells if turn < (alive[name].kind.slow or 99)]
        plan.bench.rng.shuffle(order)
        took = {}
        for name in order:
            alive[name].ask("cell", code=CALLS)
            took[name] = float(alive[name].ask("value", code="_took")["value"])
        for name in order:
            if name != "bare":
                samples.add("calls", name, took[name] / took["bare"])


def _elsewhere(
    plan: Plan, alive: Mapping[str, ToolProcess], ids: Mapping[str, str], samples: Samples
) -> None:
    """Everything into a new process, its imports included and apart."""
    from checkpoint_restore import restored_ms  # it knows our kernel; the rest does not

    for name, tool in _tools(alive).items():
        if name == "kishu":
            continue  # its checkout needs the kernel that it followed
        for warm in (False, True):
            figure = "elsewhere_warm" if warm else "elsewhere"
            for number in range(plan.bench.count(3, 1)):
                folder = tool.folder / f"{figure}-{number}"
                folder.mkdir()
                try:
                    took = restored_ms(
                        tool, ids[name], folder, warm=warm, has_models=plan.has_models
                    )
                except (ToolFailedError, KernelLostError) as error:
                    samples.failed[f"{figure}, {name}"] = str(error)
                    break
                samples.add(figure, name, took)


def _say(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)
