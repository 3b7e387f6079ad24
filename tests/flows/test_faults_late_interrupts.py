"""An interrupt just before a cell, or between a cell and its reply: the reply comes.

Stock ipykernel loses it, and its client waits for ever.
"""

import random
from typing import Final

import pytest

from tests.kernels import Kernel
from tests.promises import promise

_STRIKE: Final = "import os, signal\ndef strike(): os.kill(os.getpid(), signal.SIGINT)\n"
_AFTER: Final = (
    f"{_STRIKE}import sys\nflush = sys.stdout.flush\n"
    "def last():\n"
    "    if sys._getframe(1).f_code.co_name == 'execute_request':\n"
    "        del sys.stdout.flush\n        strike()\n"
    "    flush()\n"
    "sys.stdout.flush = last\n'done'"
)
_BEFORE: Final = (
    f"{_STRIKE}kernel = get_ipython().kernel\n"
    "def first(parent):\n    del kernel.init_metadata\n    strike()\n    return {}\n"
    "kernel.init_metadata = first"
)
_TWO_AFTER: Final = (
    f"{_STRIKE}kernel = get_ipython().kernel\n"
    "def end():\n    del kernel.repairs.end\n    strike()\n"
    "def error(*_, **__):\n    del kernel.log.error\n    strike()\n"
    "kernel.repairs.end, kernel.log.error = end, error\n'done'"
)
_COMPARED: Final = (
    "import signal\n"
    "class Handler:\n"
    "    def __call__(self, *_): heard.append(1)\n"
    "    def __eq__(self, other): raise ValueError('of no other')\n"
    "heard, kernel, handler = [], get_ipython().kernel, Handler()\n"
    "def first(parent):\n"
    "    del kernel.init_metadata\n    signal.signal(signal.SIGINT, handler)\n    return {}\n"
    "kernel.init_metadata = first"
)
_ROUNDS: Final = 150
_BURSTS: Final = 60


@promise("faults.replies")
def test_one_behind_the_cell_stops_nothing(flow: Kernel) -> None:
    ran = flow.run(_AFTER)

    assert (ran.status, ran.result) == ("ok", "'done'")
    assert flow.run("1 + 1").result == "2"


@promise("faults.replies")
def test_one_before_the_cell_interrupts_it(flow: Kernel) -> None:
    flow.run(_BEFORE)
    ran = flow.run("never = True", stop_on_error=False)

    assert (ran.status, ran.reply["ename"]) == ("error", "KeyboardInterrupt")
    assert ran.error is not None
    assert flow.run("'never' in dir()").result == "False"


@promise("faults.replies")
def test_a_handler_of_the_users_is_called_behind_the_cell_as_well(flow: Kernel) -> None:
    flow.run(
        "import signal\nheard = []\n"
        "mine = signal.signal(signal.SIGINT, lambda *_: heard.append(1))\n" + _AFTER
    )

    assert flow.run("heard").result == "[1]"
    flow.run("_ = signal.signal(signal.SIGINT, mine)")


@promise("faults.replies")
@pytest.mark.timeout(120)
def test_at_whatever_moment_it_comes_there_is_a_reply(flow: Kernel) -> None:
    chance = random.Random(3)
    for number in range(_ROUNDS):
        msg_id = flow.send(f"print({number})", stop_on_error=False)
        flow.wait(lambda: False, timeout=chance.uniform(0.0, 0.006), fail=False)
        flow.interrupt()
        ran = flow.collect(msg_id)
        assert ran.status in ("ok", "error")
        if ran.status == "error":
            assert ran.reply["ename"] == "KeyboardInterrupt"


@promise("faults.replies")
def test_two_behind_the_cell_stop_nothing(flow: Kernel) -> None:
    ran = flow.run(_TWO_AFTER)

    assert (ran.status, ran.result) == ("ok", "'done'")
    assert flow.run("vars(kernel.log).pop('error').__name__").result == "'error'"


@promise("faults.replies")
@pytest.mark.timeout(120)
def test_however_many_come_in_a_row_there_is_a_reply(flow: Kernel) -> None:
    chance = random.Random(5)
    for number in range(_BURSTS):
        msg_id = flow.send(f"print({number})", stop_on_error=False)
        flow.wait(lambda: False, timeout=chance.uniform(0.0, 0.003), fail=False)
        for _ in range(chance.randint(2, 8)):
            flow.interrupt()
            flow.wait(lambda: False, timeout=chance.uniform(0.0, 0.0008), fail=False)
        ran = flow.collect(msg_id)
        assert (ran.status, ran.reply.get("ename")) in (
            ("ok", None),
            ("error", "KeyboardInterrupt"),
        )


@promise("faults.replies")
def test_a_request_without_code_is_no_interrupted_cell(flow: Kernel) -> None:
    asked = flow.request("execute_request", {})
    behind = flow.send("1 + 1")

    assert flow.collect(behind).result == "2"
    assert asked not in flow.replies


@promise("faults.replies")
def test_a_handler_that_cannot_be_compared_stays_the_users(flow: Kernel) -> None:
    flow.run(_COMPARED)
    ran = flow.run("import os\nos.kill(os.getpid(), signal.SIGINT)\nlen(heard)")

    assert (ran.status, ran.result) == ("ok", "1")
