"""What an interrupt stops in stock ipykernel it stops in ours, and the session goes on."""

from typing import Any, Final

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise
from tests.rest import Settled

_BEGUN: Final = "open('begun', 'w').close()"
_SAY: Final = f"import time\n{_BEGUN}\n"

INTERRUPTED: Final[dict[str, str]] = {
    "a_sleep": _SAY + "time.sleep(30)",
    "a_busy_loop": _SAY + "while True: pass",
    "a_wait_for_a_lock": _SAY + "import threading; threading.Event().wait(30)",
    "a_subprocess": _SAY + "import subprocess; subprocess.run(['sleep', '30'])",
    "a_cell_that_cleans_up": (
        f"import time\ntry:\n    {_BEGUN}; time.sleep(30)\nfinally:\n    print('cleaned')"
    ),
    "a_cell_that_catches_it": (
        f"import time\n"
        f"try:\n"
        f"    {_BEGUN}; time.sleep(30)\n"
        f"except KeyboardInterrupt:\n"
        f"    print('caught')\n"
        f"7"
    ),
    "a_nested_cell": f'import time\nget_ipython().run_cell("{_BEGUN}; time.sleep(30)").success',
}


@promise("transparent.interrupt")
@pytest.mark.parametrize("name", INTERRUPTED)
def test_an_interrupt_stops_what_it_stops_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> Any:
        ran = kernel.interrupted(INTERRUPTED[name])
        error = (ran.error or {}).get("ename")
        return [ran.status, error, ran.result, ran.stdout, kernel.run("1 + 1").effects()]

    stock, flow = pair.both(seen)

    assert flow == stock


@promise("transparent.interrupt")
def test_an_interrupt_ends_a_question(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> Any:
        msg_id = kernel.send("input('well? ')", allow_stdin=True)
        kernel.wait(lambda: len(kernel.inputs) == 1)
        kernel.inputs.clear()
        kernel.interrupt()
        ran = kernel.collect(msg_id)
        return [ran.status, (ran.error or {}).get("ename"), kernel.run("2").result]

    stock, flow = pair.both(seen)

    assert flow == stock


@promise("transparent.interrupt")
def test_an_interrupt_between_cells_is_ignored(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> Any:
        kernel.run("x = 1")
        kernel.interrupt()
        return kernel.run("x").effects()

    stock, flow = pair.both(seen)

    assert flow == stock


@promise("transparent.interrupt")
def test_an_interrupt_aborts_the_queue_as_in_stock_ipykernel(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> Any:
        mark = kernel.cwd / "begun"
        mark.unlink(missing_ok=True)
        sent = [kernel.send(_SAY + "time.sleep(30)"), kernel.send("print('queued')")]
        kernel.wait(mark.exists)
        kernel.wait(Settled(kernel.pid))  # else stock may lose the reply
        kernel.interrupt()
        return [kernel.collect(msg_id).status for msg_id in sent] + [kernel.run("3").result]

    stock, flow = pair.both(seen)

    assert flow == stock


@promise("transparent.interrupt")
def test_an_interrupt_request_on_the_control_channel_works_as_in_stock(pair: Pair) -> None:
    pair.forget()

    def seen(kernel: Kernel) -> Any:
        mark = kernel.cwd / "begun"
        mark.unlink(missing_ok=True)
        msg_id = kernel.send(_SAY + "time.sleep(30)")
        kernel.wait(mark.exists)
        kernel.wait(Settled(kernel.pid))  # else stock may lose the reply
        reply = kernel.ask("interrupt_request", {}, channel="control")
        ran = kernel.collect(msg_id)
        return [reply["status"], ran.status, (ran.error or {}).get("ename")]

    stock, flow = pair.both(seen)

    assert flow == stock
