"""Secrets that are known by their own shape: tokens of services, keys, passwords in URLs (pure).

Called by `redaction` for every text that is recorded.

One pass looks for places where a token can begin (`_`, `-`, `://`, `AKIA`, `eyJ`), which are rare
in text; only there the rest is checked. Each run of characters is read once, so the time is linear
in the text whatever it holds. A token that is cut off (`…`, the end of the text) is still one.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.redaction_options import Span, option_at, password_at, user_at
from flow_kernel.records.secret_values import is_placeholder, looks_random

globals()["__builtins__"] = FROZEN_BUILTINS


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
    _Shape("gitlab_token", "gl(?:pat|ptt|cbt|imt)-", 6, _WORD, 20),
    _Shape("gitlab_token", "gl[drf]t-", 5, _WORD, 20),
    _Shape("slack_token", "xox[abeprs]-", 5, _WORD, 10),
    _Shape("slack_token", "xapp-", 5, _WORD, 20),
    _Shape("pypi_token", "pypi-", 5, _WORD, 50),
    _Shape("google_secret", "GOCSPX-", 7, _WORD, 20),
)
_BY_LETTERS: Final = (
    _Shape("aws_key", "A[KS]IA", 4, "[A-Z2-7]", 16, _BASE64),
    _Shape("google_key", "AIza", 4, _WORD, 35, _BASE64),
    _Shape("jwt", "eyJ", 3, "", 0, f"{_BASE64}_.-"),
    _Shape("sendgrid_key", r"SG\.", 3, "[A-Za-z0-9_.-]", 60),
)
_ALL: Final = (*_BY_UNDERSCORE, *_BY_DASH, None, None, None, *_BY_LETTERS)
"""The shapes in the order of the groups of the expression that finds them."""
_LAST_BUT_ONE: Final = {"_": "pousrftkme81", "-": "tjcn1kbeaprsiX"}
_CUT: Final = r"(?=\s{0,2}…|\Z)"


def _ends(mark: str, shapes: tuple[_Shape, ...]) -> str:
    """One empty group a shape, which matches behind `mark` where its prefix ends."""
    groups = "|".join([f"((?<={shape.prefix}))" for shape in shapes])
    return f"(?<=[{_LAST_BUT_ONE[mark]}]{mark})(?:{groups})"


def _rest(shape: _Shape | None) -> re.Pattern[str]:
    """What follows the prefix of a shape."""
    if shape is None or shape.kind == "jwt":
        return _JWT
    return re.compile(f"{shape.letters}{{{shape.least},}}+|{shape.letters}{{6,}}+{_CUT}")


# All begin with a plain character, so that the search skips to these five at once.
_ANCHOR: Final = re.compile(
    f"_{_ends('_', _BY_UNDERSCORE)}|-(?:{_ends('-', _BY_DASH)}"
    r"|(?P<option>(?<=--)(?=[A-Za-z])(?<!---))|u(?P<user>(?<=\s-u)|ser(?<=\s--user))"
    r"|p(?P<password>(?<=\s-p)))"
    r"|A(?:([KS]IA)|(Iza))|yJ((?<=eyJ))|G\.((?<=SG\.))|:(?P<url>//)"
)
_JWT: Final = re.compile(rf"{_WORD}{{8,}}+\.(?:{_WORD}{{8,}}+(?:\.{_WORD}*+)?+|{_WORD}*+{_CUT})")
_RESTS: Final = tuple([_rest(shape) for shape in _ALL])
_STOPS: Final = tuple([shape and re.compile(f"[{shape.stop}]") for shape in _ALL])
_EXAMPLE_USERS: Final = ("user", "username", "usr", "login", "name")
_EXAMPLE_PASSWORDS: Final = ("password", "passwd", "pass", "pwd", "pw", "secret")
_CREDENTIALS: Final = re.compile(
    r"(?P<user>[^\s/?#:@'\"\\<>{}\[\]()]{0,128}+):(?P<password>[^\s/?#'\"\\<>…]{1,256})"
    r"(?:@|(?P<cut>\n?…))"
)
_URL: Final = re.compile(r"[^\s'\"\\<>…]{0,2048}+")
_PATH_KEY: Final = re.compile(
    r"(?:hooks\.slack\.com/services/[A-Z0-9]+/[A-Z0-9]+/|discord(?:app)?\.com/api/webhooks/\d+/"
    r"|api\.telegram\.org/bot\d+:)([A-Za-z0-9_-]{16,}+)"
)
_QUERY: Final = re.compile(
    r"[?&](?:sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature|key|appid)="
    r"([A-Za-z0-9%+/=_.~-]{16,}+)",
    re.IGNORECASE,
)
_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_TEXT: Final = re.compile(r"(?:[A-Za-z0-9+/=:,\- \t\r\n'\"]|\\[nrt])*+")
_MAX_KEY: Final = 16384
_OMITTED: Final = re.compile(r"\n…\[\d+ bytes omitted\]…\n")
_KEY_LINE: Final = re.compile(r"[A-Za-z0-9+/=]{16,}+")


def shapes_in(text: str) -> list[Span]:
    """The secrets of known shape in `text`; about 1 us for 260 characters without any."""
    spans: list[Span] = []
    first = _ANCHOR.search(text)
    if first is not None:
        done = url_end = 0
        for found in _ANCHOR.finditer(text, first.start()):
            if found.start() < done:
                continue
            if found.lastgroup == "url":
                spans += _credentials(text, found.end())
                if found.start() >= url_end:
                    url_end = _url_end(text, found.end())
                    spans += _queries(text, found.end(), url_end)
                continue
            span = _at(text, found)
            if span is not None:
                done = span[1]
                spans.append(span)
    if "PRIVATE KEY" in text:
        spans += _private_keys(text)
    return spans


def _at(text: str, found: re.Match[str]) -> Span | None:
    if found.lastgroup == "option":
        return option_at(text, found.end())
    if found.lastgroup in ("user", "password"):
        value_at = user_at if found.lastgroup == "user" else password_at
        return value_at(text, found.end())
    index = (found.lastindex or 1) - 1
    shape, stop = _ALL[index], _STOPS[index]
    if shape is None or stop is None:
        return None
    start = found.end() - shape.width
    if start and stop.match(text, start - 1):
        return None
    rest = _RESTS[index].match(text, found.end())
    if rest is None or (shape.prefix == "sk-" and rest.group().isalpha()):
        return None
    return (start, rest.end(), shape.kind)


def _credentials(text: str, start: int) -> list[Span]:
    found = _CREDENTIALS.match(text, start)
    if found is None or is_placeholder(found["password"]):
        return []
    if found["cut"] and found["password"].isdigit():  # a port
        return []
    if found["user"] in _EXAMPLE_USERS and found["password"] in _EXAMPLE_PASSWORDS:
        return []
    return [(*found.span("password"), "url_password")]


def _url_end(text: str, start: int) -> int:
    found = _URL.match(text, start)
    return found.end() if found is not None else start


def _queries(text: str, start: int, end: int) -> list[Span]:
    """The signatures and keys among the parameters of a URL, or the key in its path."""
    path = _PATH_KEY.match(text, start, end)
    if path is not None:
        return [(*path.span(1), "url_key")]
    if text.find("?", start, end) < 0:
        return []
    return [
        (*found.span(1), "url_key")
        for found in _QUERY.finditer(text, start, end)
        if looks_random(found[1])
    ]


def _private_keys(text: str) -> Iterator[Span]:
    """What stands between the lines of a key, also when one of them was cut off."""
    marks = sorted(
        [(*found.span(), True) for found in _BEGIN.finditer(text)]
        + [(*found.span(), False) for found in _END.finditer(text)]
    )
    if not marks:
        return
    before = (0, 0, False)
    for mark, after in zip(marks, [*marks[1:], (len(text), len(text), True)], strict=True):
        start, end, is_begin = mark
        if is_begin:
            stop, _, is_open = after
            if is_open:
                cut = _KEY_TEXT.match(text, end, stop)
                stop = cut.end() if cut is not None else end
            yield from _key_body(text, end, stop)
        elif not before[2]:
            yield from _key_body(text, _backward(text, before[1], start), start)
        before = mark


def _backward(text: str, lowest: int, stop: int) -> int:
    """Where the lines of a key that end at `stop` begin; the first one may be cut."""
    start = stop
    for line in reversed(text[max(lowest, stop - _MAX_KEY) : stop].split("\n")):
        if line and _KEY_LINE.fullmatch(line) is None:
            break
        start -= len(line) + 1
    return max(lowest, start + 1)


def _key_body(text: str, start: int, stop: int) -> Iterator[Span]:
    """The lines of a key, without what says how much was left out between them."""
    for omitted in [*_OMITTED.finditer(text, start, stop), None]:
        body = text[start : omitted.start() if omitted is not None else stop]
        if any(_is_key_line(line.group()) for line in _KEY_LINE.finditer(body)):
            inner = body.strip()
            at = start + body.index(inner)
            yield (at, at + len(inner), "private_key")
        start = omitted.end() if omitted is not None else stop


def _is_key_line(line: str) -> bool:
    """True for base64: long, in upper and lower case, with digits."""
    return not (line.islower() or line.isupper() or line.isalpha())
