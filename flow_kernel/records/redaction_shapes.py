"""Secrets that are known by their own shape: tokens of services, keys, passwords in URLs (pure).

Called by `redaction` for every text that is recorded.

One pass looks for places where a token can begin (`_`, `-`, `://`, `AKIA`, `eyJ`), which are rare in
text; only there the rest is checked. Each run of characters is read once, so the time is linear in
the text whatever it holds. A token that is cut off (`…`, the end of the text) is still one.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.secret_values import is_placeholder, looks_random

globals()["__builtins__"] = FROZEN_BUILTINS

Span = tuple[int, int, str]
"""Start, end and kind of a secret."""


class _Shape(NamedTuple):
    kind: str
    prefix: str  # a regular expression of fixed width
    width: int
    letters: str  # a class of characters
    least: int
    stop: str = "A-Za-z0-9"  # none of these stands directly before the prefix


_WORD: Final = "[A-Za-z0-9_-]"
_ALNUM: Final = "[A-Za-z0-9]"
_BASE64: Final = "A-Za-z0-9+/"
_BY_UNDERSCORE: Final = (
    _Shape("github_token", "gh[pousr]_", 4, _ALNUM, 30),
    _Shape("github_token", "github_pat_", 11, "[A-Za-z0-9_]", 22),
    _Shape("huggingface_token", "hf_", 3, _ALNUM, 30),
    _Shape("npm_token", "npm_", 4, _ALNUM, 30),
    _Shape("docker_token", "dckr_pat_", 9, _WORD, 20),
    _Shape("stripe_key", "[rs]k_(?:live|test)_", 8, _ALNUM, 16),
    _Shape("groq_key", "gsk_", 4, _ALNUM, 40),
    _Shape("replicate_token", "r8_", 3, _ALNUM, 30),
    _Shape("digitalocean_token", "do[opr]_v1_", 7, "[a-f0-9]", 60),
)
_BY_DASH: Final = (
    _Shape("anthropic_key", "sk-ant-", 7, _WORD, 16),
    _Shape("openai_key", "sk-proj-", 8, _WORD, 20),
    _Shape("openai_key", "sk-svcacct-", 11, _WORD, 20),
    _Shape("openai_key", "sk-admin-", 9, _WORD, 20),
    _Shape("openrouter_key", "sk-or-v1-", 9, "[a-f0-9]", 32),
    _Shape("openai_key", "sk-", 3, _ALNUM, 20, "A-Za-z0-9_-"),
    _Shape("gitlab_token", "glpat-", 6, _WORD, 20),
    _Shape("slack_token", "xox[abeprs]-", 5, _WORD, 10),
    _Shape("slack_token", "xapp-", 5, _WORD, 20),
    _Shape("pypi_token", "pypi-", 5, _WORD, 50),
    _Shape("google_secret", "GOCSPX-", 7, _WORD, 20),
)
_BY_LETTERS: Final = (
    _Shape("aws_key", "A[KS]IA", 4, "[A-Z2-7]", 16, _BASE64),
    _Shape("google_key", "AIza", 4, _WORD, 35, _BASE64),
    _Shape("jwt", "eyJ", 3, "", 0, f"{_BASE64}_.-"),
)
_ALL: Final = (*_BY_UNDERSCORE, *_BY_DASH, *_BY_LETTERS)
