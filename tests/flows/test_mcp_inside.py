"""The server's own parts against a real kernel, where no client could hit the moment."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from flow_kernel.apps.mcp.calls import Caller
from flow_kernel.apps.mcp.cell_run import CellRun, Message
from flow_kernel.apps.mcp.cells import Cells, Wanted
from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.mcp.link import KernelLink
from flow_kernel.errors import KernelGone
from flow_kernel.records.home import Home
from tests.environments import environment
from tests.kernels import Kernel
from tests.promises import promise


async def _silent(_elapsed_s: float, _message: str) -> None:
    return


def _forget(_run: CellRun, _link: KernelLink) -> None:
    return


class FullDisk(CellRun):
    """A run whose output finds no room: a full disk cannot be had in a test."""

    def hear(self, message: Message) -> None:
        if message["msg_type"] == "stream":
            raise OSError(28, "No space left on device")
        super().hear(message)


CALLER = Caller(actor="mcp:inside", progress=_silent, started=_forget)


@pytest.fixture
def kernels(flow: Kernel) -> Iterator[Kernels]:
    with Kernels(Home(flow.home), env=environment({}), word="", is_new=False) as kernels:
        kernels.begin()
        yield kernels


@promise("mcp.once")
def test_a_call_given_up_before_its_cell_was_sent_frees_its_key(kernels: Kernels) -> None:
    async def go() -> tuple[str, str, str]:
        cells = Cells(kernels)
        wanted = Wanted(code="given_up = 1; given_up", key="given up")
        await kernels.link()
        first = asyncio.create_task(cells.start(wanted, CALLER))
        await asyncio.sleep(0)
        second = await cells.start(wanted, CALLER)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await cells.wait(second, 5, CALLER)
        lost = await cells.answer(second, CALLER)
        third = await cells.start(wanted, CALLER)
        assert await cells.wait(third, 20, CALLER)
        done = await cells.answer(third, CALLER)
        cells.close()
        await kernels.close_link()
        return lost["err"]["type"], lost["err"]["msg"], done["result"]

    assert asyncio.run(go()) == (
        "NotSent",
        "its call was given up; it was not sent: call again",
        "1",
    )


@promise("mcp.survives")
def test_a_kernel_that_dies_before_it_is_reached_is_passed_by(flow: Kernel) -> None:
    async def go(kernels: Kernels) -> int:
        link = await kernels.link()
        await kernels.close_link()
        return link.lease.process.pid

    with Kernels(Home(flow.home), env=environment({}), word="", is_new=False) as kernels:
        with Kernel(home=flow.home) as newer:
            newer.ready()
            kernels.begin()
            newer.kill()
        assert asyncio.run(go(kernels)) == flow.pid


@promise("mcp.survives")
def test_a_kernel_of_its_own_that_dies_before_it_answers_is_told_and_tried_again(
    tmp_path: Path,
) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("import os; os._exit(7)", encoding="utf-8")
    env = environment(
        {"FLOW_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    )

    async def go(kernels: Kernels) -> tuple[str, bool]:
        with pytest.raises(KernelGone) as gone:
            await kernels.link()
        startup.unlink()
        link = await kernels.link()
        is_alive = (await link.ask("status"))["pid"] == link.lease.process.pid
        await kernels.close_link()
        return gone.value.message, is_alive

    with Kernels(Home(tmp_path / "home"), env=env, word="", is_new=True) as kernels:
        kernels.begin()
        assert asyncio.run(go(kernels)) == (
            "the kernel ended while it started (exit code 7)",
            True,
        )


@promise("mcp.survives")
def test_calls_given_up_while_the_kernel_is_reached_leave_one_connection(tmp_path: Path) -> None:
    env = environment(
        {"FLOW_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    )
    process = psutil.Process()

    async def give_up(kernels: Kernels, after: int) -> None:
        async with anyio.create_task_group() as group:  # it cancels again and again, as the SDK's
            for _ in range(3):
                group.start_soon(kernels.link)
            for _ in range(after):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    async def go(kernels: Kernels) -> set[int]:
        await kernels.link()
        await kernels.close_link()
        seen = set()
        for power in range(60):
            await give_up(kernels, int(1.2**power) % 3000)
            link = await kernels.link()
            assert (await link.ask("status"))["pid"] == link.lease.process.pid
            await kernels.close_link()
            seen.add(process.num_fds())
        return seen

    with Kernels(Home(tmp_path / "home"), env=env, word="", is_new=True) as kernels:
        kernels.begin()
        seen = asyncio.run(go(kernels))
        assert max(seen) - min(seen) < 10  # one that is left behind has 17


@promise("mcp.survives")
def test_output_that_cannot_be_kept_loses_its_run_and_no_other(kernels: Kernels) -> None:
    async def go() -> tuple[str, str, str]:
        link = await kernels.link()
        content = {"code": "print('out')", "silent": False, "store_history": True}
        lost, fine = FullDisk("f" * 16, "run_cell"), CellRun("e" * 16, "run_cell")
        for run in (lost, fine):
            link.send(run, content, {})
            await asyncio.wait_for(run.ended.wait(), 20)
        await kernels.close_link()
        return lost.loss_kind, lost.loss, fine.out.head

    assert asyncio.run(go()) == (
        "OutputLost",
        "its output cannot be kept ([Errno 28] No space left on device); it runs on",
        "out\n",
    )
