"""Isolated cells under `%load_ext flow_kernel`, in stock ipykernel and in terminal IPython."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.flows.test_extension import SNAPSHOT, Terminal, _differences, _snapshots
from tests.isolating import is_gone, kinds, ok
from tests.kernels import STOCK, Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
LOOK = (
    "import asyncio\n"
    "def _look(thread):\n"
    "    look = asyncio.run_coroutine_threadsafe(\n"
    "        thread._event_pipe_gc(), thread.io_loop.asyncio_loop)\n"
    "    look.result(20)\n"
    "_look(get_ipython().kernel.iopub_thread)\n"
    "del asyncio, _look"
)
"""ipykernel looks every ten seconds for what it has opened for threads that have ended: now."""


@pytest.fixture(scope="module")
def stock() -> Iterator[Kernel]:
    with Kernel(STOCK) as kernel:
        ok(kernel, "%load_ext flow_kernel")
        yield kernel


@promise("extension.same", "isolated.relay")
def test_output_result_and_variables_come_to_stock_ipykernel(stock: Kernel) -> None:
    ok(stock, "x = 20")
    ran = stock.run("%%isolated --out y\nprint('said'); y = x + 1\ny")
    assert (ran.stdout, ran.result) == ("said\n", "21")
    assert ran.of("execute_result")[0]["content"]["execution_count"] == ran.reply["execution_count"]
    assert ok(stock, "y") == "21"
    record = stock.logs.one("cell", msg_id=ran.msg_id)
    assert (record["stdout"], record["worker"][0]) == ("said\n", "w")


@promise("extension.same", "isolated.relay")
def test_an_error_is_shown_once_and_input_is_asked_in_stock_ipykernel(stock: Kernel) -> None:
    failed = stock.run("%%isolated\n1 / 0")
    assert [m["msg_type"] for m in failed.messages] == ["error"]
    assert failed.reply["ename"] == "ZeroDivisionError"
    ran = stock.run("%%isolated\ninput('name? ')", allow_stdin=True, answers=["Ada"])
    assert ran.result == "'Ada'"


@promise("extension.same", "isolated.scripts")
def test_scripts_run_ask_and_stop_in_stock_ipykernel(stock: Kernel) -> None:
    ran = stock.run(
        "%%isolated --shell\nread x; echo $x; exit 3", allow_stdin=True, answers=["Ada"]
    )
    assert (ran.stdout, ran.reply["evalue"]) == ("Ada\n", "the script ended with exit code 3")
    assert kinds(ran) == ["stdout", "error"]
    stopped = stock.interrupted("%%isolated --shell\ntouch begun; sleep 60; true")
    assert stopped.reply["ename"] == "KeyboardInterrupt"


@promise("extension.same", "isolated.survives", "isolated.interrupt")
def test_deaths_and_interrupts_cost_stock_ipykernel_nothing(stock: Kernel) -> None:
    died = stock.run("%%isolated --fresh\nimport os; os.abort()")
    assert died.error is not None
    assert (died.error["ename"], "SIGABRT" in died.error["evalue"]) == ("WorkerDied", True)
    stopped = stock.interrupted("%%isolated\nopen('begun', 'w').close()\nwhile True: pass")
    assert stopped.reply["ename"] == "KeyboardInterrupt"
    assert ok(stock, "%%isolated\n1 + 1") == "2"


@promise("extension.same", "isolated.marks")
@pytest.mark.parametrize("metadata", [{"flow": {"isolated": True}}, {"tags": ["isolated"]}])
def test_marks_isolate_in_stock_ipykernel(stock: Kernel, metadata: dict[str, object]) -> None:
    assert ok(stock, "import os; os.getpid()", metadata=metadata) != str(stock.pid)
    assert ok(stock, "# flow: isolated\nimport os; os.getpid()") != str(stock.pid)
    assert ok(stock, "import os; os.getpid()") == str(stock.pid)


@promise("extension.same", "isolated.relay")
def test_comms_of_a_worker_live_in_stock_ipykernel(stock: Kernel) -> None:
    ran = stock.run(
        "%%isolated --worker comms\nimport comm\n"
        "c = comm.create_comm(target_name='flow.test', data={})\n"
        "c.on_msg(lambda m: c.send({'echo': m['content']['data']}))"
    )
    comm_id = ran.of("comm_open")[0]["content"]["comm_id"]
    msg_id = stock.request("comm_msg", {"comm_id": comm_id, "data": {"n": 1}})
    stock.wait(lambda: msg_id in stock._idle)
    echoes = [m["content"]["data"] for m in stock.iopub if m["msg_type"] == "comm_msg"]
    assert echoes == [{"echo": {"n": 1}}]


@promise("extension.unload", "isolated.orphans")
def test_after_unload_nothing_of_the_workers_is_left_in_stock_ipykernel() -> None:
    with Kernel(STOCK) as stock:
        stock.run(SNAPSHOT)
        stock.run("import flow_kernel.shell.extension; del flow_kernel")
        stock.run("print('warm')")
        # What the first isolated cell loads stays loaded, as any import does.
        stock.run("%load_ext flow_kernel")
        ok(stock, "%%isolated\n1")
        stock.run("%unload_ext flow_kernel")
        stock.run("_save('before')")
        stock.run("%load_ext flow_kernel")
        pids = ok(stock, "%%isolated\nimport os; print(os.getpid(), os.getppid())").split()
        stock.run("%unload_ext flow_kernel")

        def is_as_before() -> bool:
            stock.run(LOOK)
            stock.run("_save('after')")
            before, after = _snapshots(stock.cwd, "before", "after")
            fds = [Counter(map(str, each.pop("fds"))) for each in (before, after)]
            assert _differences(before, after) == {}
            return fds[1] <= fds[0]

        stock.wait(is_as_before)
        assert all(is_gone(int(pid)) for pid in pids)
        assert stock.run("%%isolated\n1").reply["ename"] == "UsageError"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.run("%load_ext flow_kernel")
    yield terminal
    terminal.close()


def isolated(terminal: Terminal, code: str, line: str = "") -> str:
    """Run a line of code in a worker; returns what the screen showed."""
    return terminal.run(f"get_ipython().run_cell_magic('isolated', {line!r}, {code!r})")


@promise("extension.same", "isolated.relay")
def test_terminal_ipython_shows_output_result_and_variables(terminal: Terminal) -> None:
    terminal.run("x = 20")
    screen = isolated(terminal, "print('sa' + 'id'); y = x + 1; y", "--out y")
    assert "said\r\nOut[" in screen
    assert "21" in terminal.run("y")


@promise("extension.same", "isolated.relay")
def test_terminal_ipython_shows_an_error_once(terminal: Terminal) -> None:
    screen = isolated(terminal, "int('no' + 'ne')")
    assert screen.count("invalid literal for int() with base 10: 'none'") == 1


@promise("extension.same", "isolated.relay")
def test_terminal_ipython_asks_for_input(terminal: Terminal) -> None:
    code = "get_ipython().run_cell_magic('isolated', '', \"'got ' + input('na' + 'me? ')\")"
    terminal._child.sendline(code)
    terminal._child.expect_exact("name? ")
    assert "'got Ada'" in terminal.run("Ada")


@promise("extension.same", "isolated.scripts")
def test_scripts_run_ask_and_fail_in_terminal_ipython(terminal: Terminal) -> None:
    code = 'read x; echo "got $x"; exit 3'
    terminal._child.sendline(f"get_ipython().run_cell_magic('isolated', '--shell', {code!r})")
    terminal._child.expect_exact("bash reads: ")
    screen = terminal.run("Ada")
    assert "got Ada" in screen
    assert screen.count("ScriptFailed: the script ended with exit code 3") == 1


@promise("extension.same", "isolated.survives", "isolated.interrupt")
def test_deaths_and_interrupts_cost_terminal_ipython_nothing(terminal: Terminal) -> None:
    assert "SIGABRT" in isolated(terminal, "import os; os.abort()", "--fresh")
    terminal._child.sendline(
        "get_ipython().run_cell_magic('isolated', '', \"print('be' + 'gun')\\nwhile True: pass\")"
    )
    terminal._child.expect_exact("begun")
    terminal._child.sendintr()
    assert "KeyboardInterrupt" in terminal._prompt()
    assert "2" in isolated(terminal, "1 + 1")


@promise("extension.same", "isolated.background")
def test_terminal_ipython_shows_a_cell_in_the_background_and_its_end(terminal: Terminal) -> None:
    begun = isolated(terminal, "print('sa' + 'id'); y = 7", "--bg --out y")
    seen = begun + terminal.run("_.result()")
    for told in ("waits for a worker", "said", "ended well", "{'y': 7}"):
        assert told in seen
    assert "7" in terminal.run("y")


@promise("extension.same", "isolated.background", "isolated.recorded")
def test_terminal_ipython_records_what_each_cell_has_said(terminal: Terminal) -> None:
    isolated(terminal, "import time; time.sleep(0.3); print('sa' + 'id'); 1 / 0", "--bg")
    terminal.run("h = _; print('here'); h.wait(20)")
    records = terminal.logs.wait("cell", count=3)
    said = {record["code"][:6]: (record["stdout"], record["stderr"]) for record in records}
    assert said["import"] == ("said\n", "")
    assert said["h = _;"][0] == "here\n"


@promise("extension.unload", "isolated.orphans")
def test_after_unload_nothing_of_the_workers_is_left_in_terminal_ipython(
    terminal: Terminal,
) -> None:
    (terminal.root / "snapshot.py").write_text(SNAPSHOT, encoding="utf-8")
    isolated(terminal, "1")
    terminal.run("%unload_ext flow_kernel")
    terminal.run("exec(open('snapshot.py').read())")
    terminal.run("_save('before')")
    terminal.run("%load_ext flow_kernel")
    isolated(terminal, "import os; open('pids', 'w').write(f'{os.getpid()} {os.getppid()}')")
    terminal.run("%unload_ext flow_kernel")
    terminal.run("_save('after')")

    before, after = _snapshots(terminal.root, "before", "after")
    assert _differences(before, after) == {}
    assert all(is_gone(int(pid)) for pid in (terminal.root / "pids").read_text().split())


@promise("extension.unload", "isolated.orphans")
def test_leaving_terminal_ipython_leaves_no_worker(terminal: Terminal) -> None:
    isolated(terminal, "import os; open('pids', 'w').write(f'{os.getpid()} {os.getppid()}')")
    terminal._child.sendline("exit")
    terminal._child.expect(pexpect.EOF)
    assert all(is_gone(int(pid)) for pid in (terminal.root / "pids").read_text().split())
