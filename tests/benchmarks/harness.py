"""What every benchmark shares: fair pairs, medians with their spread, results.

Called by the benchmark families beside this file, by `run.py` and by `peers.py`.

A figure is never taken alone. Two things are measured turn by turn in one run, who goes first is
drawn anew for each turn, and the figure is the median over the turns: a machine that gets slower
for a while then slows both. The spread is the range from the 25th to the 75th percentile.
"""

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")
TargetOf = Literal["value", "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a benchmark is given: how long it may take, a directory of its own, and the dice."""

    quick: bool
    tmp: Path
    rng: random.Random

    def count(self, full: int, quick: int) -> int:
        """How often to repeat: `full`, or `quick` to show only that the machinery works."""
        return quick if self.quick else full

    def folder(self, name: str) -> Path:
        """A new empty directory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.tmp))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The most, or the least, that a value or its ratio to the peer may be."""

    at_most: float | None = None
    at_least: float | None = None
    of: TargetOf = "value"

    def is_met_by(self, measured: float) -> bool:
        """Whether `measured`, a value or a ratio as `of` says, is within the limits."""
        is_low = self.at_most is None or measured <= self.at_most
        return is_low and (self.at_least is None or measured >= self.at_least)

    def text(self, unit: str) -> str:
        """`≤ 1.05x` or `≥ 0.2 ms`."""
        limits = {"≥": self.at_least, "≤": self.at_most}
        unit = "x" if self.of == "ratio" else f" {unit}"
        return ", ".join(f"{sign} {n:g}{unit}" for sign, n in limits.items() if n is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is measured: a name for programs, a title for people, the unit, and what is wanted."""

    name: str
    title: str
    unit: str
    target: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the table.

    Attributes:
        figure: What was measured.
        value: Of ours, most often the median.
        spread: 25th and 75th percentile of ours.
        samples: How many turns, or single measurements.
        peer: What it is beside.
        peer_value: Of the peer.
        ratio: Ours over the peer's, turn by turn.
        ratio_spread: 25th and 75th percentile of that.
        peer_beside_itself: 25th and 75th percentile of the peer's turns, each over the one before
            it: what chance alone does to a ratio.
        note: What has to be known to read it.
    """

    figure: Figure
    value: float
    spread: tuple[float, float]
    samples: int
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    ratio_spread: tuple[float, float] | None = None
    peer_beside_itself: tuple[float, float] | None = None
    note: str = ""

    @property
    def meets(self) -> bool | None:
        """Whether the target is reached; None without one."""
        target = self.figure.target
        if target is None:
            return None
        measured = self.ratio if target.of == "ratio" else self.value
        return measured is not None and target.is_met_by(measured)

    def as_json(self) -> dict[str, object]:
        """The result as one object, numbers with five significant digits."""
        figure = self.figure
        return {
            "name": figure.name,
            "title": figure.title,
            "unit": figure.unit,
            "value": _short(self.value),
            "spread": [_short(edge) for edge in self.spread],
            "samples": self.samples,
            "peer": self.peer,
            "peer_value": None if self.peer_value is None else _short(self.peer_value),
            "ratio": None if self.ratio is None else _short(self.ratio),
            "ratio_spread": _edges(self.ratio_spread),
            "peer_beside_itself": _edges(self.peer_beside_itself),
            "target": None if figure.target is None else figure.target.text(figure.unit),
            "meets": self.meets,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark that `run.py` can be asked for by name; a soak runs only when it is."""

    name: str
    about: str
    run: Callable[[Bench], list[Result]]
    is_soak: bool = False


@dataclass(slots=True)
class Pairs:
    """The samples of two contenders, taken turn by turn."""

    ours: list[float] = field(default_factory=list)
    peers: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Ours over the peer's, turn by turn."""
        return [ours / peers for ours, peers in zip(self.ours, self.peers, strict=True) if peers]

    @property
    def differences(self) -> list[float]:
        """Ours minus the peer's, turn by turn."""
        return [ours - peers for ours, peers in zip(self.ours, self.peers, strict=True)]

    @property
    def peer_beside_itself(self) -> tuple[float, float] | None:
        """The spread of the peer's turns, each over the one before it; None without two."""
        ratios = [after / before for before, after in itertools.pairwise(self.peers) if before]
        return spread(ratios) if ratios else None


def in_turn(
    turns: int,
    rng: random.Random,
    contenders: Sequence[Callable[[int], T]],
    *,
    budget_s: float | None = None,
) -> list[list[T]]:
    """Lets every contender take one sample in every turn, in an order drawn for each turn.

    Args:
        turns: How many.
        rng: The dice.
        contenders: Each takes its sample of the turn with the given number.
        budget_s: No turn begins after this time, but two are always taken.

    Returns:
        The samples of each contender, all of the same length.
    """
    columns: list[list[T]] = [[] for _ in contenders]
    order = list(range(len(contenders)))
    deadline = None if budget_s is None else time.monotonic() + budget_s
    for turn in range(turns):
        if deadline is not None and turn >= 2 and time.monotonic() > deadline:
            break
        rng.shuffle(order)
        for who in order:
            columns[who].append(contenders[who](turn))
    return columns


def alternate(
    turns: int, rng: random.Random, *, ours: Callable[[int], T], peer: Callable[[int], T]
) -> list[tuple[T, T]]:
    """Measures us and one peer `in_turn`: (ours, peer) of each turn."""
    mine, others = in_turn(turns, rng, [ours, peer])
    return list(zip(mine, others, strict=True))


def pairs_of(taken: Sequence[tuple[float, float]]) -> Pairs:
    """The same samples as two columns."""
    return Pairs([mine for mine, _ in taken], [other for _, other in taken])


def spread(samples: Sequence[float]) -> tuple[float, float]:
    """The 25th and the 75th percentile."""
    if len(samples) < 2:
        return (samples[0], samples[0])
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (low, high)


def side_by_side(figure: Figure, pairs: Pairs, *, peer: str, note: str = "") -> Result:
    """Our median beside the peer's; the ratio is the median of the ratios of the turns."""
    return _compared(figure, pairs, pairs.ours, peer=peer, note=note)


def on_top_of(figure: Figure, pairs: Pairs, *, peer: str, note: str = "") -> Result:
    """What we cost on top of the peer: the median of the differences of the turns."""
    return _compared(figure, pairs, pairs.differences, peer=peer, note=note)


def alone(figure: Figure, samples: Sequence[float], *, note: str = "") -> Result:
    """A figure that has no counterpart elsewhere."""
    return Result(
        figure=figure,
        value=statistics.median(samples),
        spread=spread(samples),
        samples=len(samples),
        note=note,
    )


def _compared(
    figure: Figure, pairs: Pairs, samples: Sequence[float], *, peer: str, note: str
) -> Result:
    ratios = pairs.ratios
    return Result(
        figure=figure,
        value=statistics.median(samples),
        spread=spread(samples),
        samples=len(samples),
        peer=peer,
        peer_value=statistics.median(pairs.peers),
        ratio=statistics.median(ratios) if ratios else None,
        ratio_spread=spread(ratios) if ratios else None,
        peer_beside_itself=pairs.peer_beside_itself,
        note=note,
    )


def _edges(edges: tuple[float, float] | None) -> list[float] | None:
    return None if edges is None else [_short(edge) for edge in edges]


def _short(number: float) -> float:
    return float(f"{number:.5g}")
