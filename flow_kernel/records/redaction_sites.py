"""A name that may be secret, and the literal that follows it (pure).

Called by `redaction_names` and `redaction_arguments`, inside a user's cell.
"""

import re
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.secret_names import Strength, is_secret_in_environment, strength
from flow_kernel.records.secret_values import is_plain, looks_random

globals()["__builtins__"] = FROZEN_BUILTINS

LINE_LOOKBACK: Final = 400
"""So many characters before a place are looked at to tell what its line is."""
_MAX_NAME: Final = 64
_NAME_CHARS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,160}+")
_BEFORE_ENVIRONMENT: Final = ('"', "'", " ", ":")
_ENVIRONMENT: Final = ('environ["', "environ['", "export ", "setenv ", "ENV ", "-e ", "$env:")
_OPENER: Final = re.compile(
    r"(?P<bracket>\(\s{0,8}+)?(?P<prefix>[rbfuRBFU]{0,2})(?P<quote>\\?(?:\"\"\"|'''|[\"']))"
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


class Site(NamedTuple):
    """A name and where it stands."""

    name: str
    start: int
    end: int
    """Where what follows begins: an operator, a comma, a bracket."""
    power: Strength
    is_environment: bool


class Literal(NamedTuple):
    """A string as it stands in code or JSON, without its quotes."""

    value: str
    start: int
    end: int
    quote: str
    is_open: bool
    """The text was cut off inside it."""
    is_template: bool
    is_in_tuple: bool

    @property
    def after(self) -> int:
        """Where what follows the closing quote begins."""
        return self.end + len(self.quote)


def site_at(text: str, near: int, end: int) -> Site:
    """The name of which a part stands at `near`; what follows it begins at `end`."""
    before = text[max(0, near - _MAX_NAME) : near]
    start = near - len(before) + len(before.rstrip(_NAME_CHARS))
    found = _NAME.match(text, start)
    name = found.group() if found is not None else ""
    name = name.strip(".")
    power, is_environment = strength(name), False
    if text.startswith(_BEFORE_ENVIRONMENT, max(0, start - 1)):
        around = text[max(0, start - 12) : start]
        is_environment = around.endswith(_ENVIRONMENT) and is_secret_in_environment(name)
        # The account file of a service for data sets: {"username": "…", "key": "…"}.
        is_account = name == "key" and '"username"' in text[max(0, start - 100) : start]
        power = Strength.STRONG if is_environment or is_account else power
    return Site(name, start, end, power, is_environment)


def literal_at(text: str, at: int) -> Literal | None:
    """The string literal that begins at `at`, perhaps in a bracket, or None."""
    opener = _OPENER.match(text, at)
    form = _BODIES.get(opener["quote"]) if opener is not None else None
    body = form.match(text, opener.end()) if form is not None and opener is not None else None
    if opener is None or body is None:
        return None
    quote, end = opener["quote"], body.end()
    is_closed = text.startswith(quote, end)
    is_cut = end == len(text) or text.startswith("\n…[", end)
    if not (is_closed or is_cut):
        return None
    return Literal(
        value=body.group(),
        start=body.start(),
        end=end,
        quote=quote,
        is_open=not is_closed,
        is_template="f" in opener["prefix"].lower() and "{" in body.group(),
        is_in_tuple=bool(opener["bracket"]) and text.startswith(",", end + len(quote)),
    )


def accepts(power: Strength, value: str) -> bool:
    """True when `value` is a secret after a name of that strength."""
    if not value or is_plain(value):
        return False
    return power is Strength.STRONG or looks_random(value)
