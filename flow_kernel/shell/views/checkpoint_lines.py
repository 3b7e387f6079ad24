"""A title and lines below it, as text and as HTML that say the same.

Called by the cards of `shell.views.checkpoint_display`. Everything a user named is escaped.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

_STYLE: Final = (
    "<style>.flow-cp{font-size:13px;line-height:1.5;max-width:64em}.flow-cp b{font-weight:600}"
    ".flow-cp .d{opacity:.7}.flow-cp .left{color:#b07a1e}.flow-cp.flow-cp ul.flow-cp-u{"
    "margin:.1em 0 0 1.2em;padding:0}.flow-cp dl.flow-cp-l{display:grid;"
    "grid-template-columns:fit-content(18em) 1fr;"
    "gap:0 1.2em;margin:.2em 0 .2em 1.2em;padding:0}.flow-cp dl.flow-cp-l dt,"
    ".flow-cp dl.flow-cp-l dd{margin:0;padding:0;font-weight:400;overflow-wrap:anywhere;"
    "background:none;border:0;width:auto;float:none}"
    ".flow-cp dt.flow-cp-n{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:12px;"
    "line-height:1.65}.flow-cp .add{color:#2f9160}.flow-cp .mod{color:#b07a1e}"
    ".flow-cp .del{color:#cf533b}.flow-cp li.sub{list-style:none;margin-left:1.2em}</style>"
)
_SIGNS: Final = {"+": "add", "~": "mod", "-": "del"}

Row = tuple[str, str]
"""A name, which may begin with a sign and a blank, and what there is to say of it."""


class Lines:
    """A title, rows of names with what is said of them, lines, and warnings.

    Args:
        title: One line.
        lines: Below it.
        warnings: Below these.
        rows: Above the lines.
    """

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        warnings: Sequence[str] = (),
        *,
        rows: Sequence[Row] = (),
    ) -> None:
        self._title = title
        self._rows = [*rows]
        self._lines = [*lines]
        self._warnings = [*warnings]

    def __repr__(self) -> str:
        width = min(max((len(name) for name, _ in self._rows), default=0), 24)
        rows = [f"{name.ljust(width)}  {told}".rstrip() for name, told in self._rows]
        below = [*rows, *self._lines, *self._warnings]
        return "\n".join([self._title, *(f"  {line}" for line in below)])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row(name, told) for name, told in self._rows)
        rows = f'<dl class="flow-cp-l">{rows}</dl>' if rows else ""
        lines = "".join(_html_line(line, "") for line in self._lines)
        warnings = "".join(_html_line(line, "left") for line in self._warnings)
        body = f'<ul class="flow-cp-u">{lines}{warnings}</ul>' if lines or warnings else ""
        return f'{_STYLE}<div class="flow-cp"><b>{escape(self._title)}</b>{rows}{body}</div>'


def _html_line(line: str, kind: str) -> str:
    """A line; one that is indented belongs to the line above it."""
    kinds = " ".join(word for word in (kind, "sub" if line.startswith(" ") else "") if word)
    opening = f'<li class="{kinds}">' if kinds else "<li>"
    return f"{opening}{escape(line.strip())}</li>"


def _html_row(name: str, told: str) -> str:
    sign = _SIGNS.get(name[:1]) if name[1:2] == " " else None
    kind = f"flow-cp-n {sign}" if sign else "flow-cp-n"
    return f'<dt class="{kind}">{escape(name)}</dt><dd>{escape(told)}</dd>'
