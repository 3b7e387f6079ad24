"""Requests reach the thread that runs them in order, and none is lost, whoever else waits."""

import pytest

from tests import gates
from tests.kernels import Kernel
from tests.promises import promise

_INTEGRATION = """
import selectors, time, zmq
from ipykernel.eventloops import get_shell_stream, register_integration

@register_integration("ours")
def loop_ours(kernel):
    stream = get_shell_stream(kernel)
    global turns
    turns += 1
    poller = selectors.DefaultSelector()
    poller.register(stream.getsockopt(zmq.FD), selectors.EVENT_READ)
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        if stream.flush(limit=1):
            return
        poller.select(0.01)
turns = 0
"""
"""A GUI's loop, as those of ipykernel: it watches the socket of requests while it turns."""


@promise("requests.reach")
def test_cells_go_on_while_the_loop_of_a_gui_watches_the_socket(own: Kernel) -> None:
    own.run(_INTEGRATION)
    sent = [own.send("%gui ours")] + [own.send(f"print({n}); {n}") for n in range(100)]
    ran = [own.collect(each) for each in sent]

    assert [each.result for each in ran[1:]] == [str(n) for n in range(100)]
    assert [each.stdout for each in ran[1:]] == [f"{n}\n" for n in range(100)]
    assert int(own.run("turns").result or 0) > 0
    for n in range(20):
        assert own.run(f"{n}").result == str(n)
    own.run("%gui")
    assert own.run("'after'").result == "'after'"


@promise("requests.reach")
def test_the_gui_asyncio_and_cells_that_await_go_on(own: Kernel) -> None:
    own.run("%gui asyncio")
    sent = [own.send(f"import asyncio\nawait asyncio.sleep(0, {n})") for n in range(30)]

    assert [own.collect(each).result for each in sent] == [str(n) for n in range(30)]


@promise("requests.reach")
def test_an_error_at_the_head_of_500_requests_aborts_them_and_no_later_one(own: Kernel) -> None:
    head = own.send(gates.closed(own) + "1 / 0")
    queued = [own.send(f"ran = {n}") for n in range(500)]
    gates.open_behind_all(own)
    assert own.collect(head).status == "error"

    assert [own.collect(each).status for each in queued] == ["aborted"] * 500
    assert own.run("'goes on'").result == "'goes on'"


@promise("requests.reach")
def test_a_shutdown_with_requests_in_the_queue_is_an_orderly_end(own: Kernel) -> None:
    for n in range(200):
        own.send(f"{n}")
    own.request("shutdown_request", {"restart": False}, channel="control")

    own.process.wait(20)
    assert "Traceback" not in own.said()


@promise("requests.reach")
@pytest.mark.parametrize("kind", ["kernel_info_request", "comm_info_request"])
def test_replies_of_many_requests_come_in_their_order(own: Kernel, kind: str) -> None:
    sent = [own.request(kind, {}) for _ in range(300)]
    own.wait(lambda: sent[-1] in own.replies)

    assert [each for each in own.replies if each in set(sent)] == sent
