"""Secrets in command lines: `--password …`, `curl -u user:…`, `sshpass -p …` (pure).

Called by `redaction_shapes` where an option begins.
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.secret_names import Strength, kind_of, strength
from flow_kernel.records.secret_values import (
    is_placeholder,
    is_plain,
    is_short_secret,
    looks_random,
)

globals()["__builtins__"] = FROZEN_BUILTINS

Span = tuple[int, int, str]
"""Start, end and kind of a secret."""

_OPTION: Final = re.compile(
    r"([\w-]{2,60}+)(=|[ ]|[\"']\s?,\s?[\"'])[\"']?([^\s\"'`,;|&<>()=]{2,512}+)"
)
_METAVAR: Final = re.compile(r"[A-Z][A-Z_]*|string|text|value|file|path|password|token|secret|key")
_USER: Final = re.compile(r"[ =]?[\"']?[\w.@+-]{1,80}+:([^\s\"'@]{1,256}+)")
_ASKS: Final = re.compile(r"sshpass|(?:docker|podman) login|twine upload|(?P<glued>mysql|mariadb)")
_PASSWORD: Final = re.compile(r"[ ]?[\"']?([^\s\"'`;|&<>()-][^\s\"'`;|&<>()]{2,256}+)")
_LINE_LOOKBACK: Final = 400


def option_at(text: str, start: int) -> Span | None:
    """The value of the option whose name begins at `start`, when it is a secret."""
    found = _OPTION.match(text, start)
    if found is None:
        return None
    name, form, value = found.groups()
    power = strength(name)
    if power is Strength.NONE or value[0] == "-" or is_plain(value):
        return None
    # In prose a word follows: "use --password to log in".
    is_likely = power is Strength.STRONG and (form == "=" or is_short_secret(value))
    if looks_random(value) or (is_likely and _METAVAR.fullmatch(value) is None):
        return (*found.span(3), kind_of(name))
    return None


def password_at(text: str, start: int) -> Span | None:
    """The value of `-p` at `start`, in a line that calls a program whose password that is."""
    line = text[max(0, start - _LINE_LOOKBACK) : start].rpartition("\n")[2]
    program = _ASKS.search(line)
    found = _PASSWORD.match(text, start) if program is not None else None
    if found is None or program is None or is_plain(found[1]) or found[1].isdigit():
        return None
    if program["glued"] and found.start(1) != start:  # a space means that it will ask
        return None
    return (*found.span(1), "password")


def user_at(text: str, start: int) -> Span | None:
    """The password in `user:password` at `start`, in a line that calls curl."""
    line = text[max(0, start - _LINE_LOOKBACK) : start].rpartition("\n")[2]
    found = _USER.match(text, start) if "curl" in line else None
    if found is None or found[1].isdigit() or is_placeholder(found[1]):
        return None
    return (*found.span(1), "password")
