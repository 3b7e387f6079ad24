"""The lines of `jupyter flow repl`: every line is a request, an error in words, or blank."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.apps import repl_protocol as protocol
from flow_kernel.apps.repl_lines import LineSplitter
from flow_kernel.apps.repl_protocol import Decide, GiveInput, Refused, RunCell, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "code", "isolated", "timeout", "stream", "input", "approve", "decision", "comment", "x"]
)
SCALARS = [None, True, 0, -1, 2**63 - 1, -(2**63), 0.5, "", "ü\u2028", "a" * 5000]


def line(**said: object) -> bytes:
    return json.dumps(said).encode()


@pytest.mark.parametrize("request_id", SCALARS)
def test_any_scalar_is_an_id_and_comes_back_as_it_was(request_id: Any) -> None:
    request = parse(line(id=request_id, code="1"))

    assert isinstance(request, RunCell)
    assert json.loads(protocol.line_of({"id": request.id})) == {"id": request_id}


def test_each_kind_of_request_is_read_with_its_options() -> None:
    full = line(id=1, code="x", isolated=True, timeout=2, stream=True)

    assert [
        parse(full),
        parse(line(code="")),
        parse(line(code="x", timeout=None)),
        parse(line(input="ü")),
        parse(line(approve="A-0001", decision="yes")),
        parse(line(approve="A-0001", decision="no", comment="why")),
    ] == [
        RunCell(id=1, code="x", is_isolated=True, timeout_s=2.0, is_streamed=True, size=len(full)),
        RunCell(id=None, code="", size=12),
        RunCell(id=None, code="x", size=len(line(code="x", timeout=None))),
        GiveInput(text="ü"),
        Decide(approval_id="A-0001", decision="approve"),
        Decide(approval_id="A-0001", decision="reject", comment="why"),
    ]


@pytest.mark.parametrize("blank", [b"", b"  ", b"\t\r"])
def test_a_blank_line_is_nothing(blank: bytes) -> None:
    assert parse(blank) is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"nope", "a line is no request"),
        (b"[1]", "a request is an object"),
        (b"5", "a request is an object"),
        (b'{"code":"1"', "a line is no request"),
        (b'{"code":"1"} {"code":"2"}', "a line is no request"),
        (b'{"code":"\xff"}', "a line is no request"),
        (b'{"code":"\\ud800"}', "a line is no request"),
        (b'{"code":"1","timeout":NaN}', "a line is no request"),
        (b'\0{"code":"1"}', "a line is no request"),
        (b"[" * 100_000, "a line is no request"),
        (b"{}", "a request has code, input or approve"),
        (b'{"id":1}', "a request has code, input or approve"),
        (line(code=5), '"code" is text'),
        (line(code="1", timeout="2"), '"timeout" is a number'),
        (line(code="1", timeout=True), '"timeout" is a number'),
        (line(code="1", timeout=0), '"timeout" is a number'),
        (line(code="1", timeout=-1), '"timeout" is a number'),
        (b'{"code":"1","timeout":1e400}', "a line is no request"),
        (line(code="1", timeout=1e300), '"timeout" is a number'),
        (line(code="1", stream=1), '"stream" is true or false'),
        (line(code="1", isolated="no"), '"isolated" is true or false'),
        (line(code="1", id=[1]), '"id" is text, a number'),
        (line(code="1", id=10**30), '"id" is a number that would not come back'),
        (line(code="1", tiemout=2), "no key 'tiemout'"),
        (line(code="1", input="2"), "no key 'input'"),
        (line(input=1), '"input" is text'),
        (line(input="1", id=1), "no key 'id'"),
        (line(approve="A-0001"), '"decision" is yes or no'),
        (line(approve="A-0001", decision=True), '"decision" is yes or no'),
        (line(approve="A-0001", decision="approve"), '"decision" is yes or no'),
        (line(approve=1, decision="yes"), '"approve" is text'),
        (line(approve="A-0001", decision="yes", comment=None), '"comment" is text'),
    ],
)
def test_a_bad_line_is_refused_in_words(bad: bytes, says: str) -> None:
    refused = parse(bad)

    assert isinstance(refused, Refused)
    assert says in refused.error.message


def test_a_refusal_names_the_request_where_it_can() -> None:
    refused = parse(line(id="a", code="1", tiemout=2))

    assert isinstance(refused, Refused)
    assert protocol.error(refused.error, refused.id) == {
        "id": "a",
        "error": {
            "type": "UsageError",
            "message": "such a request has no key 'tiemout'",
            "hint": "its keys are id, code, isolated, timeout, stream",
        },
    }


@given(
    st.binary(max_size=200)
    | st.dictionaries(KEYS, JSON, max_size=6).map(lambda said: json.dumps(said).encode())
)
@example(b'{"code":"1","id":1e309}')
def test_every_line_is_understood_or_refused(data: bytes) -> None:
    said = parse(data)

    if isinstance(said, Refused):
        answer = orjson.loads(protocol.line_of(protocol.error(said.error, said.id)))
        assert {"type", "message", "hint"} == set(answer["error"])
    else:
        assert said is None or isinstance(said, RunCell | GiveInput | Decide)


@given(JSON)
def test_whatever_a_kernel_says_becomes_one_line_of_json(value: object) -> None:
    sent = protocol.line_of({"id": 1, "value": value})

    assert sent.count(b"\n") == 1
    assert sent.endswith(b"\n")
    assert orjson.loads(sent)["id"] == 1


def test_what_no_json_can_hold_is_told_as_text() -> None:
    odd = {"id": 1, "stdout": "a\ud800b\0", "big": 2**70, "nan": math.nan, "other": {1: {2}}}

    assert orjson.loads(protocol.line_of(odd)) == {
        "id": 1,
        "stdout": "a\\ud800b\0",
        "big": str(2**70),
        "nan": None,
        "other": {"1": "{2}"},
    }


@given(st.text(st.sampled_from("aü€😀\ud800"), max_size=60), st.sampled_from([1, 1000, 30_000]))
def test_chunks_are_small_whole_and_split_no_character(text: str, times: int) -> None:
    pieces = list(protocol.chunks(text * times))

    assert "".join(pieces) == text * times
    assert all(0 < len(p.encode("utf-8", "surrogatepass")) <= protocol.CHUNK_BYTES for p in pieces)


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=30), st.integers(1, 40))
def test_lines_are_the_same_however_they_arrive(data: bytes, cuts: list[int], limit: int) -> None:
    splitter = LineSplitter(limit)
    found, start = [], 0
    for cut in [*cuts, len(data)]:
        found += splitter.feed(data[start : start + cut])
        start += cut
    found += splitter.feed(data[start:])
    found += splitter.end()

    lines = data.split(b"\n")
    whole = lines if lines[-1] else lines[:-1]
    assert found == [each if len(each) <= limit else None for each in whole]


def test_a_line_that_is_too_long_is_not_kept() -> None:
    splitter = LineSplitter(10)

    assert [list(splitter.feed(b"x" * 8)) for _ in range(100)] == [[]] * 100
    assert splitter._parts == []
    assert list(splitter.feed(b"\nnext\n")) == [None, b"next"]
