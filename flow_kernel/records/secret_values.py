"""Whether a value can be a secret at all, or is a placeholder, a word or a type (pure).

Called by `redaction_names`, `redaction_shapes` and `redaction`, inside a user's cell.
"""

import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.secret_names import words

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_JUDGED: Final = 256
_PLACEHOLDER: Final = re.compile(
    r"""
      \[REDACTED:\w{1,80}\]
    | <{1,3}[^<>]*>{1,3} | \{.*\} | \$\{?\w+\}? | \$\(.* | %\(?\w*\)?[sdr] | %\w+%
    | [*•.#_xX-]{3,}
    | .{0,24}\.\.\.
    | my[-_][a-z_-]*api[-_]?key
    | (?:your|insert|enter|replace|put|paste)[-_ a-z].*
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ENV_NAME: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_PATH: Final = re.compile(
    r"(?:~|\.{1,2})?/[\w./@-]*|[\w./\\:@ -]+\.(?:json|ya?ml|toml|ini|cfg|conf|"
    r"txt|pem|key|crt|csv|env|pickle|pkl|db|sqlite|py|ipynb)"
)
_TYPE: Final = re.compile(
    r"(?:u?int|float|complex|datetime|timedelta|bytes|varchar|char|base|sha|md)\W?\d.*",
    re.IGNORECASE,
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.,Z+-]*)?")
_WORDS: Final = words(
    "none null nil true false yes no on off str string int integer float object text bool boolean "
    "bytes category varchar char datetime date hidden required optional unset missing invalid "
    "incorrect wrong expired valid env prompt undefined unknown empty default auto n/a na nan "
    "disabled enabled tbd same-origin include omit redacted masked removed file stdin list dict any"
)
_SENTENCE: Final = re.compile(
    r"\b(?:enter|your|please|must|passwords?|passphrase|incorrect|invalid|wrong|required|characters|"
    r"forgot|confirm|should|cannot|can't|user|login|account|field|key|token|value|secret)\b",
    re.IGNORECASE,
)
_CLASSES: Final = re.compile(r"[A-Z]+|[a-z]+|[0-9]+")
_HEX: Final = re.compile(r"[0-9a-f]{20,}|[0-9A-F]{20,}")
_EXPRESSION: Final = re.compile(r"[A-Za-z_]\w*(?:[.+*/%-]{1,2}\w+)+|[\d.eE+-]+|v?\d+(?:\.\w+)*")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_IMPORT: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){2,}(?::\w+)?")
_HEADER: Final = re.compile(r"[A-Z][a-z]+(?:-[A-Z][a-z]+)+")
_FIELD: Final = re.compile(r"%\(?\w*\)?[sdr]|\{[^{}]*\}")
_ALPHA: Final = re.compile(r"[A-Za-z]")
_SIGN: Final = re.compile(r"[^A-Za-z_.-]")
_LETTER: Final = re.compile(r"[A-Za-z0-9]")


def is_placeholder(value: str) -> bool:
    """True for `<token>`, `${TOKEN}`, `{password}`, `***`, `your-key` and what was redacted."""
    return _PLACEHOLDER.fullmatch(value[:_MAX_JUDGED]) is not None


def is_plain(value: str) -> bool:
    """True for words, types, dates, files and variables that stand where a secret could."""
    value = value[:_MAX_JUDGED]
    return (
        value.lower() in _WORDS
        or _LETTER.search(_FIELD.sub("", value)) is None
        or is_placeholder(value)
        or any(form.fullmatch(value) for form in (_ENV_NAME, _PATH, _TYPE, _DATE, _IMPORT, _HEADER))
        or "://" in value
        or (" " in value and (_SENTENCE.search(value) is not None or value != value.strip()))
    )


def looks_random(value: str) -> bool:
    """True when a value of 16 or more characters changes often between digits and letters.

    Words joined by dashes, version numbers and dotted names do not.
    """
    if not len(value) >= 16 or any(c in value for c in " \t\n()[]{}<>") or _DOTTED.fullmatch(value):
        return False
    value = value[:_MAX_JUDGED]
    if _HEX.search(value):
        return True
    return any(_is_mixed(part) for part in re.split(r"[-_.,:;/ ]", value))


def is_short_secret(value: str) -> bool:
    """True when a value without spaces mixes letters with digits or signs, as `hunter2` does."""
    return " " not in value and _SIGN.search(value) is not None and _ALPHA.search(value) is not None


def is_bare_secret(value: str) -> bool:
    """True when a value that stands without quotes is no name, number or expression either."""
    return is_short_secret(value) and _EXPRESSION.fullmatch(value) is None


def is_mixed_case(value: str) -> bool:
    """True when a value has digits among letters, or capitals among small letters."""
    return len(_CLASSES.findall(value)) >= 3 or (is_short_secret(value) and not value.isupper())


def _is_mixed(part: str) -> bool:
    runs = _CLASSES.findall(part)
    has_digit = any(run.isdigit() for run in runs)
    return len(part) >= 10 and len(runs) >= 4 and has_digit
