"""What ends stock ipykernel without being asked to: in ours the next cell says what happened."""

from typing import Final

import pytest

from flow_kernel.shell.overrides import lasting_events
from tests.kernels import Kernel, KernelDied
from tests.promises import promise

_GOES_ON: Final = "; the kernel goes on; exit() ends it\n"
_RAISED: Final = "flow: a task or a callback raised "
_WAIT: Final = "import asyncio\nawait asyncio.sleep(0.01)\n7"
_FETCHED: Final = "if 'task' in globals(): task.exception(); del task"
"""Else asyncio tells of it when the next one takes its name."""

LEFT: Final[dict[str, tuple[str, str]]] = {
    "a_task_that_exits": (
        "import asyncio, sys\nasync def end(): sys.exit(3)\ntask = asyncio.create_task(end())",
        _RAISED + "SystemExit(3)",
    ),
    "a_task_that_is_interrupted": (
        "import asyncio\nasync def end(): raise KeyboardInterrupt\n"
        "task = asyncio.create_task(end())",
        _RAISED + "KeyboardInterrupt",
    ),
    "a_callback_that_exits": (
        "import asyncio, sys; asyncio.get_event_loop().call_soon(sys.exit)",
        _RAISED + "SystemExit",
    ),
    "a_callback_that_exits_for_a_reason": (
        "import asyncio, sys; _ = asyncio.get_event_loop().call_soon(sys.exit, 'because')",
        _RAISED + "SystemExit('because')",
    ),
    "a_stopped_loop": (
        "import asyncio; asyncio.get_event_loop().stop()",
        "flow: the event loop was stopped",
    ),
    "a_loop_stopped_by_a_thread": (
        "import asyncio, threading; loop = asyncio.get_event_loop()\n"
        "thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))\n"
        "thread.start(); thread.join()",
        "flow: the event loop was stopped",
    ),
}


@promise("faults.exits")
@pytest.mark.parametrize("name", LEFT)
def test_a_loop_that_was_left_is_run_again_and_the_next_cell_says_so(
    flow: Kernel, name: str
) -> None:
    code, said = LEFT[name]
    runs = [flow.run(code), flow.run(_WAIT), flow.run(_WAIT)]
    flow.run(_FETCHED)

    assert [ran.result for ran in runs[1:]] == ["7", "7"]
    assert "".join(ran.stderr for ran in runs) == said + _GOES_ON


@promise("faults.exits")
@pytest.mark.parametrize("event", ["pre_execute", "pre_run_cell", "post_execute", "post_run_cell"])
def test_a_hook_that_exits_has_failed_and_the_others_are_called(flow: Kernel, event: str) -> None:
    flow.run(
        "events, called = get_ipython().events, []\n"
        "def leave(*_): raise SystemExit(3)\n"
        "def other(*_): called.append(1)"
    )
    flow.run(f"events.register({event!r}, leave); events.register({event!r}, other)")
    ran, awaited = flow.run("1 + 1"), flow.run(_WAIT)
    flow.run(f"events.unregister({event!r}, leave); events.unregister({event!r}, other)")

    assert (ran.status, ran.result, ran.error["ename"] if ran.error else "") == (
        "ok",
        "2",
        "SystemExit",
    )
    assert ran.stdout.startswith("Error in callback <function leave")
    assert awaited.result == "7"
    assert int(flow.run("len(called)").result or 0) >= 2


@promise("faults.exits")
@pytest.mark.parametrize("raised", ["SystemExit(4)", "KeyboardInterrupt()", "BaseException('x')"])
def test_an_error_of_the_machinery_is_the_error_of_the_cell(flow: Kernel, raised: str) -> None:
    flow.run(
        "def break_it(lines):\n"
        f"    if 'boom' in ''.join(lines): raise {raised}\n"
        "    return lines\n"
        "get_ipython().input_transformers_cleanup.append(break_it)"
    )
    failed = flow.run("'boom'", stop_on_error=False)
    after = flow.run("get_ipython().input_transformers_cleanup.remove(break_it); 7")

    name = raised.partition("(")[0]
    assert (failed.status, failed.reply["ename"]) == ("error", name)
    assert failed.error is not None
    assert failed.error["ename"] == name
    assert after.result == "7"


@promise("faults.exits")
def test_an_error_that_cannot_tell_its_text_is_the_error_of_the_cell(flow: Kernel) -> None:
    code = "class E(Exception):\n    def __str__(self): raise RuntimeError('str')\nraise E"
    ran = flow.run(code, stop_on_error=False)

    assert (ran.reply["ename"], ran.error is not None) == ("RuntimeError", True)


@promise("faults.exits")
def test_tasks_that_are_all_cancelled_cost_no_reply(flow: Kernel) -> None:
    ran = flow.run(
        "import asyncio\nfor t in asyncio.all_tasks(): t.cancel()\nawait asyncio.sleep(1)"
    )

    assert ran.reply["ename"] == "CancelledError"
    assert flow.run(_WAIT).result == "7"


@promise("faults.exits")
@pytest.mark.parametrize("code", ["exit()", "import sys; get_ipython().exit_now = True"])
def test_an_end_that_was_asked_for_is_one(code: str) -> None:
    with Kernel() as kernel:
        kernel.run(code)
        with pytest.raises(KernelDied):
            kernel.wait(lambda: False)


@promise("faults.exits")
def test_ipython_calls_callbacks_as_we_know_it() -> None:
    assert lasting_events.is_usable()
