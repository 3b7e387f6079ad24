"""The graph of a run as one SVG: a box a step, lines for what needs what (pure).

Called by `picture_html`. Ranks run to the right while they fit, and downwards where there are many.
States have a colour and a mark and a word; the critical path is drawn thicker. Colours work on
light and dark ground. No script, and everything that a user named is escaped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple
from unicodedata import combining, east_asian_width

from flow_kernel.records.plain import strip_controls
from flow_kernel.workflow.critical_path import CriticalPath
from flow_kernel.workflow.layout import Layout, Line
from flow_kernel.workflow.picture_sight import (
    MARKS,
    Sight,
    error_text,
    facts_of,
    state_of,
    title_of,
)
from flow_kernel.workflow.views import StepView

_WIDTH: Final = 172
_HEIGHT: Final = 44
_GAP_ALONG: Final = 46
_GAP_DOWN: Final = 34
_GAP_BESIDE: Final = 14
_EDGE: Final = 4
_MOST_ALONG: Final = 4
"""Ranks that stand beside each other on a usual screen."""
_NAME_UNITS: Final = 16.0
_FACT_UNITS: Final = 23.0
_ARROW: Final = 6

STYLE: Final = """
.flow-wf svg .nm{font:600 12.5px system-ui,sans-serif;fill:currentColor}
.flow-wf svg .fa{font:11px system-ui,sans-serif;fill:currentColor;opacity:.8}
.flow-wf svg .mk{font:700 13px system-ui,"DejaVu Sans",sans-serif;text-anchor:middle}
.flow-wf svg rect.bx{stroke-width:1.2;fill-opacity:.1}
.flow-wf svg .cr rect.bx{stroke-width:2.8}
.flow-wf svg .ln{fill:none;stroke:currentColor;stroke-opacity:.42;stroke-width:1.3}
.flow-wf svg .ln.cr{stroke-opacity:.85;stroke-width:3}
.flow-wf svg .ln.fl{stroke:#d0553a;stroke-opacity:.8;stroke-dasharray:4 4}
.flow-wf svg .ar{fill:currentColor;fill-opacity:.55;stroke:none}
.flow-wf svg .ar.cr{fill-opacity:.9}.flow-wf svg .ar.fl{fill:#d0553a;fill-opacity:.9}
.flow-wf .ok{--c:#2a8a5c}.flow-wf .running{--c:#4a7fe0}
.flow-wf .waiting,.flow-wf .cancelled{--c:#b07a1e}
.flow-wf .error,.flow-wf .timeout,.flow-wf .blocked{--c:#d0553a}
.flow-wf .pending,.flow-wf .skipped{--c:#8b8b8b}
.flow-wf svg .bx,.flow-wf svg .mk,.flow-wf svg .br{fill:var(--c)}.flow-wf svg .bx{stroke:var(--c)}
.flow-wf svg .pending .bx,.flow-wf svg .skipped .bx{stroke-dasharray:3 3;fill-opacity:.04}
.flow-wf svg .pending .nm,.flow-wf svg .skipped .nm{opacity:.7}
"""


class _Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where ranks and places are on the drawing."""

    layout: Layout
    is_across: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of all."""
        long, broad = float(len(self.layout.ranks)), self.layout.breadth
        if self.is_across:
            width = long * (_WIDTH + _GAP_ALONG) - _GAP_ALONG
            height = broad * (_HEIGHT + _GAP_BESIDE) - _GAP_BESIDE
        else:
            width = broad * (_WIDTH + _GAP_BESIDE) - _GAP_BESIDE
            height = long * (_HEIGHT + _GAP_DOWN) - _GAP_DOWN
        return round(width + 2 * _EDGE), round(height + 2 * _EDGE)

    def middle(self, rank: int, place: float) -> _Point:
        """The middle of a box."""
        if self.is_across:
            x = rank * (_WIDTH + _GAP_ALONG) + _WIDTH / 2
            y = place * (_HEIGHT + _GAP_BESIDE) - _GAP_BESIDE / 2
        else:
            x = place * (_WIDTH + _GAP_BESIDE) - _GAP_BESIDE / 2
            y = rank * (_HEIGHT + _GAP_DOWN) + _HEIGHT / 2
        return _Point(x + _EDGE, y + _EDGE)

    def ends(self, rank: int, place: float) -> tuple[_Point, _Point]:
        """Where lines arrive at what stands there, and where they leave it."""
        x, y = self.middle(rank, place)
        if self.is_across:
            return _Point(x - _WIDTH / 2, y), _Point(x + _WIDTH / 2, y)
        return _Point(x, y - _HEIGHT / 2), _Point(x, y + _HEIGHT / 2)


def svg_of(sight: Sight, layout: Layout, path: CriticalPath) -> str:
    """The drawing, to be put below `STYLE` in an element of class `flow-wf`.

    Args:
        sight: What to show.
        layout: Of its steps.
        path: Its critical path.
    """
    return "".join(_parts(sight, layout, path))


def _parts(sight: Sight, layout: Layout, path: CriticalPath) -> Iterator[str]:
    is_across = len(layout.ranks) <= max(_MOST_ALONG, layout.breadth / 3)
    ground = _Ground(layout, is_across)
    width, height = ground.size
    yield opening(sight, width, height)
    rank = {name: number for number, names in enumerate(layout.ranks) for name in names}
    yield from _lines(ground, rank, path)
    views = {step.id: step for step in sight.run.steps}
    critical = {*path.steps} if len(path.steps) > 1 else set[str]()
    for name, place in layout.places.items():
        if name in views:
            middle = ground.middle(rank[name], place)
            note = sight.notes.get(name, "")
            yield from _box(views[name], middle, note, is_critical=name in critical)
    yield "</svg>"


def opening(sight: Sight, width: int, height: int) -> str:
    """The tag of a drawing and its title, which a screen reader says."""
    told = safe(f"Run {title_of(sight)}: {state_of(sight)}")
    return (
        f'<svg role="img" aria-label="{told}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" '
        # Its own size wins over the rules that JupyterLab has for pictures.
        f'style="width:{width}px;height:{height}px;max-width:none;display:block">'
        f"<title>{told}</title>"
    )


def _lines(ground: _Ground, rank: Mapping[str, int], path: CriticalPath) -> Iterator[str]:
    critical = {*pairwise(path.steps)}
    kinds: dict[str, list[Line]] = {"": [], " fl": [], " cr": []}
    for line in ground.layout.lines:
        link = line.link
        is_critical = (link.source, link.target) in critical
        kinds[" fl" if link.is_failure else " cr" if is_critical else ""].append(line)
    for kind, lines in kinds.items():
        if not lines:
            continue
        drawn = [_drawn(ground, line, rank) for line in lines]
        yield f'<path class="ln{kind}" d="{"".join(run for run, _ in drawn)}"/>'
        yield f'<path class="ar{kind}" d="{"".join(arrow for _, arrow in drawn)}"/>'


def _drawn(ground: _Ground, line: Line, rank: Mapping[str, int]) -> tuple[str, str]:
    """The run of a line, and the arrow at its end."""
    layout, link = ground.layout, line.link
    _, at = ground.ends(rank[link.source], layout.places[link.source])
    run = f"M{at.x:.0f} {at.y:.1f}"
    for number, place in enumerate(line.bends, rank[link.source] + 1):
        arrives, leaves = ground.ends(number, place)
        run += f"{_bent(at, arrives, ground)}L{leaves.x:.0f} {leaves.y:.1f}"
        at = leaves
    end, _ = ground.ends(rank[link.target], layout.places[link.target])
    x, y = end
    half = _ARROW * 0.62
    if ground.is_across:
        run += _bent(at, _Point(x - _ARROW, y), ground)
        arrow = f"M{x:.0f} {y:.1f}l-{_ARROW} -{half}v{2 * half}z"
    else:
        run += _bent(at, _Point(x, y - _ARROW), ground)
        arrow = f"M{x:.0f} {y:.1f}l-{half} -{_ARROW}h{2 * half}z"
    return run, arrow


def _bent(start: _Point, end: _Point, ground: _Ground) -> str:
    if ground.is_across:
        half = (start.x + end.x) / 2
        first, second = _Point(half, start.y), _Point(half, end.y)
    else:
        half = (start.y + end.y) / 2
        first, second = _Point(start.x, half), _Point(end.x, half)
    numbers = (first, second, end)
    return "C" + " ".join(f"{point.x:.1f} {point.y:.1f}" for point in numbers)


def _box(step: StepView, middle: _Point, note: str, *, is_critical: bool) -> Iterator[str]:
    x, y = middle.x - _WIDTH / 2, middle.y - _HEIGHT / 2
    kind = f"{step.state} cr" if is_critical else str(step.state)
    yield f'<g class="{kind}" transform="translate({x:.0f} {y:.1f})">'
    yield f"<title>{safe(_told(step, note))}</title>"
    yield f'<rect class="bx" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
    yield f'<text class="mk" x="14" y="27">{MARKS[step.state]}</text>'
    yield f'<text class="nm" x="27" y="19">{safe(fitted(step.name, _NAME_UNITS))}</text>'
    facts = fitted(facts_of(step, note), _FACT_UNITS)
    yield f'<text class="fa" x="27" y="34">{safe(facts)}</text></g>'


def _told(step: StepView, note: str) -> str:
    """What is shown where the pointer rests."""
    parts = [strip_controls(step.name)[:200], facts_of(step, note), error_text(step, 300)]
    return "\n".join(part for part in parts if part)


def fitted(text: str, units: float) -> str:
    """`text` on one line, cut where it takes more than the width of so many usual letters."""
    clean = " ".join(strip_controls(text, keep="\n\t").split())
    widths = [*map(_units, clean)]
    if sum(widths) <= units:
        return clean
    left, kept = units - 1, 0
    for width in widths:
        if width > left:
            break
        left -= width
        kept += 1
    return f"{clean[:kept].rstrip()}…"


def _units(char: str) -> float:
    if combining(char):
        return 0.0
    if east_asian_width(char) in "WF":
        return 1.9
    if char in "ijl.,:;'|!ftrI ()[]-":
        return 0.6
    return 1.45 if char in "mwMW@—" else 1.2 if char.isupper() else 1.0


def safe(text: str) -> str:
    """`text` for HTML and SVG."""
    return escape(strip_controls(text, keep="\n"))
