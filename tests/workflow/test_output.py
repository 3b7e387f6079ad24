"""What a step prints becomes its output, or says why it cannot."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workflow.output import OutputInvalid, missing, parsed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("stdout", "output"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' \n {"a": 1} \n\n', {"a": 1}),
        (b'{\n  "a": [1,\n 2]\n}\n', {"a": [1, 2]}),
        (b'loading\n{"not": "this"}\n{"a": 1}\n', {"a": 1}),
        (b'{"a": 1} {"b": 2}', {"result": '{"a": 1} {"b": 2}'}),
        (b"[1, 2]", {"result": [1, 2]}),
        (b"3\n", {"result": 3}),
        (b"null", {"result": None}),
        (b'"text"', {"result": "text"}),
        (b"done\n", {"result": "done\n"}),
        (b"", {"result": ""}),
        (b'{"a": 1}\ntail', {"result": '{"a": 1}\ntail'}),
        (b"first\n[1]", {"result": "first\n[1]"}),
        (b"{half", {"result": "{half"}),
        ("größe: 1 µm".encode(), {"result": "größe: 1 µm"}),
        (b'{"big": 18446744073709551615}', {"big": 2**64 - 1}),
    ],
)
def test_stdout_is_read_as_the_contract_says(stdout: bytes, output: dict[str, Any]) -> None:
    assert parsed(stdout) == output


@pytest.mark.parametrize(
    ("stdout", "why"),
    [
        (b"\xff\xfe", "stdout is not UTF-8 (byte 0: 0xff)"),
        (b'{"a": NaN}', "the output is no JSON: a is nan"),
        (b'{"a": {"b": [0, -Infinity]}}', "the output is no JSON: a.b[1] is -inf"),
        (b'log\n{"a": Infinity}', "the output is no JSON: a is inf"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "the output is nested too deeply"),
    ],
)
def test_what_cannot_be_an_output_says_why(stdout: bytes, why: str) -> None:
    with pytest.raises(OutputInvalid) as error:
        parsed(stdout)

    assert error.value.message == why


@given(st.dictionaries(st.text(), VALUES), st.text().filter(lambda text: "\n" not in text))
def test_an_object_on_the_last_line_is_the_output_whatever_is_before_it(
    value: dict[str, Any], before: str
) -> None:
    line = json.dumps(value)

    assert parsed(f"{before}\n{line}\n".encode("utf-8", "replace")) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_reason(stdout: bytes) -> None:
    try:
        found = parsed(stdout)
    except OutputInvalid:
        return

    assert type(found) is dict


def test_keys_that_an_output_lacks_are_named_with_their_variables() -> None:
    assert missing({"a": 1}, {"x": "a", "y": "b"}) == [("y", "b")]
