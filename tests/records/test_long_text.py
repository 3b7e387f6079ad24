"""The ends of a long text are those of the text, wherever they are cut."""

import json

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.long_text import LongText
from flow_kernel.records.output import StreamBuffer
from tests.records.test_output import nothing_secret

# What JSON escapes in two bytes and in six, and what UTF-8 has two to four bytes for.
PIECES = st.sampled_from(
    ['"', "\\", "\\u", "\n", "\x1b", "u001b", "n", "é", "漢", "😀", "x", "abc"]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(PIECES, max_size=30).map("".join),
    st.builds(lambda piece, times: piece * times, PIECES, st.integers(0, 400)),
)
LONG = st.lists(TEXTS, max_size=6).map("".join)


def by_orjson(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def by_json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()[1:-1]


def long_text(text: str, raw: bytes) -> LongText:
    return LongText(memoryview(raw), chars=len(text), utf8_bytes=len(text.encode()))


@settings(max_examples=400, deadline=None)
@given(LONG, st.integers(0, 700), st.sampled_from([by_orjson, by_json]))
def test_head_and_tail_are_those_of_the_whole_text(text: str, chars: int, dumps: object) -> None:
    assert callable(dumps)
    long = long_text(text, dumps(text))
    found = (str(long), long.head(chars), long.tail(chars))
    assert found == (text, text[:chars], text[max(0, len(text) - chars) :])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(LONG, st.booleans()), max_size=6), st.integers(2, 300))
def test_long_texts_are_kept_as_if_they_had_been_decoded(
    pieces: list[tuple[str, bool]], budget: int
) -> None:
    one, other = StreamBuffer(budget), StreamBuffer(budget)
    for text, is_long in pieces:
        one.add(text)
        if is_long:
            other.add_long(long_text(text, by_orjson(text)))
        else:
            other.add(text)
    assert other.kept(nothing_secret) == one.kept(nothing_secret)
    assert other.full_bytes == one.full_bytes


@given(st.binary(max_size=300))
def test_what_is_no_text_at_all_has_ends_as_well(raw: bytes) -> None:
    long = LongText(memoryview(raw), chars=len(raw), utf8_bytes=len(raw))
    assert len(long.head(10)) <= 10
    assert len(long.tail(10)) <= 10
    assert isinstance(str(long), str)
