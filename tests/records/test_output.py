"""A stream keeps head and tail within its budget and counts every byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.output import CellOutput, Kept, StreamBuffer, clip


def nothing_secret(text: str) -> tuple[str, int]:
    return text, 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30), st.integers(2, 60))
def test_head_and_tail_are_kept_and_all_bytes_counted(pieces: list[str], budget: int) -> None:
    whole = "".join(pieces)
    buffer = StreamBuffer(budget)
    for piece in pieces:
        buffer.add(piece)
    kept = buffer.kept(nothing_secret)
    assert buffer.full_bytes == len(whole.encode("utf-8", "backslashreplace"))
    half = budget // 2
    if len(whole) <= 2 * half:
        assert kept == Kept(text=whole, redacted=0, full_bytes=None)
    else:
        assert kept.full_bytes == buffer.full_bytes
        assert kept.text.startswith(whole[:half])
        assert kept.text.endswith(whole[-half:])


def test_a_hundred_megabytes_cost_the_memory_of_the_budget() -> None:
    buffer = StreamBuffer(1000)
    piece = "x" * 1_000_000
    for _ in range(100):
        buffer.add(piece)
    assert buffer.full_bytes == 100_000_000
    assert len(buffer.kept(nothing_secret).text) < 1100


@pytest.mark.parametrize("total", [150, 9_000, 50_000])
@pytest.mark.parametrize("place", range(40, 62, 3))
def test_a_secret_across_the_cut_leaves_no_half(total: int, place: int) -> None:
    secret = "S" * 12

    def redact(text: str) -> tuple[str, int]:
        return text.replace(secret, "[x]"), text.count(secret)

    buffer = StreamBuffer(100)
    buffer.add("." * (place - 6) + secret + "." * (total - 2 * place - 12) + secret + "." * place)
    kept = buffer.kept(redact)
    assert "S" not in kept.text
    assert kept.redacted >= 1


def test_the_result_and_the_size_of_each_bundle_are_kept() -> None:
    output = CellOutput(100)
    output.display({"text/plain": "<fig>", "image/png": "aGk="})
    output.display({"text/plain": "42", "application/json": {"a": 1}}, is_result=True)
    assert output.result == "42"
    assert output.outputs == [
        {"mime": "text/plain", "bytes": 5},
        {"mime": "image/png", "bytes": 4},
        {"mime": "text/plain", "bytes": 2},
        {"mime": "application/json", "bytes": 7},
    ]


def test_a_clipped_text_says_how_long_it_was() -> None:
    assert clip("short", 10, nothing_secret) == Kept(text="short", redacted=0, full_bytes=None)
    assert clip("x" * 100, 10, nothing_secret) == Kept(
        text="xxxxx\n…[90 bytes omitted]…\nxxxxx", redacted=0, full_bytes=100
    )
