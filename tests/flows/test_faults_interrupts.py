"""An interrupt ends a cell that awaits, whatever it awaits; stock ipykernel hangs in most of these.

ipykernel: issues 881 and 1239. What awaits nothing is in `test_transparency_interrupts.py`.
"""

from typing import Any, Final

import pytest

from flow_kernel.shell.overrides import awaited_interrupts
from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran
from tests.rest import Settled

BOUND_S: Final = 5.0
"""Each of the cells waits longer by itself."""
_BEGUN: Final = "import asyncio, time\nopen('begun', 'w').close()\n"

AWAITED: Final[dict[str, str]] = {
    "a_sleep": _BEGUN + "await asyncio.sleep(60)",
    "a_queue": _BEGUN + "await asyncio.Queue().get()",
    "a_loop_of_short_sleeps": _BEGUN + "while True: await asyncio.sleep(0.01)",
    "an_async_for": (
        "async def never():\n    await asyncio.sleep(60)\n    yield 1\n"
        + _BEGUN
        + "async for each in never(): pass"
    ),
    "an_async_with": _BEGUN + "async with asyncio.timeout(60): await asyncio.sleep(60)",
    "a_group": (
        _BEGUN
        + "async with asyncio.TaskGroup() as g:\n"
        + "    for _ in range(2): g.create_task(asyncio.sleep(60))"
    ),
    "a_thread": _BEGUN + "await asyncio.to_thread(time.sleep, 7)",
    "what_was_awaited_before": f"import asyncio\nawait asyncio.sleep(0)\n{_BEGUN}time.sleep(60)",
    "a_busy_loop": f"import asyncio\nawait asyncio.sleep(0)\n{_BEGUN}while True: pass",
    "tasks_that_block": (
        "async def block():\n    open('begun', 'w').close()\n    time.sleep(60)\n"
        "import asyncio, time\n"
        "await asyncio.gather(*[asyncio.create_task(block()) for _ in range(3)])"
    ),
    "a_sleep_while_another_task_blocks": (
        "async def block():\n    open('begun', 'w').close()\n    time.sleep(60)\n"
        "import asyncio, time\nother = asyncio.create_task(block())\nawait asyncio.sleep(60)"
    ),
}


def _ended(ran: Ran) -> list[Any]:
    return [ran.status, ran.reply.get("ename"), (ran.error or {}).get("ename")]


_INTERRUPTED: Final = ["error", "KeyboardInterrupt", "KeyboardInterrupt"]


def _begin(kernel: Kernel, code: str) -> str:
    mark = kernel.cwd / "begun"
    mark.unlink(missing_ok=True)
    msg_id = kernel.send(code, stop_on_error=False)
    kernel.wait(mark.exists)
    kernel.wait(Settled(kernel.pid))
    return msg_id


@promise("faults.interrupts")
@pytest.mark.parametrize("name", AWAITED)
def test_an_interrupt_ends_a_cell_that_awaits(flow: Kernel, name: str) -> None:
    msg_id = _begin(flow, AWAITED[name])
    flow.interrupt()
    ran = flow.collect(msg_id, timeout=BOUND_S)

    assert _ended(ran) == _INTERRUPTED
    assert flow.run("1 + 1", timeout=BOUND_S).result == "2"
    assert flow.logs.one("cell", seq=ran.seq)["error"]["ename"] == "KeyboardInterrupt"


@promise("faults.interrupts")
def test_an_interrupt_request_ends_a_cell_that_awaits(flow: Kernel) -> None:
    msg_id = _begin(flow, AWAITED["a_sleep"])
    reply = flow.ask("interrupt_request", {}, channel="control")

    assert reply["status"] == "ok"
    assert _ended(flow.collect(msg_id, timeout=BOUND_S)) == _INTERRUPTED
    assert flow.run("1 + 1", timeout=BOUND_S).result == "2"


@promise("faults.interrupts")
def test_the_traceback_shows_where_the_cell_was(flow: Kernel) -> None:
    msg_id = _begin(flow, _BEGUN + "async def deep():\n    await asyncio.sleep(60)\nawait deep()")
    flow.interrupt()
    shown = "\n".join(flow.collect(msg_id, timeout=BOUND_S).reply["traceback"])

    assert "deep" in shown
    assert "KeyboardInterrupt" in shown
    assert "CancelledError" not in shown


@promise("faults.interrupts")
def test_a_cell_that_swallows_one_interrupt_is_ended_by_the_next(flow: Kernel) -> None:
    msg_id = _begin(
        flow,
        _BEGUN + "try: await asyncio.sleep(60)\n"
        "except asyncio.CancelledError: print('once', flush=True)\n"
        "await asyncio.sleep(60)",
    )
    flow.interrupt()
    flow.wait(lambda: flow.stream(parent=msg_id) == "once\n")
    flow.wait(Settled(flow.pid))
    flow.interrupt()

    assert _ended(flow.collect(msg_id, timeout=BOUND_S)) == _INTERRUPTED


@promise("faults.interrupts")
def test_a_cell_cleans_up_and_what_it_left_behind_goes_on(flow: Kernel) -> None:
    msg_id = _begin(
        flow,
        _BEGUN + "left = asyncio.create_task(asyncio.sleep(60))\n"
        "try: await asyncio.shield(left)\n"
        "finally:\n    await asyncio.sleep(0.01)\n    print('cleaned')",
    )
    flow.interrupt()
    ran = flow.collect(msg_id, timeout=BOUND_S)

    assert (_ended(ran), ran.stdout) == (_INTERRUPTED, "cleaned\n")
    assert flow.run("left.done(), left.cancel()").result == "(False, True)"


@promise("faults.interrupts")
def test_a_cell_that_handles_its_interrupt_has_not_failed(flow: Kernel) -> None:
    msg_id = _begin(
        flow, _BEGUN + "try: await asyncio.sleep(60)\nexcept asyncio.CancelledError: 'handled'\n5"
    )
    flow.interrupt()

    assert flow.collect(msg_id, timeout=BOUND_S).result == "5"


@promise("faults.interrupts")
def test_what_is_cancelled_by_itself_is_no_interrupt(flow: Kernel) -> None:
    cancel = "asyncio.current_task().cancel();"
    sent = (
        f"import asyncio\n{cancel}\nawait asyncio.sleep(1)",
        f"await asyncio.sleep(0)\n{cancel}",
    )
    ran, last = (flow.run(code, stop_on_error=False) for code in sent)

    assert _ended(ran) == ["error", "CancelledError", "CancelledError"]
    assert last.reply["ename"] == "CancelledError"
    assert flow.run("1 + 1", timeout=BOUND_S).result == "2"


@promise("faults.interrupts")
def test_an_interrupt_ends_an_isolated_cell_that_awaits(flow: Kernel) -> None:
    flow.run("%%isolated\n1")
    msg_id = _begin(flow, "%%isolated\n" + AWAITED["a_sleep"])
    flow.interrupt()

    assert _ended(flow.collect(msg_id, timeout=BOUND_S)) == _INTERRUPTED
    assert flow.run("%%isolated\n2", timeout=BOUND_S).result == "2"


@promise("faults.interrupts")
def test_ipykernel_cancels_cells_that_await_as_we_know_it() -> None:
    assert awaited_interrupts.is_usable()
