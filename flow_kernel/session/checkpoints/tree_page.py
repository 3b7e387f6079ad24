"""The tree of checkpoints as one HTML file, with what each of them holds below it (pure).

Called by `jupyter flow checkpoints tree --html FILE`. No script, nothing from elsewhere, light and
dark; everything that a user named is escaped.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from flow_kernel.records.plain import counted, human_bytes, one_line, strip_controls
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.comparison import summary_of
from flow_kernel.session.checkpoints.files_text import files_line, left_files
from flow_kernel.session.checkpoints.tree import UNREADABLE, Node, Tree
from flow_kernel.session.checkpoints.tree_html import STYLE, change_html, tree_html
from flow_kernel.session.checkpoints.tree_text import DAMAGED, taken_at

_SUMMARY_CHARS: Final = 160
_MOST_ROWS: Final = 400
_PAGE: Final = """
:root{color-scheme:light dark;--line:#8885}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:0;padding:1.4em}
main{max-width:76em;margin:0 auto}
h1{font-size:1.45em;margin:0 0 .2em}h2{font-size:1.05em;margin:1.9em 0 .3em}
p{margin:.3em 0 1em}.dim{opacity:.7}
details{border-top:1px solid var(--line);padding:.35em 0}summary{cursor:pointer}
details:target{background:#fc03}
table{border-collapse:collapse;margin:.4em 0 .6em 1.2em;font-size:13px}
td{padding:.12em 1.2em .12em 0;vertical-align:top;overflow-wrap:anywhere}
td:first-child{font:12px/1.6 ui-monospace,"DejaVu Sans Mono",monospace;white-space:nowrap}
.left{color:#b07a1e}
a{text-decoration-color:var(--line);text-underline-offset:.2em}
@media print{details::details-content{content-visibility:visible;display:block;height:auto}}
"""


def tree_page(tree: Tree, *, title: str) -> str:
    """The whole file.

    Args:
        tree: What to show.
        title: Of the page.
    """
    return "".join(_page(tree, title))


def _page(tree: Tree, title: str) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Also where a browser would obey a script or load something, it may not.
    yield '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    yield " style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{_safe(one_line(title, 120))}</title><style>{STYLE}{_PAGE}</style></head>"
    yield f"<body><main><h1>{_safe(one_line(title, 120))}</h1>"
    nodes = [row for row in tree.rows if isinstance(row, Node)]
    count = counted(tree.total, "checkpoint")
    shown = "" if len(nodes) == tree.total else f", {len(nodes):,} of them shown"
    yield f'<p class="dim">{count}{shown}, newest first; times in UTC</p>'
    if nodes:
        yield tree_html(tree, links=True)
        yield "<h2>What they hold</h2>"
    for node in nodes:
        yield from _held(node)
    yield "</main></body></html>\n"


def _held(node: Node) -> Iterator[str]:
    one = node.checkpoint
    yield f'<details id="c-{_safe(one.checkpoint_id)}"><summary><b>{_safe(one_line(one.name, 60))}'
    yield f'</b> <span class="dim">{_safe(_facts(one))}</span></summary><table class="flow-tree-t">'
    if node.change is not None:
        yield _row("changed", change_html(node.change, 200))
    try:
        names = [*one.variables]
    except UNREADABLE:
        names = []
        yield _row("", f'<span class="left">{DAMAGED}</span>')
    for name in names[:_MOST_ROWS]:
        yield _row(_safe(one_line(name, 60)), _safe(_summary(one, name)))
    if len(names) > _MOST_ROWS:
        yield _row("…", f"{len(names) - _MOST_ROWS:,} more")
    for left in one.not_saved[:_MOST_ROWS]:
        told = f"not kept ({one_line(left.type, 60)}): {one_line(left.reason, _SUMMARY_CHARS)}"
        yield _row(_safe(one_line(left.name, 60)), f'<span class="left">{_safe(told)}</span>')
    yield _row("files", _safe(files_line(one).removeprefix("files: ")))
    for told in left_files(one)[:_MOST_ROWS]:
        yield _row("", f'<span class="left">{_safe(told)}</span>')
    yield "</table></details>"


def _facts(one: Checkpoint) -> str:
    return (
        f"{one.checkpoint_id} · {counted(one.variable_count, 'variable')}"
        f" · {human_bytes(one.bytes_new)} new · {taken_at(one)} · {one_line(one.reason, 40)}"
    )


def _summary(one: Checkpoint, name: str) -> str:
    return one_line(summary_of(one, name) or "", _SUMMARY_CHARS)


def _row(name: str, told: str) -> str:
    return f"<tr><td>{name}</td><td>{told}</td></tr>"


def _safe(text: str) -> str:
    return escape(strip_controls(text))
