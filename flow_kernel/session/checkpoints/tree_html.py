"""A tree of checkpoints as HTML: one inline SVG for the lanes, one row of words for each (pure).

Called by `%checkpoint list`, `%checkpoint tree` and `tree_page`. No script, and everything that a
user named is escaped. The rows have one height, so that the lines of the drawing meet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from flow_kernel.records.plain import human_bytes, one_line, strip_controls
from flow_kernel.session.checkpoints.comparison import Change
from flow_kernel.session.checkpoints.tree import Gap, Node, Tree
from flow_kernel.session.checkpoints.tree_text import (
    DAMAGED,
    HERE,
    first_words,
    remarks_of,
    taken_at,
)

_ROW: Final = 26
_LANE: Final = 14
_EDGE: Final = 9
_MOST_LANES: Final = 24
_MOST_NAMES: Final = 10
_COLOURS: Final = 6

STYLE: Final = """
.flow-tree{display:grid;grid-template-columns:auto fit-content(17em) 1fr auto auto auto auto;
grid-auto-rows:26px;align-items:center;font-size:13px;line-height:26px;column-gap:1.1em;
max-width:84em;--l0:#3f86c8;--l1:#c2702c;--l2:#3a9a63;--l3:#9a66c4;--l4:#a8832f;--l5:#c4556b}
.flow-tree>*{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;min-width:0}
.flow-tree svg{display:block;align-self:start;overflow:visible;margin:0 -.4em 0 0}
.flow-tree .h,.flow-tree .d{opacity:.7}.flow-tree .h{font-size:12px}
.flow-tree .n{text-align:right;font-variant-numeric:tabular-nums;opacity:.75}
.flow-tree .nm{display:flex;align-items:center}
.flow-tree b{font-weight:600;overflow:hidden;text-overflow:ellipsis}.flow-tree a{color:inherit}
.flow-tree .id{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12px}
.flow-tree .on{border:1px solid;border-radius:9px;padding:0 .5em;font-size:11px;margin-left:.5em;
color:#3f86c8;line-height:16px;flex:none}
.flow-tree .add{color:#2f9160}.flow-tree .mod{color:#b07a1e}.flow-tree .del{color:#cf533b}
.flow-tree .w{color:#b07a1e}
@media(max-width:44em){.flow-tree{grid-template-columns:auto minmax(0,1fr) minmax(0,1fr) auto}
.flow-tree .x{display:none}}
"""
_CLASSES: Final = {"+": "add", "~": "mod", "-": "del"}


def tree_html(tree: Tree, *, links: bool = False) -> str:
    """The picture, to be put below `STYLE`.

    Args:
        tree: What to show.
        links: True where each name leads to `#c-<id>` on the same page.
    """
    return "".join(_parts(tree, links))


def _parts(tree: Tree, links: bool) -> Iterator[str]:
    rows = [*_spread(tree.rows)]
    yield '<div class="flow-tree">'
    yield '<span class="h"></span><span class="h">name</span><span class="h">what changed</span>'
    yield '<span class="h n x">variables</span><span class="h n">new</span>'
    yield '<span class="h x">taken (UTC)</span><span class="h x">id</span>'
    yield _svg(rows, min(tree.width, _MOST_LANES))
    for row in rows:
        if isinstance(row, Node):
            yield from _node(row, links)
        else:
            cut = "what was before it is deleted"
            words = f"{row.count:,} more" if isinstance(row, Gap) else cut
            yield f'<span class="d">{words}</span><span></span>'
            yield '<span class="x"></span><span></span><span class="x"></span>'
            yield '<span class="x"></span>'
    yield "</div>"


@dataclass(frozen=True, slots=True)
class _Cut:
    """The row below a node whose parent was deleted."""

    node: Node


_Row = Node | Gap | _Cut


def _spread(rows: Iterable[Node | Gap]) -> Iterator[_Row]:
    for row in rows:
        yield row
        if isinstance(row, Node) and row.is_cut:
            yield _Cut(row)


def _node(node: Node, links: bool) -> Iterator[str]:
    one = node.checkpoint
    name = _safe(one_line(one.name, 60))
    if links:
        name = f'<a href="#c-{_safe(one.checkpoint_id)}">{name}</a>'
    here = f'<span class="on">{HERE}</span>' if node.is_here else ""
    title = _safe(one_line(one.name, 200))
    yield f'<span class="nm" title="{title}"><b>{name}</b>{here}</span>'
    told = [f'<span class="d">{_safe(text)}</span>' for text in remarks_of(one)]
    if node.change is not None:
        told.insert(0, change_html(node.change, _MOST_NAMES))
    elif node.is_damaged:
        told.insert(0, f'<span class="del">{DAMAGED}</span>')
    elif not node.is_cut:
        told.insert(0, f'<span class="d">{first_words(one)}</span>')
    title = "" if node.change is None else f' title="{_safe(_all_names(node.change))}"'
    yield f"<span{title}>{' · '.join(told)}</span>"
    yield f'<span class="n x">{one.variable_count}</span>'
    yield f'<span class="n">{human_bytes(one.bytes_new)}</span>'
    yield f'<span class="d x">{_safe(taken_at(one))}</span>'
    yield f'<span class="d x id">{_safe(one.checkpoint_id)}</span>'


def change_html(change: Change, limit: int) -> str:
    """Names that changed, in colours that say how; after `limit` their number."""
    if change.is_empty:
        return '<span class="d">nothing differs</span>'
    words = [(sign, name) for sign, name in change.words() if sign]
    more = len(words) - limit + 1 if len(words) > limit else 0
    told = [
        f'<span class="{_CLASSES[sign]}">{sign}{_safe(one_line(name, 60))}</span>'
        for sign, name in (words[: limit - 1] if more else words)
    ]
    if more:
        told.append(f'<span class="d">… {more} more</span>')
    found = [" ".join(told)] if told else []
    return " · ".join([*found, *(["files"] if change.has_files else [])])


def _all_names(change: Change) -> str:
    return " ".join(f"{sign}{one_line(name, 60)}" for sign, name in change.words())[:2000]


def _svg(rows: list[_Row], lanes: int) -> str:
    width, height = 2 * _EDGE + _LANE * max(lanes - 1, 0), _ROW * len(rows)
    parts = []
    for number, row in enumerate(rows):
        top = number * _ROW
        if isinstance(row, Gap):
            parts += [_line(lane, top, top + _ROW, dashes="1 5") for lane in row.lanes]
        elif isinstance(row, _Cut):
            parts += [_line(lane, top, top + _ROW) for lane in row.node.below]
            parts.append(_line(row.node.lane, top, top + _ROW // 2, dashes="3 3"))
        else:
            parts += _drawn(row, top)
    return (
        f'<svg aria-hidden="true" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" fill="none" stroke-width="2" '
        # Its own size wins over the rules that JupyterLab has for pictures.
        f'style="grid-row:2/span {len(rows)};grid-column:1;width:{width}px;height:{height}px;'
        f'max-width:none">{"".join(parts)}</svg>'
    )


def _drawn(node: Node, top: int) -> Iterator[str]:
    middle, bottom = top + _ROW // 2, top + _ROW
    for lane in node.above:
        if lane in node.joins:
            x, to = _x(lane), _x(node.lane)
            path = f"M{x} {top}C{x} {middle} {x} {middle} {to} {middle}"
            yield f'<path d="{path}" stroke="{_colour(lane)}"/>'
        elif lane == node.lane:
            yield _line(lane, top, middle)
        else:
            yield _line(lane, top, bottom)
    if node.lane in node.below:
        yield _line(node.lane, middle, bottom)
    if node.is_cut:
        yield _line(node.lane, middle, bottom, dashes="3 3")
    colour = _colour(node.lane)
    if node.is_here:
        yield f'<circle cx="{_x(node.lane)}" cy="{middle}" r="6.5" stroke="{colour}"/>'
    radius = 3.5 if node.is_here else 4.5
    yield f'<circle cx="{_x(node.lane)}" cy="{middle}" r="{radius}" fill="{colour}"/>'


def _line(lane: int, top: int, bottom: int, *, dashes: str = "") -> str:
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M{_x(lane)} {top}V{bottom}" stroke="{_colour(lane)}"{style}/>'


def _x(lane: int) -> int:
    return _EDGE + _LANE * min(lane, _MOST_LANES - 1)


def _colour(lane: int) -> str:
    return f"var(--l{lane % _COLOURS})"


def _safe(text: str) -> str:
    return escape(strip_controls(text))
