"""One record as one line: what goes in comes out, and what is damaged is seen."""

import json
import math
import zlib
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.records.codec import (
    NO_PREVIOUS,
    LineDamaged,
    clean,
    decode,
    encode,
    fill,
    link,
    relink,
    template,
)
from tests.records.journals import PATCH, few, little_stack, run_python

plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
any_text = st.text(st.characters(codec=None))
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner) | st.dictionaries(plain_text, inner),
    max_leaves=8,
)
any_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(any_text | st.integers(), inner)
    ),
    max_leaves=8,
)
names = st.text("abcxyz", min_size=3).filter(lambda name: name not in ("crc", "seq"))


def records(values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, values, min_size=1)


@few
@given(records(plain_values))
def test_what_json_can_carry_comes_back_as_it_was(record: dict[str, Any]) -> None:
    line = encode(record)
    back = decode(line)

    head = line.rpartition(b',"crc":')[0]
    assert back.pop("crc") == f"{zlib.crc32(head):08x}"
    assert back == record
    assert list(back) == list(record)


@few
@given(records(any_values))
@example({"a": "\ud800 \0", "b": [math.nan, math.inf, 2**64, -(2**63) - 1, b"x"]})
def test_no_content_loses_a_record(record: dict[str, Any]) -> None:
    line = encode(record)

    assert b"\n" not in line
    assert b"\\u0000" not in line
    assert list(decode(line)) == [*record, "crc"]
    assert json.loads(line) == decode(line)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800b", "a\\ud800b"),
        ("a\0b", "a\\x00b"),
        ("\\u0000", "\\u0000"),
        (math.nan, None),
        ([math.inf, "\0"], [None, "\\x00"]),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (1 << 5000, hex(1 << 5000)),
        ({1: 2, None: 3, "\0": 4}, {"1": 2, "None": 3, "\\x00": 4}),
        ((1, (2,)), [1, [2]]),
        ({1, 2}, "<set>"),
        (b"x", "<bytes>"),
        (len, "<builtin_function_or_method>"),
    ],
)
def test_what_json_cannot_carry_gets_a_form_that_it_can(value: object, expected: object) -> None:
    assert decode(encode({"x": value}))["x"] == expected


def test_values_of_user_classes_run_no_code() -> None:
    class Hostile(dict[str, object]):
        def __getattribute__(self, name: str) -> object:
            raise SystemExit(name)

        __iter__ = __len__ = __repr__ = __str__ = __hash__ = __eq__ = __getattribute__  # type: ignore[assignment]

    assert clean([Hostile(), Hostile]) == ["<Hostile>", "<type>"]


def test_a_container_inside_itself_is_cut_off() -> None:
    loop: list[object] = [1]
    loop += [loop, loop, {"x": loop}]

    assert decode(encode({"x": loop}))["x"] == [1, "…", "…", {"x": "…"}]


def test_deep_nesting_is_cut_off() -> None:
    deep: object = "bottom"
    for _ in range(100_000):
        deep = [deep]

    assert decode(encode({"x": deep}))["x"] is not None


def test_a_mapping_that_is_no_dict_is_a_record_too() -> None:
    assert encode(MappingProxyType({"a": 1})) == encode({"a": 1})


def test_a_record_survives_a_nearly_full_stack() -> None:
    record = {"v": 1, "deep": [[[["\ud800"]]]], "x": "\0"}
    with little_stack(14):
        line = encode(record)

    assert list(decode(line)) == ["v", "deep", "x", "crc"]


@few
@given(records(plain_values), any_text, any_text)
def test_filling_a_template_is_encoding_the_whole_record(
    fields: dict[str, Any], plan: str, task: str
) -> None:
    header = {"v": 1, "kind": "cell", "session": "5e" * 16, "seq": 7}
    header |= {"plan_id": plan, "task_id": task, "timestamp": "now", "prev": NO_PREVIOUS}
    start = template("cell", "5e" * 16, plan, task)

    assert fill(start, 7, "now", NO_PREVIOUS, fields) == encode({**header, **fields})
    assert fill(start, 7, "now", NO_PREVIOUS, {}) == encode(header)


@few
@given(any_text)
@example(',"prev":"0000000000000000"')
def test_another_prev_changes_nothing_else(plan: str) -> None:
    start = template("cell", "5e" * 16, plan, plan)
    old = fill(start, 1, "now", NO_PREVIOUS, {"prev_": "x"})
    new = fill(start, 1, "now", "1234567890abcdef", {"prev_": "x"})

    assert relink(old, "1234567890abcdef") == new


@few
@given(records(plain_values), st.integers(1, 255))
def test_any_changed_byte_is_seen(record: dict[str, Any], flip: int) -> None:
    line = encode(record)

    for at, byte in enumerate(line):
        with pytest.raises(LineDamaged):
            decode(line[:at] + bytes([byte ^ flip]) + line[at + 1 :])


@few
@given(records(plain_values))
def test_any_truncation_is_seen(record: dict[str, Any]) -> None:
    line = encode(record)

    for end in range(len(line)):
        with pytest.raises(LineDamaged):
            decode(line[:end])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "no checksum"),
        (b'{"a":1}', "no checksum"),
        (b'{"a":1,"crc":"00000000"}', "does not match"),
    ],
)
def test_the_reason_of_the_damage_is_told(line: bytes, reason: str) -> None:
    with pytest.raises(LineDamaged, match=reason):
        decode(line)


@pytest.mark.parametrize(
    ("body", "reason"), [(b'{"a":\xff', "not JSON"), (b'["a"', "not JSON"), (b"", "not JSON")]
)
def test_a_right_checksum_does_not_make_a_record(body: bytes, reason: str) -> None:
    with pytest.raises(LineDamaged, match=reason):
        decode(body + b',"crc":"%08x"}' % zlib.crc32(body))


def test_a_link_is_the_start_of_the_sha256_of_the_line() -> None:
    assert link(b"abc") == "ba7816bf8f01cfea"


def test_the_codec_works_where_the_cell_has_patched_the_builtins() -> None:
    program = """
from flow_kernel.records.codec import decode, encode
record = {"v": 1, "x": ["\\ud800", 2**70, float("nan"), object(), {1: 2}]}
write, ended = os.write, os._exit
codecs.register_error("backslashreplace", lambda error: 1 / 0)
ruin(zlib, hashlib, builtins)
write(1, decode(encode(record))["x"][0].encode())
ended(0)
"""
    assert run_python(PATCH + program) == "\\ud800"
