"""A run of very many steps as one SVG: a row for some ranks, with a bar of states (pure).

Called by `picture_html` and `picture_text` where one box a step would be too many.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.plain import one_line
from flow_kernel.workflow.layout import ranks_of
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.picture import fitted, opening, safe
from flow_kernel.workflow.picture_sight import MARKS, ORDER, Sight, counts_text
from flow_kernel.workflow.states import StepState

_MOST_ROWS: Final = 40
_ROW: Final = 30
_LABEL: Final = 190
_BAR: Final = 260
_COUNTS: Final = 300
_EDGE: Final = 4


@dataclass(frozen=True, slots=True)
class Fold:
    """Steps that stand in one row.

    Attributes:
        first: The first of their ranks, from 1.
        last: The last of them.
        names: Their ids.
    """

    first: int
    last: int
    names: tuple[str, ...]


def folds_of(steps: Sequence[Step]) -> list[Fold]:
    """Ranks as rows, as many together as it takes for a picture of one page."""
    ranks = ranks_of(steps)
    together = -(-len(ranks) // _MOST_ROWS) or 1
    return [
        Fold(
            first + 1,
            min(first + together, len(ranks)),
            tuple(name for names in ranks[first : first + together] for name in names),
        )
        for first in range(0, len(ranks), together)
    ]


def label_of(fold: Fold) -> str:
    """`rank 3 · 40 steps`, or the name of the only step."""
    if len(fold.names) == 1:
        return one_line(fold.names[0], 60)
    ranks = f"rank {fold.first}" if fold.first == fold.last else f"ranks {fold.first}-{fold.last}"
    return f"{ranks} · {len(fold.names):,} steps"


def folded_svg(sight: Sight, folds: Sequence[Fold]) -> str:
    """The drawing, to be put below `picture.STYLE` in an element of class `flow-wf`."""
    return "".join(_parts(sight, folds))


def _parts(sight: Sight, folds: Sequence[Fold]) -> Iterator[str]:
    states = {step.id: step.state for step in sight.run.steps}
    most = max((len(fold.names) for fold in folds), default=1)
    yield opening(sight, _LABEL + _BAR + _COUNTS + 2 * _EDGE, len(folds) * _ROW + 2 * _EDGE)
    for number, fold in enumerate(folds):
        yield from _row(fold, states, _EDGE + number * _ROW, most)
    yield "</svg>"


def _row(fold: Fold, states: Mapping[str, StepState], top: int, most: int) -> Iterator[str]:
    counts = Counter(states.get(name, StepState.PENDING) for name in fold.names)
    text = counts_text(counts.elements())
    label = label_of(fold)
    yield f'<g transform="translate({_EDGE} {top})"><title>{safe(f"{label}: {text}")}</title>'
    yield f'<text class="nm" x="18" y="19">{safe(fitted(label, 23))}</text>'
    worst = next(state for state in _BY_CONCERN if counts[state])
    yield f'<g class="{worst}"><text class="mk" x="7" y="19">{MARKS[worst]}</text></g>'
    x = float(_LABEL)
    # Ranks of few steps are seen as well.
    width = max(_BAR * len(fold.names) / most, 12.0)
    for state in ORDER:
        if counts[state]:
            part = width * counts[state] / len(fold.names)
            opacity = ".3" if state == StepState.PENDING else ".85"
            yield f'<g class="{state}"><rect class="br" fill-opacity="{opacity}" '
            yield f'x="{x:.1f}" y="8" width="{part:.1f}" height="14"/></g>'
            x += part
    yield f'<text class="fa" x="{_LABEL + _BAR + 12}" y="19">{safe(fitted(text, 48))}</text></g>'


_BY_CONCERN: Final = (
    *(StepState.ERROR, StepState.TIMEOUT, StepState.BLOCKED, StepState.WAITING, StepState.RUNNING),
    *(StepState.CANCELLED, StepState.PENDING, StepState.OK, StepState.SKIPPED),
)
"""The first that any of them is in marks a row."""
