"""Text that is safe and pleasant to print: no control characters, human sizes (pure).

Called by everything that prints something a user controls.
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

# C0 and C1 controls, and the marks that reorder or hide text.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ESCAPES: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])"
)

_HEAD_CHARS: Final = 4_000


def strip_controls(text: str, *, keep: str = "") -> str:
    """`text` without escape sequences and control characters, except those in `keep`."""
    text = _ESCAPES.sub("", text)
    return _UNSAFE.sub(lambda match: match.group() if match.group() in keep else "", text)


def one_line(text: str, width: int) -> str:
    """The first line of `text` that is not blank, stripped and cut to `width` characters."""
    for line in text[: width * 40].splitlines():
        clean = strip_controls(line.replace("\t", " ")).strip()
        if clean:
            return clean if len(clean) <= width else clean[: width - 1] + "…"
    return ""


def heading(code: str) -> str:
    """The first line of a cell that says something; behind a cell magic also what it runs first."""
    lines = [strip_controls(line, keep="\t").strip() for line in code[:_HEAD_CHARS].splitlines()]
    lines = [line for line in lines if line]
    return " ".join(lines[: 2 if lines and lines[0].startswith("%%") else 1])


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 cell`, `2 cells`, `1,200 cells`; `plural` where that is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def human_bytes(count: int) -> str:
    """`1536` as `1.5 kB`; powers of ten, as disks and memory limits are written."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
            )
        amount /= 1000
    return f"{amount:.1f} TB"


def human_ms(elapsed_ms: float) -> str:
    """A duration as `3 ms`, `1.2 s`, `4 min 05 s` or `2 h 03 min`."""
    if elapsed_ms < 1000:
        return f"{elapsed_ms:.0f} ms" if elapsed_ms >= 1 else "<1 ms"
    seconds = elapsed_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
