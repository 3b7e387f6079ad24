"""Secrets that are known by the name before them: assignments, keys, calls (pure).

Called by `redaction` for every text that is recorded.

    password = "…"    os.environ["API_KEY"] = '…'    {"token": "…"}    setdefault("SECRET", "…")
    PGPASSWORD=…      password: …    ?access_token=…    auth=("user", "…")    .login("user", "…")

One expression finds the places where such a name ends, in a lower-case copy of the text, and reads
at most some 60 characters at each. What stands there is then judged by the name and by the value.
"""

import re
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.redaction_options import Span
from flow_kernel.records.secret_names import (
    Strength,
    is_secret_in_environment,
    kind_of,
    strength,
)
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
    r"(?:k(?:ey(?:(?<=[a-z0-9_-]key)(?![swb])|(?=[\"']\s?:\s?[\"'][0-9a-f]{32}[\"']))|en(?!s|iz))"
    r"|w(?:d(?<=[sp]wd)|ord(?<=ssword)|(?<=pw)(?![a-z]))|uth(?!or(?!i[sz])|ent)|cre[td]"
    r"|p(?:hra|ass)|gin(?=\()|bear(?=er[ ]))"
    # The rest of the name, the quote and bracket that close it, and what can precede a value.
    r"(?:[\w-]{0,40}+(?:\\?[\"'])?+\s{0,8}+\]?+\s{0,8}+(?=[=:!,(])|(?<=bear)er[ ])"
)
_HEADER: Final = re.compile(
    r"[:=,]{1,2}\s{0,4}+[fFbBrR]?\\?[\"']?"
    r"(?:(?P<scheme>bearer|basic|token|apikey|digest|negotiate)\s++)?"
    r"(?P<value>[A-Za-z0-9._~+/-]{6,2048}+=*+)",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,2048}+=*+")
_NAME_CHARS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}+")
_MAX_NAME: Final = 64
_OPERATOR: Final = re.compile(
    r"(?P<sign>:=|[=!]=|=>|=|:)"
    r"(?:(?<=:)[ ]{0,4}[\w.\[\]| ]{1,40}?[ ]{0,4}=(?!=))?"  # an annotation
    r"(?P<space>\s{0,8}+)"
)
_OPENER: Final = re.compile(
    r"(?:\(\s{0,8}+)?(?P<prefix>[rbfuRBFU]{0,2})(?P<quote>\\?(?:\"\"\"|'''|[\"']))"
)
# Each reads up to the next quote of its kind, so no character is read twice for one kind.
_BODIES: Final = {
    '"': re.compile(r'(?:[^"\\\n]++|\\.)*+'),
    "'": re.compile(r"(?:[^'\\\n]++|\\.)*+"),
    '"""': re.compile(r'(?:[^"\\]++|\\.|"(?!""))*+', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]++|\\.|'(?!''))*+", re.DOTALL),
    '\\"': re.compile(r'(?:[^"\\\n]++|\\[^"\n])*+'),
    "\\'": re.compile(r"(?:[^'\\\n]++|\\[^'\n])*+"),
}
_BARE: Final = re.compile(r"[^\s\"'`,;&<>(){}\[\]|\\…]{6,512}+")
_PAIR: Final = re.compile(
    r"\(\s{0,8}+(?:[rbfu]{0,2}(?:\"[^\"\n]{0,200}+\"|'[^'\n]{0,200}+')|[\w.\[\]]{1,80}+)\s{0,8}+,"
    r"\s{0,8}+(?:password\s?=\s?)?(?P<prefix>[rbfu]{0,2})"
    r"(?P<quote>[\"'])(?P<value>[^\"'\n]{1,200}+)(?P=quote)\s{0,8}+,?\s{0,8}+(?P<end>[),])"
)
_UNPACKING: Final = re.compile(
    r"[ \t]{0,40}+(?P<names>[\w.]{1,60}+(?:[ ]?,[ ]?[\w.]{1,60}+){1,8}+)[ ]?=[ ]?(?!=)"
)
_ELEMENT: Final = re.compile(
    r"(?:[rbRB]?(?:\"([^\"\\\n]{0,400}+)\"|'([^'\\\n]{0,400}+)')|[\w.\[\]()]{1,80}+)"
    r"[ ]?(?:,[ ]?|$|(?=[\n#;]))"
)
_SETTER: Final = re.compile(
    r"(?:setdefault|putenv|setenv|set_key|set_secret|set_password|add_header|header|set|put)"
    r"\s?\(\s{0,8}+\Z"
)
_APOSTROPHE: Final = re.compile(r"(?<!\w)'|'(?!\w)")
_NEXT_PAIR: Final = re.compile(r"[ ]\w+=")
_USER_AND: Final = re.compile(r"[^\s:]{1,80}:(?=\S)")
_LINE_LOOKBACK: Final = 400
_ENDS: Final = frozenset(["", "\n", "\r", " ", '"', "'", "\\", "…", "&", ";", "`"])
_ENVIRONMENT: Final = ('environ["', "environ['", "export ", "setenv ", "ENV ", "-e ", "$env:")
_BEFORE_ENVIRONMENT: Final = ('"', "'", " ", ":")


class _Site(NamedTuple):
    """A name and where it stands."""

    name: str
    start: int
    end: int  # of what follows the name, where the operator begins
    power: Strength
    is_environment: bool


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
    site = _site(text, near, end)
    sign = text[end]
    if sign == "(":
        return _in_call(text, site, end)
    if site.power is Strength.NONE:
        return None
    if sign == ",":
        unpacking = _unpacking(text, site)
        return _element(text, site, unpacking) if unpacking else _in_list(text, site)
    if site.name[-13:].lower() == "authorization":
        return _header(text, end)
    operator = _OPERATOR.match(text, end)
    return _after(text, site, operator) if operator is not None else None


def _after(text: str, site: _Site, operator: re.Match[str]) -> Span | None:
    """What is assigned to a name or compared with it."""
    if (
        operator["sign"] == "="
        and text[max(0, site.start - 4) : site.start].rstrip(" ")[-1:] == ","
    ):
        unpacked = _unpacked(text, site)
        if unpacked is not None:
            return unpacked
    opener = _OPENER.match(text, operator.end())
    if opener is not None and not (text[operator.end()] == "(" and _is_pair(site)):
        return _quoted(text, site, opener)
    if text.startswith("(", operator.end()):
        return _in_call(text, site, operator.end())
    return _bare(text, site, operator)


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


def _site(text: str, near: int, end: int) -> _Site:
    before = text[max(0, near - _MAX_NAME) : near]
    start = near - len(before) + len(before.rstrip(_NAME_CHARS))
    found = _NAME.match(text, start)
    name = found.group() if found is not None else ""
    power, is_environment = strength(name), False
    if text.startswith(_BEFORE_ENVIRONMENT, max(0, start - 1)):
        around = text[max(0, start - 12) : start]
        is_environment = around.endswith(_ENVIRONMENT) and is_secret_in_environment(name)
        # The file of a service for data sets: {"username": "…", "key": "…"}.
        is_account = name == "key" and '"username"' in text[max(0, start - 100) : start]
        power = Strength.STRONG if is_environment or is_account else power
    return _Site(name, start, end, power, is_environment)


def _quoted(text: str, site: _Site, opener: re.Match[str]) -> Span | None:
    quote = opener["quote"]
    form = _BODIES.get(quote)
    body = form.match(text, opener.end()) if form is not None else None
    if body is None or not _is_closed(text, body.end(), quote):
        return None
    is_tuple = opener.group()[0] == "(" and text.startswith(",", body.end() + len(quote))
    if is_tuple or _is_closing_quote(text, opener.start("quote"), quote):
        return None
    value = body.group()
    if ("f" in opener["prefix"].lower() and "{" in value) or value.lower() == site.name.lower():
        return None
    start = body.start()
    if site.name.lower().endswith("auth"):
        user = _USER_AND.match(value)
        if user is not None and "://" not in value:
            return (start + user.end(), body.end(), "password")
    if not _accepts(site.power, value):
        return None
    return (start, body.end(), kind_of(site.name))


def _accepts(power: Strength, value: str) -> bool:
    if not value or is_plain(value):
        return False
    return power is Strength.STRONG or looks_random(value)


def _is_closed(text: str, end: int, quote: str) -> bool:
    """True when the literal ends there, or the text was cut off inside it."""
    return text.startswith(quote, end) or end == len(text) or text.startswith("\n…[", end)


def _is_closing_quote(text: str, at: int, quote: str) -> bool:
    """True when the quote ends a string of this line that the name stands in: `"password: "`."""
    if len(quote) > 2:
        return False
    lowest = max(0, at - _LINE_LOOKBACK)
    line = text[max(lowest, text.rfind("\n", lowest, at) + 1) : at]
    escaped = line.count(f"\\{quote[-1]}")
    if len(quote) == 2:
        return escaped % 2 == 1
    count = line.count('"') if quote == '"' else len(_APOSTROPHE.findall(line))
    return (count - escaped) % 2 == 1


def _bare(text: str, site: _Site, operator: re.Match[str]) -> Span | None:
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


def _is_yaml_secret(site: _Site, value: str, after: str) -> bool:
    if looks_random(value):
        return True
    if after == " " or site.power is Strength.WEAK:
        return False
    return is_bare_secret(value) and not (value[0].isupper() and value.isidentifier())


def _is_spaced_secret(site: _Site, value: str, after: str) -> bool:
    """`key = value` without quotes is code unless the value can be no name."""
    if after not in ("", "\n", "\r") or not looks_random(value):
        return False
    return not value.isidentifier() or ("aws" in site.name.lower() and len(value) == 40)


def _is_shell_secret(text: str, site: _Site, found: re.Match[str]) -> bool:
    value, end = found.group(), found.end()
    if site.power is Strength.WEAK or not is_short_secret(value):
        return False
    if site.is_environment or site.name.isupper():
        return True
    after = text[end : end + 1]
    if value.isidentifier():  # a keyword argument, unless what follows is no code
        starts_line = site.start == 0 or text[site.start - 1] in "\n?&;"
        ends_line = after in ("", "\n", "\r")
        is_listed = _NEXT_PAIR.match(text, end) is not None
        return after in ("&", ";", '"', "'") or is_listed or (starts_line and ends_line)
    return is_bare_secret(value)


def _in_list(text: str, site: _Site) -> Span | None:
    """`("NAME", "value")` as an argument of a setter or as a pair."""
    opener = _OPENER.match(text, site.end + 1) or _OPENER.match(text, site.end + 2)
    if opener is None or text[site.start - 1 : site.start] not in ('"', "'"):
        return None
    form = _BODIES.get(opener["quote"])
    body = form.match(text, opener.end()) if form is not None else None
    if body is None or not text.startswith(opener["quote"], body.end()):
        return None
    value = body.group()
    before = text[max(0, site.start - 40) : site.start - 1]
    is_set = _SETTER.search(before) is not None
    is_pair = before.endswith("(") and text.startswith(")", body.end() + len(opener["quote"]))
    if not (is_set or (is_pair and is_short_secret(value))) or not _accepts(site.power, value):
        return None
    return (*body.span(), kind_of(site.name))


def _unpacking(text: str, site: _Site) -> re.Match[str] | None:
    """The left side of `user, password = …` when the name is a part of it."""
    near = max(0, site.start - 4)
    if text[site.end] != "," and "," not in text[near : site.start]:
        return None
    line = text.rfind("\n", max(0, site.start - _LINE_LOOKBACK), site.start) + 1
    found = _UNPACKING.match(text, line)
    return found if found is not None and found.end() >= site.end else None


def _element(text: str, site: _Site, unpacking: re.Match[str]) -> Span | None:
    """The value for one of several names."""
    at = unpacking.end()
    for name in unpacking["names"].split(","):
        element = _ELEMENT.match(text, at)
        if element is None:
            return None
        if name.strip().endswith(site.name):
            group = 1 if element[1] is not None else 2
            value = element[group]
            is_secret = value is not None and _accepts(site.power, value)
            return (*element.span(group), kind_of(site.name)) if is_secret else None
        at = element.end()
    return None


def _in_call(text: str, site: _Site, at: int) -> Span | None:
    """The second of two arguments: `HTTPBasicAuth("user", "…")`, `auth=("user", "…")`."""
    if not _is_pair(site):
        return None
    pair = _PAIR.match(text, at)
    if pair is None or is_plain(pair["value"]):
        return None
    if at != site.end and pair["end"] != ")":  # `auth = ("a", "b", …)` is a longer tuple
        return None
    if "f" in pair["prefix"] and "{" in pair["value"]:
        return None
    return (*pair.span("value"), "password")


def _is_pair(site: _Site) -> bool:
    """True for names whose value is a user and a password."""
    low = site.name.lower()
    return low.endswith(("auth", "login")) and low != "oauth"
