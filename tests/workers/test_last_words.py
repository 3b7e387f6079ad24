"""What a worker wrote last, in memory that outlives it."""

import os
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.last_words import RING_BYTES, LastWords, create


def both() -> tuple[LastWords, LastWords]:
    fd = create()
    try:
        return LastWords(fd), LastWords(fd)
    finally:
        os.close(fd)


# A drawn text may be short; what goes over the ends of segments is drawn by its length.
TEXTS = st.one_of(
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(0, 3 * RING_BYTES).map(lambda length: (b"0123456789" * length)[:length]),
)


@given(st.lists(TEXTS, max_size=8), st.integers(0, 600_000))
def test_a_reader_gets_what_follows_what_it_has_seen(pieces: list[bytes], seen: int) -> None:
    writer, reader = both()
    for number, piece in enumerate(pieces):
        left_out = len(piece) - 2 * RING_BYTES
        if left_out > 0 and number % 2:
            writer.write_end(0, piece[left_out:], left_out)
        else:
            writer.write(0, piece)
    whole = b"".join(pieces)
    assert reader.count(0) == len(whole)
    unseen, found = whole[seen:], reader.since(0, seen)
    assert unseen.endswith(found)
    assert min(len(unseen), RING_BYTES) <= len(found) <= 2 * RING_BYTES
    assert reader.since(1, 0) == b""
    writer.close()
    reader.close()


def test_the_words_of_a_killed_process_are_there() -> None:
    writer, reader = both()
    pid = os.fork()
    if pid == 0:
        writer.write(1, b"the end")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert reader.since(1, 0) == b"the end"
    writer.close()
    reader.close()


@pytest.mark.skipif(sys.platform != "linux", reason="no seals")
def test_nobody_can_make_the_memory_shorter_for_who_reads_it() -> None:
    fd = create()
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    reader = LastWords(fd)
    os.close(fd)
    assert [reader.count(0), reader.since(1, 0), reader.taken] == [0, b"", 0]
    reader.close()
