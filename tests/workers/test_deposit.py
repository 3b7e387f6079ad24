"""Large content that a worker leaves in memory: whole as long as anybody looks at it."""

import os
import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.workers.deposit import LEAST_BYTES, MOST_BYTES, NBYTES, Deposit

Pair = tuple[Deposit, Deposit]
MB = 1 << 20


def both() -> Pair:
    """The worker's and the session's."""
    fd = os.memfd_create("test")
    try:
        os.ftruncate(fd, NBYTES)
        return Deposit(fd, 0), Deposit(fd, 0)
    finally:
        os.close(fd)


@pytest.fixture
def pair() -> Iterator[Pair]:
    worker, session = both()
    yield worker, session
    worker.close()
    session.close()


def message(content: bytes, *buffers: bytes) -> list[bytes]:
    return [b"topic", b"<IDS|MSG>", b"signature", b"{}", b"{}", b"{}", content, *buffers]


def sent(worker: Deposit, content: bytes) -> list[bytes]:
    """The frames as they go through the socket."""
    frames = message(content)
    left = worker.left(frames)
    return frames if left is None else [*frames[:-1], left]


def taken(session: Deposit, frames: Sequence[bytes]) -> memoryview:
    """The content as it is sent to clients, without any frame that holds it."""
    view = session.whole(frames)[-1]
    assert isinstance(view, memoryview)
    return view


def is_through_socket(frames: Sequence[bytes]) -> bool:
    return len(frames[-1]) >= LEAST_BYTES


@pytest.mark.parametrize("nbytes", [LEAST_BYTES, MB - 1, MB, MB + 1, 8 * MB])
def test_large_content_is_what_was_left(pair: Pair, nbytes: int) -> None:
    worker, session = pair
    content = (b"0123456789" * (nbytes // 10 + 1))[:nbytes]
    frames = sent(worker, content)
    assert len(frames[-1]) < 100
    assert [bytes(each) for each in session.whole(frames)] == message(content)


@pytest.mark.parametrize("nbytes", [0, 1, LEAST_BYTES - 1, 8 * MB + 1])
def test_small_and_huge_content_goes_as_it_is(pair: Pair, nbytes: int) -> None:
    worker, session = pair
    frames = message(b"x" * nbytes)
    assert worker.left(frames) is None
    assert session.whole(frames) == frames


def test_a_buffer_goes_as_it_is_whatever_is_in_it(pair: Pair) -> None:
    worker, session = pair
    assert worker.left(message(b"{}", b"x" * MB)) is None
    reference = sent(worker, b"x" * MB)[-1]
    for frames in (message(b"{}", reference), [reference], [b"topic", reference]):
        assert session.whole(frames) == frames


def test_a_place_is_free_once_the_last_view_is_gone(pair: Pair) -> None:
    worker, session = pair
    views = [taken(session, sent(worker, bytes([each]) * MB)) for each in range(8)]
    assert is_through_socket(sent(worker, b"x" * MB))
    part = views[3][5:10]
    views[3] = views[0]
    assert is_through_socket(sent(worker, b"x" * MB))
    assert bytes(part) == b"\3" * 5
    del part
    assert bytes(taken(session, sent(worker, b"x" * MB))) == b"x" * MB
    assert [view[0] for view in views] == [0, 1, 2, 0, 4, 5, 6, 7]


def test_the_place_of_what_was_not_sent_is_free_at_once(pair: Pair) -> None:
    worker, session = pair
    reference = sent(worker, b"x" * (8 * MB))[-1]
    assert is_through_socket(sent(worker, b"y" * MB))
    worker.give_back(reference)
    assert bytes(taken(session, sent(worker, b"z" * (8 * MB)))) == b"z" * (8 * MB)


def test_little_at_a_time_stays_in_the_same_place(pair: Pair) -> None:
    worker, session = pair
    references = set()
    for each in range(100):
        frames = sent(worker, bytes([each]) * MB)
        references.add(frames[-1])
        assert taken(session, frames)[0] == each
    assert len(references) == 1


SIZES = st.integers(LEAST_BYTES, 3 * MB)


@settings(deadline=None)
@given(st.lists(st.tuples(SIZES, st.booleans(), st.integers(0, 9)), max_size=40))
def test_nothing_is_written_over_while_somebody_looks(
    steps: list[tuple[int, bool, int]],
) -> None:
    worker, session = both()
    held: list[tuple[bytes, memoryview]] = []
    for number, (nbytes, is_dropped, at) in enumerate(steps):
        content = bytes([number]) * nbytes
        frames = sent(worker, content)
        if not is_through_socket(frames):
            held.append((content, taken(session, frames)))
        if is_dropped and held:
            del held[at % len(held)]
        assert all(view == content for content, view in held)
    worker.close()
    session.close()
    assert all(view == content for content, view in held)


def test_a_fork_that_lets_go_frees_nothing(pair: Pair) -> None:
    worker, session = pair
    views = [taken(session, sent(worker, b"x" * (8 * MB)))]
    pid = os.fork()
    if pid == 0:
        views.clear()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert is_through_socket(sent(worker, b"y" * MB))
    assert bytes(views[0][:3]) == b"xxx"


def test_content_of_a_worker_that_is_gone_can_still_be_read(pair: Pair) -> None:
    worker, session = pair
    view = taken(session, sent(worker, b"x" * MB))
    worker.close()
    session.close()
    session.close()
    assert bytes(view) == b"x" * MB


def test_who_writes_waits_until_most_of_it_was_taken(pair: Pair) -> None:
    worker, session = pair
    views = [taken(session, sent(worker, b"x" * MB)) for _ in range(6)]
    worker.wait()  # somebody keeps it: not for ever
    assert len(views) * MB > MOST_BYTES
    thread = threading.Thread(target=views.clear)
    thread.start()
    worker.wait()
    thread.join()
    worker.wait()
    assert not is_through_socket(sent(worker, b"y" * (8 * MB)))
