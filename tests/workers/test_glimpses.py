"""What a sampler shows is read whole or not at all."""

import mmap

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.glimpses import NBYTES, Glimpse, Glimpses
from flow_kernel.workers.loop_proof import Verdict

SEEN = Glimpse(
    msg_id="m-1",
    place=-(2**63),
    alike=3,
    loop=Verdict.ENDLESS,
    ours=(11, 12),
    is_open=False,
    takes_dump=True,
    stack=(("/tmp/ipykernel_1/2.py", 3, "spin"), ("ä\ud800.py", 1, "<module>")),
)


def test_what_was_written_last_is_read() -> None:
    memory = mmap.mmap(-1, NBYTES)
    glimpses = Glimpses(memory, 0)
    assert glimpses.read() is None
    glimpses.write(SEEN)
    number = glimpses.number()
    assert glimpses.read() == SEEN
    glimpses.write(SEEN)
    assert glimpses.number() > number


def test_a_deep_stack_is_cut_and_never_too_long() -> None:
    glimpses = Glimpses(mmap.mmap(-1, NBYTES), 0)
    deep = (("ä" * 5000, 1, "\ud800" * 5000),) * 100
    glimpses.write(
        Glimpse(
            msg_id="m",
            place=1,
            alike=1,
            loop=Verdict.OPEN,
            ours=tuple(range(10**6, 10**6 + 1000)),
            is_open=True,
            takes_dump=False,
            stack=deep,
        )
    )
    found = glimpses.read()
    assert found is not None
    assert len(found.stack) >= 1


def test_memory_of_a_worker_that_is_gone_says_nothing() -> None:
    memory = mmap.mmap(-1, NBYTES)
    glimpses = Glimpses(memory, 0)
    glimpses.write(SEEN)
    memory.close()
    assert (glimpses.read(), glimpses.number()) == (None, 0)


def test_what_nobody_can_read_is_none() -> None:
    memory = mmap.mmap(-1, NBYTES)
    for text in (b"[" * 4000, b'{"msg_id":"m","place":1e999}', b'{"msg_id":"m","place":"x"}'):
        memory[:12] = (2).to_bytes(8, "little") + len(text).to_bytes(4, "little")
        memory[12 : 12 + len(text)] = text
        assert Glimpses(memory, 0).read() is None


@given(st.binary(max_size=200))
def test_a_worker_may_write_anything_there(data: bytes) -> None:
    memory = mmap.mmap(-1, NBYTES)
    memory[: len(data)] = data
    Glimpses(memory, 0).read()


@given(st.binary(max_size=100), st.integers(12, 200))
def test_a_damaged_glimpse_is_none_or_one(data: bytes, at: int) -> None:
    memory = mmap.mmap(-1, NBYTES)
    glimpses = Glimpses(memory, 0)
    glimpses.write(SEEN)
    memory[at : at + len(data)] = data
    found = glimpses.read()
    assert found is None or isinstance(found, Glimpse)
