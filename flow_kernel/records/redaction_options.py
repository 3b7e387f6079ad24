"""Secrets in command lines and headers: `--password …`, `-u user:…`, `Authorization: …` (pure).

Called by `redaction` for every text that is recorded.
"""

import re
from collections.abc import Iterator
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.redaction_names import kind_of
from flow_kernel.records.redaction_shapes import Span
from flow_kernel.records.secret_names import Strength, strength
from flow_kernel.records.secret_values import (
    is_mixed_case,
    is_placeholder,
    is_plain,
    is_short_secret,
    looks_random,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_OPTION: Final = re.compile(
    r"--(?=[A-Za-z])(?<!---)([\w-]{2,60}+)(=|[ ]|[\"']\s?,\s?[\"'])[\"']?"
    r"([^\s\"'`,;|&<>()=]{2,512}+)"
)
_METAVAR: Final = re.compile(r"[A-Z][A-Z_]*|string|text|value|file|path|password|token|secret|key")
_USER: Final = re.compile(
    r"-u(?:(?<=\s-u)|ser(?<=\s--user))[ =]?[\"']?[\w.@+-]{1,80}+:([^\s\"'@]{1,256}+)"
)
_HEADER: Final = re.compile(
    r"uthorization\\?[\"']?\]?\s{0,4}+[:=,]{1,2}\s{0,4}+[fFbBrR]?\\?[\"']?"
    r"(?:(?P<scheme>bearer|basic|token|apikey|digest|negotiate)\s++)?"
    r"(?P<value>[A-Za-z0-9._~+/-]{6,2048}+=*+)",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"earer\s{1,2}+(?P<value>[A-Za-z0-9._~+/-]{16,2048}+=*+)")
_LINE_LOOKBACK: Final = 400


def options_in(text: str) -> Iterator[Span]:
    """The secrets in `text` that an option or a header carries; about 0.3 us without any."""
    if "--" in text:
        yield from _options(text)
    if "curl" in text:
        yield from _users(text)
    if "uthorization" in text or "UTHORIZATION" in text:
        yield from _headers(text)
    if "earer " in text:
        for found in _BEARER.finditer(text):
            if looks_random(found["value"]):
                yield (*found.span("value"), "bearer_token")


def _options(text: str) -> Iterator[Span]:
    for found in _OPTION.finditer(text):
        name, form, value = found.groups()
        power = strength(name)
        if power is Strength.NONE or value[0] == "-" or is_plain(value):
            continue
        # In prose a word follows: "use --password to log in".
        is_likely = power is Strength.STRONG and (form == "=" or is_short_secret(value))
        if looks_random(value) or (is_likely and _METAVAR.fullmatch(value) is None):
            yield (*found.span(3), kind_of(name))


def _users(text: str) -> Iterator[Span]:
    for found in _USER.finditer(text):
        before = text[max(0, found.start() - _LINE_LOOKBACK) : found.start()]
        is_curl = "curl" in before.rpartition("\n")[2]
        if is_curl and not found[1].isdigit() and not is_placeholder(found[1]):
            yield (*found.span(1), "password")


def _headers(text: str) -> Iterator[Span]:
    for found in _HEADER.finditer(text):
        value = found["value"]
        is_secret = looks_random(value) or (found["scheme"] and is_mixed_case(value))
        if is_secret and not is_placeholder(value):
            yield (*found.span("value"), "authorization")
