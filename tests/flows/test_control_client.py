"""What the client of a kernel says where no answer comes."""

import signal
import threading
from collections.abc import Iterator

import pytest

from flow_kernel.apps.control_client import ControlClient, find_kernel
from flow_kernel.errors import KernelGone, NotFound
from flow_kernel.records.home import Home
from tests.kernels import Kernel
from tests.promises import promise
from tests.workers.trees import strike


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.ready()
        yield kernel


@promise("control.bounded")
def test_who_gives_up_on_an_answer_is_told_that_it_may_still_count() -> None:
    with Kernel() as kernel:
        kernel.ready()
        with ControlClient.of(find_kernel(Home(kernel.home))) as client:
            strike(kernel.process.pid, signal.SIGSTOP)
            refused = []
            for op in ("status", "approve"):
                with pytest.raises(KernelGone, match="did not answer within") as error:
                    client.ask(op, timeout_s=0.05)
                refused.append("may still count" in error.value.hint)
            kernel.process.send_signal(signal.SIGCONT)

    assert refused == [False, True]


@promise("control.answered")
def test_who_asks_a_kernel_that_has_died_is_told_so() -> None:
    with Kernel() as kernel:
        kernel.ready()
        lease = find_kernel(Home(kernel.home))
        with ControlClient.of(lease) as client:
            assert client.ask("status")["busy"] is False
            kernel.process.kill()
            kernel.process.wait()

            with pytest.raises(KernelGone, match="the kernel has ended"):
                client.ask("status")
        with pytest.raises(NotFound, match="no kernel runs on"):
            find_kernel(Home(kernel.home))


@promise("control.bounded")
def test_a_hundred_questions_at_once_are_all_answered(kernel: Kernel) -> None:
    lease = find_kernel(Home(kernel.home))
    msg_id = kernel.send("print('begun')\nimport threading\nthreading.Event().wait()")
    kernel.wait_for_text("begun")
    told: list[object] = []

    def ask() -> None:
        with ControlClient.of(lease) as client:
            told.extend(client.ask("status")["busy"] for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told == [True] * 100
    with ControlClient.of(lease) as client:
        client.ask("cancel", msg_id=msg_id)
    kernel.collect(msg_id)


@promise("control.answered")
def test_a_kernel_is_found_by_what_people_know_of_it(kernel: Kernel) -> None:
    home = Home(kernel.home)
    lease = find_kernel(home)
    with ControlClient.of(lease) as client:
        session = str(client.ask("status")["session"])

    words = (session, session[:8], str(kernel.pid), lease.connection_file, "c.json", "c")
    assert [find_kernel(home, word).session for word in words] == [session] * 6
    with pytest.raises(NotFound, match="no kernel named 'nobody' runs"):
        find_kernel(home, "nobody")
