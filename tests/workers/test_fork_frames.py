"""Frames between a copy of the session and the session, in whatever pieces they arrive."""

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.fork_frames import ERR, MESSAGE, OUT, Frame, Reader, framed, joined, parted

_FRAMES = st.lists(st.tuples(st.sampled_from([OUT, ERR, MESSAGE]), st.binary(max_size=40)))


@given(_FRAMES, st.integers(1, 30))
def test_frames_arrive_whole_and_in_order(sent: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(framed(kind, part) for kind, part in sent)
    reader, found = Reader(), list[Frame]()
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    assert _as_texts(found) == _as_texts([Frame(*each) for each in sent])


@given(st.lists(st.binary(max_size=40)))
def test_the_parts_of_a_message_are_those_that_were_joined(parts: list[bytes]) -> None:
    assert parted(joined(parts)) == parts


def _as_texts(frames: list[Frame]) -> list[Frame]:
    """Text that follows text is one; none is none."""
    found: list[Frame] = []
    for frame in frames:
        if frame.kind == MESSAGE or not found or found[-1].kind != frame.kind:
            found.append(frame)
        else:
            found[-1] = Frame(frame.kind, found[-1].data + frame.data)
    return [frame for frame in found if frame.kind == MESSAGE or frame.data]
