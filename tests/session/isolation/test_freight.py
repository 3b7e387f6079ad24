"""Variables on their way to workers that run at the same time."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flow_kernel.session.isolation.kinds import Freight
from flow_kernel.workers import transfer
from flow_kernel.workers.transfer_arena import KEPT_BYTES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory of /proc")


@pytest.fixture
def freight() -> Iterator[Freight]:
    freight = Freight()
    yield freight
    freight.close()


def worker(worker_id: str) -> Any:
    """Of a worker only its name and its place are asked."""
    return SimpleNamespace(worker_id=worker_id, is_far=False)


def test_what_two_workers_are_about_to_receive_lies_apart(freight: Freight) -> None:
    first = freight.load(transfer.pack({"x": bytearray(b"1" * 5000)}, {}), worker("a"))
    second = freight.load(transfer.pack({"x": bytearray(b"2" * 5000)}, {}), worker("b"))
    assert transfer.unpack(first.said) == {"x": bytearray(b"1" * 5000)}
    assert transfer.unpack(second.said) == {"x": bytearray(b"2" * 5000)}


def test_memory_is_used_again_and_what_is_too_much_of_it_given_back(freight: Freight) -> None:
    large = bytearray(KEPT_BYTES + (1 << 20))
    said = freight.load(transfer.pack({"x": memoryview_of(large)}, {}), worker("a")).said
    freight.landed(worker("a"))
    again = freight.load(transfer.pack({"x": 1}, {}), worker("b")).said
    assert again["arena"] == said["arena"]
    assert freight.nbytes <= KEPT_BYTES


def memoryview_of(data: bytearray) -> Any:
    """Something that is sent beside the pickle."""
    numpy = pytest.importorskip("numpy")
    return numpy.frombuffer(data, dtype="uint8")
