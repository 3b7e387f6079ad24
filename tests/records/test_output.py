"""A stream keeps head and tail within its budget and counts every byte."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.output import CellOutput, StreamBuffer, clip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30), st.integers(2, 60))
def test_head_and_tail_are_kept_and_all_bytes_counted(pieces: list[str], budget: int) -> None:
    whole = "".join(pieces)
    buffer = StreamBuffer(budget)
    for piece in pieces:
        buffer.add(piece)
    text, was_cut = buffer.text()
    assert buffer.full_bytes == len(whole.encode("utf-8", "backslashreplace"))
    half = budget // 2
    if len(whole) <= 2 * half:
        assert (text, was_cut) == (whole, False)
    else:
        assert was_cut
        assert text.startswith(whole[:half])
        assert text.endswith(whole[-half:])


def test_a_hundred_megabytes_cost_the_memory_of_the_budget() -> None:
    buffer = StreamBuffer(1000)
    piece = "x" * 1_000_000
    for _ in range(100):
        buffer.add(piece)
    text, _ = buffer.text()
    assert buffer.full_bytes == 100_000_000
    assert len(text) < 1100


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
    assert clip("short", 10) == ("short", None)
    text, full = clip("x" * 100, 10)
    assert full == 100
    assert text == "xxxxx\n…[90 bytes omitted]…\nxxxxx"
