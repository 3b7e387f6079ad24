"""What a client shows its person before they answer (pure).

Used by `serving`. Nobody is asked about what they cannot see: code and payload stand there whole,
or the question is left to the places that show them. The message may be cut, and says so.
"""

from collections.abc import Mapping
from typing import Any, Final

from flow_kernel.records.plain import strip_controls

LIMIT: Final = 4000
_ROOM: Final = 400
"""For the message, beside code and payload."""


def question_of(row: Mapping[str, Any]) -> str | None:
    """The question of an approval as text; None where code and payload do not fit.

    Args:
        row: As `document_of` gives it.
    """
    bound = "".join(
        f"\n\n{name}:\n{_plain(str(row[name]))}" for name in ("payload", "code") if row.get(name)
    )
    # Quoted, a message of several lines cannot pass for the code below it.
    message = "\n│ ".join(_plain(str(row["message"])).split("\n"))
    if len(bound) > LIMIT - _ROOM:
        return None
    if (room := LIMIT - len(bound)) < len(message):
        whole = f"more characters, see `jupyter flow approvals {row['approval_id']}`"
        kept = room - len(whole) - 12
        message = f"{message[:kept]}\n… {len(message) - kept} {whole}"
    return f"{message}{bound}"


def _plain(text: str) -> str:
    """Line ends as lines: to Python a lone carriage return ends a comment."""
    return strip_controls(text.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")
