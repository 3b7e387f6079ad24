"""What cells displayed, as parts of a report: pictures, and frames that can do nothing.

Called by `report_html`.

| kept as | shown as |
|---|---|
| image/png, image/jpeg with the right first bytes | `<img src="data:…">` |
| text/html, image/svg+xml | `<iframe sandbox srcdoc="…">` |
| text/markdown, text/latex, application/json | escaped text |
| anything else | its type and size |

A cell's HTML is a stranger's: its frame runs no script, submits no form, follows no link, loads
nothing, has an origin of its own, and cannot draw outside of itself. Three things see to it, of
which each would do: the sandbox, the policy inside the frame, and the policy of the page, which the
frame inherits.

Source: HTML Standard, sections 4.8.5 (iframe) and 7.1.5 (sandboxing); CSP Level 3, section 7.8.
"""

import base64
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Final

from flow_kernel.records.kept_outputs import IMAGES
from flow_kernel.records.output_objects import FoundOutput
from flow_kernel.records.plain import human_bytes, strip_controls
from flow_kernel.session.report import Displayed, ReportCell

PAGE_BYTES: Final = 24_000_000
"""Most bytes of outputs in one file; browsers and mail take a few times as much."""
_TEXT_CHARS: Final = 4_000
_TOLD: Final = 12
_ROW_PX: Final = 26
_LEAST_PX: Final = 64
_MOST_PX: Final = 480
_PICTURE_PX: Final = 400
_OWN_MAGIC: Final = re.compile(r"\s*%(?:task|flow|approve)\b[^\n]*\s*")
_PX_OF_PT: Final = 4 / 3
_SVG_HEAD_CHARS: Final = 2_000
_SVG_HEIGHT: Final = re.compile(
    r"<svg\b[^>]*?\sheight=[\"']([0-9]{1,4}(?:\.[0-9]{1,6})?)(px|pt)?[\"']"
)
_FRAMED: Final = frozenset({"text/html", "image/svg+xml"})
_TEXTS: Final = frozenset({"text/markdown", "text/latex", "application/json"})
# White paper in the dark, too: what a cell draws is made for it.
_FRAME_HEAD: Final = (
    '<!doctype html><html><head><meta charset="utf-8">'
    '<meta http-equiv="Content-Security-Policy" content="'
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'\">"
    '<meta name="referrer" content="no-referrer"><style>'
    ":root{color-scheme:light;background:#fff;color:#000}"
    "body{font:14px/1.4 system-ui,sans-serif;margin:8px}"
    "table{border-collapse:collapse;border:0;font-size:13px}"
    "td,th{padding:3px 8px;border:0;text-align:right}thead{border-bottom:1px solid #888}"
    "tbody tr:nth-child(even){background:#f5f5f5}svg,img{max-width:100%;height:auto}"
    "</style></head><body>"
)


class OutputGallery:
    """Draws the kept outputs of one page, until the page is full."""

    def __init__(self, room_bytes: int = PAGE_BYTES) -> None:
        self._room_bytes = room_bytes
        self._around: set[str] = set()

    def of(self, cell: ReportCell, find: Callable[[str], FoundOutput]) -> Iterable[str]:
        """What `cell` displayed and was kept, and a line about what of it cannot be shown.

        Not again what the cell around it has shown, and not the cards of our own magics, which say
        what the report says.

        Args:
            cell: The next one of the page.
            find: Gives the content of an output by its name.
        """
        untold: list[str] = []
        seen = self._around if cell.depth else set[str]()
        if not cell.depth:
            self._around = {item.name for item in cell.outputs}
        outputs = () if _OWN_MAGIC.fullmatch(cell.code) else cell.outputs
        for item in outputs:
            what = f"{item.mime} {human_bytes(item.bytes)}"
            if not item.name or item.name in seen:
                continue
            found = find(item.name)
            if found.data is None:
                untold.append(f"{what} ({found.problem})")
            elif len(found.data) > self._room_bytes:
                untold.append(f"{what} (the page is full)")
            elif drawn := _drawn(item, found.data):
                self._room_bytes -= len(found.data)
                yield drawn
            else:
                untold.append(f"{what} (there is no safe picture of it)")
        if untold:
            yield f'<p class="dim">kept, not shown: {_safe(listed(untold))}</p>'


def not_kept(cell: ReportCell) -> str:
    """Type and size of what `cell` displayed and was not kept, as HTML; empty for nothing."""
    lost = [f"{item.mime} {human_bytes(item.bytes)}" for item in cell.outputs if not item.name]
    return f'<p class="dim">displayed, not kept: {_safe(listed(lost))}</p>' if lost else ""


def listed(texts: list[str]) -> str:
    """The first of `texts`, and how many more there are."""
    more = len(texts) - _TOLD
    return ", ".join(texts[:_TOLD]) + (f" and {more} more" if more > 0 else "")


def _drawn(item: Displayed, data: bytes) -> str:
    """The output as HTML; empty when there is no safe way to show it."""
    mime = item.mime
    if mime in IMAGES and data.startswith(IMAGES[mime]):
        body = base64.b64encode(data).decode("ascii")
        return f'<img class="out" alt="{_title(item)}" src="data:{mime};base64,{body}">'
    if mime in _FRAMED:
        text = data.decode("utf-8", "replace")
        body = _FRAME_HEAD + text
        return (
            f'<iframe class="out" sandbox title="{_title(item)}" loading="lazy"'
            f' style="height:{_height_px(mime, text)}px" srcdoc="{_safe(body)}"></iframe>'
        )
    if mime in _TEXTS:
        text = data.decode("utf-8", "replace")
        rest = len(text) - _TEXT_CHARS
        note = f"\n… {rest} characters more" if rest > 0 else ""
        return f'<pre class="out">{_safe(text[:_TEXT_CHARS] + note)}</pre>'
    return ""


def _height_px(mime: str, text: str) -> int:
    """How high a frame is; without scripts it cannot be as high as what is in it."""
    if mime != "text/html" or "<img" in text or "<svg" in text:
        said = _SVG_HEIGHT.search(text[:_SVG_HEAD_CHARS])
        if said is None:
            return _PICTURE_PX
        height = float(said[1]) * (_PX_OF_PT if said[2] == "pt" else 1) + _LEAST_PX / 2
        return int(min(max(height, _LEAST_PX), _MOST_PX))
    rows = max(text.count("<tr"), text.count("<p>") + text.count("<br") + text.count("<li"))
    return min(_LEAST_PX + max(rows - 1, 0) * _ROW_PX, _MOST_PX)


def _title(item: Displayed) -> str:
    return _safe(f"displayed: {item.mime}, {human_bytes(item.bytes)}")


def _safe(text: str) -> str:
    return escape(strip_controls(text, keep="\n\t"))
