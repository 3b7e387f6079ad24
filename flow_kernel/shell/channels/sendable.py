"""Makes a message's text fit to be sent.

Called by `shell.taps.message_tap` and by `shell.attach` for each message that a cell causes, and by
`shell.streams.outstream` for what is printed.

A lone surrogate cannot be encoded: stock ipykernel drops all the text that was gathered with it, or
fails while it shows a traceback, and the client sees something else or nothing. As a backslash
escape it arrives.
"""

from typing import Any

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


def sendable(text: str) -> str:
    """The text itself where it can be encoded; O(1) for ASCII."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _escaped(text)
    return text


def make_sendable(content: dict[str, Any]) -> None:
    """Escape the lone surrogates in the texts of `content`, in place; O(1) for ASCII."""
    for name, value in content.items():
        if type(value) is str:
            if not value.isascii():
                content[name] = _escaped(value)
        elif type(value) is dict:
            make_sendable(value)
        elif type(value) is list and not all(type(v) is not str or v.isascii() for v in value):
            content[name] = [_escaped(item) if type(item) is str else item for item in value]


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
