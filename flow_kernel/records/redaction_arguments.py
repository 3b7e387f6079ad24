"""Secrets among several values: pairs, arguments, unpacked assignments (pure).

Called by `redaction_names` where a name is followed by a comma or a bracket.

    auth=("user", "…")            .login("user", "…")
    setdefault("API_KEY", "…")    user, password = "me", "…"
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.redaction_options import Span
from flow_kernel.records.redaction_sites import LINE_LOOKBACK, Site, accepts, literal_at
from flow_kernel.records.secret_names import kind_of
from flow_kernel.records.secret_values import is_plain, is_short_secret

globals()["__builtins__"] = FROZEN_BUILTINS

_PAIR: Final = re.compile(
    r"\(\s{0,8}+(?:[rbfu]{0,2}(?:\"[^\"\n]{0,200}+\"|'[^'\n]{0,200}+')|[\w.\[\]]{1,80}+)\s{0,8}+,"
    r"\s{0,8}+(?:password\s?=\s?)?(?P<prefix>[rbfu]{0,2})"
    r"(?P<quote>[\"'])(?P<value>[^\"'\n]{1,200}+)(?P=quote)\s{0,8}+,?\s{0,8}+(?P<end>[),])"
)
_TAKES_PASSWORD: Final = re.compile(r"(?:^|[._])(?:set|check|hash|verify)_password\Z")
_LAST_ARGUMENT: Final = re.compile(
    r"\((?:[rbu]?[\"'][^\"'\n]{0,80}+[\"'],\s?|[\w.]{1,60}+,\s?){0,2}+[rbu]?[\"']([^\"'\n]{1,200}+)[\"']\)"
)
_SETTER: Final = re.compile(
    r"(?:setdefault|putenv|setenv|set_key|set_secret|set_password|add_header|header|set|put)"
    r"\s?\(\s{0,8}+\Z"
)
_UNPACKING: Final = re.compile(
    r"[ \t]{0,40}+(?P<names>[\w.]{1,60}+(?:[ ]?,[ ]?[\w.]{1,60}+){1,8}+)[ ]?=[ ]?(?!=)"
)
_ELEMENT: Final = re.compile(
    r"(?:[rbRB]?(?:\"([^\"\\\n]{0,400}+)\"|'([^'\\\n]{0,400}+)')|[\w.\[\]()]{1,80}+)"
    r"[ ]?(?:,[ ]?|$|(?=[\n#;]))"
)


def is_pair(name: str) -> bool:
    """True for names whose value is a user and a password."""
    low = name.lower()
    return low.endswith(("auth", "login")) and low != "oauth"


def in_call(text: str, site: Site, at: int) -> Span | None:
    """The second of two arguments: `HTTPBasicAuth("user", "…")`, `auth=("user", "…")`."""
    if _TAKES_PASSWORD.search(site.name) is not None:
        last = _LAST_ARGUMENT.match(text, at)
        is_secret = last is not None and is_short_secret(last[1]) and not is_plain(last[1])
        return (*last.span(1), "password") if last is not None and is_secret else None
    pair = _PAIR.match(text, at) if is_pair(site.name) else None
    if pair is None or is_plain(pair["value"]):
        return None
    is_longer = at != site.end and pair["end"] != ")"  # a tuple of three
    if is_longer or ("f" in pair["prefix"] and "{" in pair["value"]):
        return None
    return (*pair.span("value"), "password")


def in_list(text: str, site: Site) -> Span | None:
    """`("NAME", "value")` as the arguments of a setter or as a pair."""
    literal = literal_at(text, site.end + 1) or literal_at(text, site.end + 2)
    if literal is None or text[site.start - 1 : site.start] not in ('"', "'"):
        return None
    before = text[max(0, site.start - 40) : site.start - 1]
    if _SETTER.search(before) is None:
        is_couple = before.endswith("(") and text.startswith(")", literal.after)
        if not is_couple or not is_short_secret(literal.value):
            return None
    if literal.is_open or not accepts(site.power, literal.value):
        return None
    return (literal.start, literal.end, kind_of(site.name))


def unpacking(text: str, site: Site) -> re.Match[str] | None:
    """The left side of `user, password = …`, when the name is a part of it."""
    near = max(0, site.start - 4)
    if text[site.end] != "," and "," not in text[near : site.start]:
        return None
    line = text.rfind("\n", max(0, site.start - LINE_LOOKBACK), site.start) + 1
    found = _UNPACKING.match(text, line)
    return found if found is not None and found.end() > site.end else None


def unpacked(text: str, site: Site, names: re.Match[str]) -> Span | None:
    """The value that one of several names gets."""
    at = names.end()
    for name in names["names"].split(","):
        element = _ELEMENT.match(text, at)
        if element is None:
            return None
        if name.strip().endswith(site.name):
            group = 1 if element[1] is not None else 2
            value = element[group]
            is_secret = value is not None and accepts(site.power, value)
            return (*element.span(group), kind_of(site.name)) if is_secret else None
        at = element.end()
    return None
