"""Summaries that show only the head of a text, made safe.

Called by `session.cell` for each summary that was cut.

A secret across the cut would leave half of itself, in a form that nothing recognises any more: the
head of `mysql://user:password@host` without its `@`. So the text is looked at further than it is
shown, and where that finds a secret, the summary is made again from what is left.
"""

from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.plain import one_line
from flow_kernel.session.deferred_redactor import SecretFilter

globals()["__builtins__"] = FROZEN_BUILTINS

CUT_MARK: Final = "…"
_REACH: Final = 4096
_SHOWN: Final = 3
_WIDTH: Final = 120


def mend(summary: dict[str, object], value: object, redactor: SecretFilter) -> int:
    """Take secrets out of a summary that was cut.

    Args:
        summary: Of `value`; its text is replaced where a secret was found.
        value: Read by exact type only, and only its first elements.
        redactor: Knows secrets.

    Returns:
        How many secrets there were; one when that cannot be known.
    """
    kind = type(value)
    if kind is str:
        clean, count = redactor.text(value[:_REACH])  # type: ignore[index]  # kind is str
        if count:
            summary["summary"] = one_line(repr(clean), _WIDTH)
        return count
    try:
        count = sum(redactor.text(text)[1] for text in _texts(value))
    except RuntimeError:  # a thread changes it meanwhile: nobody looked at what is shown
        count = 1
    if count:
        summary["summary"] = "[REDACTED:content]"
    return count


def _texts(value: object) -> list[str]:
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return [bytes(value[:_REACH]).decode("latin-1")]  # type: ignore[index]  # bytes
    if kind is list or kind is tuple:
        inside = list(value[:_SHOWN])  # type: ignore[index]  # a sequence
    elif kind is dict:
        inside = []
        for key, item in value.items():  # type: ignore[attr-defined]  # kind is dict
            inside += [key, item]
            if len(inside) >= 2 * _SHOWN:
                break
    else:
        return []
    return [item[:_REACH] for item in inside if type(item) is str]
