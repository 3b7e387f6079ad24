"""A run as HTML: its state, the picture of its graph, what can be done, and its outputs (pure).

Called by `%workflow`, where it is drawn again while the run goes on, and by reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from flow_kernel.records.plain import one_line
from flow_kernel.workflow import picture, picture_details
from flow_kernel.workflow.critical_path import CriticalPath
from flow_kernel.workflow.layout import Layout, layout_of
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.picture import safe
from flow_kernel.workflow.picture_details import details_of
from flow_kernel.workflow.picture_folded import Fold, folded_svg, folds_of
from flow_kernel.workflow.picture_sight import (
    MARKS,
    Sight,
    chain_of,
    counts_text,
    critical_of,
    error_text,
    state_of,
    title_of,
    ways_on,
)
from flow_kernel.workflow.picture_text import text_of
from flow_kernel.workflow.states import FAILED, RunStatus, StepState

_STYLE: Final = f"""<style>
.flow-wf{{font-size:13px;line-height:1.5;overflow-wrap:anywhere}}
.flow-wf .hd{{display:flex;gap:.1em 1em;align-items:baseline;flex-wrap:wrap}}
.flow-wf .hd b{{font-weight:600}}.flow-wf .hd .st{{color:var(--c);font-weight:600}}
.flow-wf .d{{opacity:.75}}.flow-wf .er{{color:#d0553a}}.flow-wf .gr{{overflow-x:auto;margin:.4em 0}}
.flow-wf .ll{{font:12px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;white-space:nowrap;
overflow:hidden;text-overflow:ellipsis;opacity:.8}}
{picture.STYLE}{picture_details.STYLE}</style>"""
_STATES: Final = {
    RunStatus.SUCCESS: StepState.OK,
    RunStatus.FAILED: StepState.ERROR,
    RunStatus.WAITING: StepState.WAITING,
    RunStatus.RUNNING: StepState.RUNNING,
    RunStatus.PENDING: StepState.PENDING,
    RunStatus.CANCELLED: StepState.CANCELLED,
}
_MOST_FAILED: Final = 5
_TAILS: Final = 4


@dataclass(frozen=True)
class Drawing:
    """What stays the same while a run goes on: where its boxes stand, found once."""

    steps: tuple[Step, ...]

    @cached_property
    def layout(self) -> Layout | None:
        """None where there are too many for a box each."""
        return layout_of(self.steps)

    @cached_property
    def folds(self) -> list[Fold]:
        """What stands in one row where there are too many."""
        return folds_of(self.steps)

    def bundle(self, sight: Sight, *, has_details: bool = True) -> dict[str, str]:
        """What a display takes: text and a piece of a page, by MIME type.

        Args:
            sight: What to show.
            has_details: False to leave out what can be opened, which closes when it is drawn again.
        """
        path = critical_of(sight)
        folds = self.folds if self.layout is None else None
        html = "".join(self._parts(sight, path, has_details))
        return {"text/plain": text_of(sight, folds=folds, path=path), "text/html": html}

    def _parts(self, sight: Sight, path: CriticalPath, has_details: bool) -> Iterator[str]:
        run = sight.run
        state = _STATES[run.status]
        yield f'{_STYLE}<div class="flow-wf"><div class="hd {state}"><b>{safe(title_of(sight))}</b>'
        status, _, rest = state_of(sight).partition(" · ")
        yield f'<span class="st">{MARKS[state]} {safe(status)}</span>'
        yield f'<span class="d">{safe(rest)}</span></div>'
        if chain := chain_of(sight, path):
            yield f'<div class="d">{safe(chain)}</div>'
        yield '<div class="gr">'
        if not sight.steps:
            yield f"<div>{safe(counts_text(step.state for step in run.steps))}</div>"
        elif self.layout is None:
            yield folded_svg(sight, self.folds)
        else:
            yield picture.svg_of(sight, self.layout, path)
        yield "</div>"
        yield from _tails(sight)
        yield from _failures(sight)
        for way in ways_on(run):
            yield f'<div class="d">{safe(way)}</div>'
        if has_details:
            yield details_of(sight)
        yield "</div>"


def html_of(sight: Sight) -> str:
    """A run that does not go on now."""
    return Drawing(sight.steps).bundle(sight)["text/html"]


def _tails(sight: Sight) -> Iterator[str]:
    """The last lines of what runs."""
    names = {step.id: step.name for step in sight.run.steps if step.state == StepState.RUNNING}
    shown = [(names[each], line) for each, line in sight.tails.items() if each in names]
    for name, line in shown[:_TAILS]:
        text = f"{one_line(name, 30)} │ {one_line(line, 160)}"
        yield f'<div class="ll">{safe(text)}</div>'


def _failures(sight: Sight) -> Iterator[str]:
    failed = [step for step in sight.run.steps if step.state in FAILED]
    for step in failed[:_MOST_FAILED]:
        text = f"{MARKS[step.state]} {one_line(step.name, 60)}: {error_text(step, 200)}"
        yield f'<div class="er">{safe(text)}</div>'
    if len(failed) > _MOST_FAILED:
        yield f'<div class="er">… {len(failed) - _MOST_FAILED:,} more</div>'
