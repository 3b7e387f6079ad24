"""Whether a value can be a secret at all, or is a placeholder, a word or a type (pure).

Called by `redaction_names`, `redaction_shapes` and `redaction`, inside a user's cell.
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_JUDGED: Final = 256
_PLACEHOLDER: Final = re.compile(
    r"""
      \[REDACTED:\w{1,80}\]
    | <[^<>]*> | \{.*\} | \$\{?\w+\}? | \$\(.* | %\(?\w*\)?[sdr] | %\w+%
    | [*•.#_xX-]{3,}
    | .{0,8}\.\.\.
    | (?:your|insert|enter|replace|put|paste)[-_ a-z].*
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ENV_NAME: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_PATH: Final = re.compile(r"(?:~|\.{1,2})?/[\w./@-]*|[\w./\\:@ -]+\.(?:json|ya?ml|toml|ini|cfg|conf|"
                          r"txt|pem|key|crt|csv|env|pickle|pkl|db|sqlite|py|ipynb)")
_TYPE: Final = re.compile(
    r"(?:u?int|float|complex|datetime|timedelta|bytes|varchar|char|base|sha|md)\W?\d.*", re.IGNORECASE
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.,Z+-]*)?")
_WORDS: Final = frozenset(
    "none null nil true false yes no on off str string int integer float object text bool boolean "
    "bytes category varchar char datetime date hidden required optional unset missing invalid "
    "incorrect wrong expired valid env prompt undefined unknown empty default auto n/a na nan "
    "disabled enabled todo tbd redacted masked removed file stdin list dict any".split()
)
_SENTENCE: Final = re.compile(
    r"\b(?:enter|your|please|must|password|passphrase|incorrect|invalid|wrong|required|characters|"
    r"again|new|confirm|forgot|should|cannot|can't|the|for|is|not|of|to|and|or|if|a)\b",
    re.IGNORECASE,
)
_CLASSES: Final = re.compile(r"[A-Z]+|[a-z]+|[0-9]+")
_HEX: Final = re.compile(r"[0-9a-f]{20,}|[0-9A-F]{20,}")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def is_placeholder(value: str) -> bool:
    """True for `<token>`, `${TOKEN}`, `{password}`, `***`, `your-key-here` and what was redacted."""
    return _PLACEHOLDER.fullmatch(value[:_MAX_JUDGED]) is not None


def is_plain(value: str) -> bool:
    """True for words, types, dates, files and names of variables that stand where a secret could."""
    value = value[:_MAX_JUDGED]
    return (
        value.lower() in _WORDS
        or is_placeholder(value)
        or any(form.fullmatch(value) for form in (_ENV_NAME, _PATH, _TYPE, _DATE))
        or "://" in value
        or (" " in value and (_SENTENCE.search(value) is not None or value != value.strip()))
    )


def looks_random(value: str) -> bool:
    """True when a value of 16 or more characters changes between digits and letters again and again.

    Words joined by dashes, version numbers and dotted names do not.
    """
    if not 16 <= len(value) or any(c in value for c in " \t\n()[]{}<>") or _DOTTED.fullmatch(value):
        return False
    value = value[:_MAX_JUDGED]
    if _HEX.search(value):
        return True
    return any(_is_mixed(part) for part in re.split(r"[-_.,:;/ ]", value))


def is_short_secret(value: str) -> bool:
    """True when a value without spaces mixes letters with digits or signs, as `hunter2` does."""
    has_letter = any(c.isalpha() for c in value)
    return has_letter and any(not c.isalpha() for c in value) and " " not in value


def _is_mixed(part: str) -> bool:
    runs = _CLASSES.findall(part)
    has_digit = any(run.isdigit() for run in runs)
    return len(part) >= 10 and len(runs) >= 4 and has_digit
