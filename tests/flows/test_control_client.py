"""What the client of a kernel says where no answer comes."""

import signal

import pytest

from flow_kernel.apps.control_client import ControlClient, find_kernel
from flow_kernel.errors import KernelGone, NotFound
from flow_kernel.records.home import Home
from tests.kernels import Kernel
from tests.promises import promise


@promise("control.bounded")
def test_who_gives_up_on_an_answer_is_told_that_it_may_still_count() -> None:
    with Kernel() as kernel:
        kernel.ready()
        with ControlClient.of(find_kernel(Home(kernel.home))) as client:
            kernel.process.send_signal(signal.SIGSTOP)
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
