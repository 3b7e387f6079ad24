"""Secrets that are known by the name before them: assignments, keys, headers (pure).

Called by `redaction` for every text that is recorded.

    password = "…"    os.environ["API_KEY"] = '…'    {"token": "…"}    Authorization: Bearer …
    PGPASSWORD=…      password: …    ?access_token=…    auth=("user", "…")

One expression finds the places where such a name ends, in a lower-case copy of the text, and reads
at most some 60 characters at each. What stands there is then judged by the name and by the value.
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.redaction_arguments import in_call, in_list, is_pair, unpacked, unpacking
from flow_kernel.records.redaction_options import Span
from flow_kernel.records.redaction_sites import (
    LINE_LOOKBACK,
    Literal,
    Site,
    accepts,
    literal_at,
    site_at,
)
from flow_kernel.records.secret_names import Strength, kind_of
from flow_kernel.records.secret_values import (
    is_bare_secret,
    is_mixed_case,
    is_placeholder,
    is_plain,
    is_short_secret,
    looks_random,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_SITE: Final = re.compile(
    # The end of a name that may be secret: …key (not alone), token, passwd, password, pw, auth, …
    r"(?:k(?:ey(?:(?<=[a-z0-9_.-]key)(?![swb])|(?=[\"']\s?:\s?[\"'][0-9a-f]{32}[\"'])"
    r"|(?<=login\(key)(?==[\"']))|en(?!s|iz))"
    r"|w(?:d(?<=[sp]wd)|ord(?<=ssword)|(?<=pw)(?![a-z]))|uth(?!or(?!i[sz])|ent)|cre[td]"
    r"|p(?:hra|ass)|gin(?=\()|bear(?=er[ ]))"
    # The rest of the name, the quote and bracket that close it, and what can precede a value.
    r"(?:[\w.-]{0,60}+(?:\\?[\"'])?+\s{0,8}+\]?+\s{0,8}+(?=[=:!,(])|(?<=bear)er[ ])"
)
_OPERATOR: Final = re.compile(
    r"(?P<sign>:=|[=!]=|=>|=|:)"
    r"(?:(?<=:)[ ]{0,4}[\w.\[\]| ]{1,40}?[ ]{0,4}=(?!=))?"  # an annotation
    r"(?P<space>\s{0,8}+)"
)
_HEADER: Final = re.compile(
    r"[:=,]{1,2}\s{0,4}+[fFbBrR]?\\?[\"']?"
    r"(?:(?P<scheme>bearer|basic|token|apikey|digest|negotiate)\s++)?"
    r"(?P<value>[A-Za-z0-9._~+/-]{6,2048}+=*+)",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,2048}+=*+")
_BARE: Final = re.compile(r"[^\s\"'`,;&<>(){}\[\]|\\…]{6,256}+")
_USER_AND: Final = re.compile(r"[^\s:]{1,80}:(?=\S)")
_NEXT_PAIR: Final = re.compile(r"[ ]\w+=")
_APOSTROPHE: Final = re.compile(r"(?<!\w)'|'(?!\w)")
_ENDS: Final = frozenset(["", "\n", "\r", " ", '"', "'", "\\", "…", "&", ";", "`"])


def named_in(text: str) -> list[Span]:
    """The values in `text` that a name before them gives away; about 1.3 us for 260 characters."""
    low = text.lower()
    if len(low) != len(text):  # the one letter whose lower case has two characters
        low = text.replace("\u0130", "I").lower()
    first = _SITE.search(low)
    if first is None:
        return []
    spans: list[Span] = []
    done = 0
    for found in _SITE.finditer(low, first.start()):
        if found.start() >= done:
            span = _at(text, found.start(), found.end())
            if span is not None:
                done = span[1]
                spans.append(span)
    return spans


def _at(text: str, near: int, end: int) -> Span | None:
    if text[end - 1] == " " and text[near] in "bB":
        return _bearer(text, end)
    site = site_at(text, near, end)
    if text[end] == "(":
        return in_call(text, site, end)
    if site.power is Strength.NONE and site.name != "key":
        return None
    names = unpacking(text, site)
    if names is not None:
        return unpacked(text, site, names)
    return in_list(text, site) if text[end] == "," else _assigned(text, site)


def _bearer(text: str, start: int) -> Span | None:
    found = _BEARER.match(text, start)
    if found is None or not looks_random(found.group()):
        return None
    return (*found.span(), "bearer_token")


def _header(text: str, start: int) -> Span | None:
    found = _HEADER.match(text, start)
    if found is None or is_placeholder(found["value"]):
        return None
    value = found["value"]
    is_secret = looks_random(value) or (found["scheme"] is not None and is_mixed_case(value))
    return (*found.span("value"), "authorization") if is_secret else None


def _assigned(text: str, site: Site) -> Span | None:
    """What is assigned to a name or compared with it."""
    if site.name[-13:].lower() == "authorization":
        return _header(text, site.end)
    operator = _OPERATOR.match(text, site.end)
    if operator is None:
        return None
    at = operator.end()
    is_bracket = text.startswith("(", at)
    if is_bracket and is_pair(site.name):
        return in_call(text, site, at)
    literal = literal_at(text, at)
    if literal is not None:
        return _quoted(text, site, literal)
    return None if is_bracket else _bare(text, site, operator)


def _quoted(text: str, site: Site, literal: Literal) -> Span | None:
    value, name = literal.value, site.name.lower()
    if literal.is_template or literal.is_in_tuple or value.lower() == name:
        return None
    if _is_closing_quote(text, literal.start - len(literal.quote), literal.quote):
        return None
    if name.endswith("auth"):
        user = _USER_AND.match(value)
        if user is not None and "://" not in value:
            return (literal.start + user.end(), literal.end, "password")
    is_key = name == "key" and looks_random(value)  # of `login(key="…")`
    is_password = name == "pw" and is_short_secret(value)
    if not (is_key or is_password or accepts(site.power, value)):
        return None
    return (literal.start, literal.end, kind_of(site.name))


def _is_closing_quote(text: str, at: int, quote: str) -> bool:
    """True when the quote ends a string of this line that the name stands in: `"password: "`."""
    if len(quote) > 2:
        return False
    lowest = max(0, at - LINE_LOOKBACK)
    line = text[max(lowest, text.rfind("\n", lowest, at) + 1) : at]
    escaped = line.count(f"\\{quote[-1]}")
    if len(quote) == 2:
        return escaped % 2 == 1
    count = line.count('"') if quote == '"' else len(_APOSTROPHE.findall(line))
    return (count - escaped) % 2 == 1


def _bare(text: str, site: Site, operator: re.Match[str]) -> Span | None:
    """A value without quotes: a shell variable, a connection string, a line of YAML, a query."""
    found = _BARE.match(text, operator.end())
    is_user = text.startswith("//", max(0, site.start - 2))  # of a URL
    if found is None or is_user or "\n" in operator["space"]:
        return None
    value, after = found.group(), text[found.end() : found.end() + 1]
    if after not in _ENDS or is_plain(value):
        return None
    sign = operator["sign"]
    is_spaced = operator["space"] != "" or text[site.end - 1] == " "
    if sign == ":":
        is_secret = _is_yaml_secret(site, value, after)
    elif sign != "=":
        is_secret = False
    elif is_spaced:
        is_secret = _is_spaced_secret(site, value, after)
    else:
        is_secret = looks_random(value) or _is_shell_secret(text, site, found)
    return (found.start(), found.end(), kind_of(site.name)) if is_secret else None


def _is_yaml_secret(site: Site, value: str, after: str) -> bool:
    if looks_random(value):
        return True
    if after == " " or site.power is Strength.WEAK:
        return False
    return is_bare_secret(value) and not (value[0].isupper() and value.isidentifier())


def _is_spaced_secret(site: Site, value: str, after: str) -> bool:
    """`key = value` without quotes is code unless the value can be no name and no expression."""
    if after not in ("", "\n", "\r"):
        return False
    if value.isidentifier():
        return "aws" in site.name.lower() and len(value) == 40
    is_strong = site.power is Strength.STRONG and is_bare_secret(value)
    return is_strong or looks_random(value)


def _is_shell_secret(text: str, site: Site, found: re.Match[str]) -> bool:
    value, end = found.group(), found.end()
    if site.power is Strength.WEAK or not is_short_secret(value):
        return False
    if site.is_environment or site.name.isupper():
        return True
    if not value.isidentifier():
        return is_bare_secret(value)
    # A keyword argument, unless what follows is no code.
    after = text[end : end + 1]
    starts_line = site.start == 0 or text[site.start - 1] in "\n?&;"
    is_alone = starts_line and after in ("", "\n", "\r")
    return is_alone or after in ("&", ";", '"', "'") or _NEXT_PAIR.match(text, end) is not None
