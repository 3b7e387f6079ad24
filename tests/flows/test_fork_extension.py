"""Copies of a session under `%load_ext flow_kernel`, in stock ipykernel and terminal IPython."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.test_extension import SNAPSHOT, Terminal, _differences, _snapshots
from tests.isolating import is_gone, kinds, ok
from tests.kernels import STOCK, Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FORK = "%%isolated --fork\n"
_OURS = ("pipe:", "anon_inode:[pidfd]")


@pytest.fixture(scope="module")
def stock() -> Iterator[Kernel]:
    with Kernel(STOCK) as kernel:
        ok(kernel, "%load_ext flow_kernel")
        yield kernel


@promise("extension.same", "fork.sees", "fork.relay")
def test_a_copy_works_in_stock_ipykernel(stock: Kernel) -> None:
    ok(stock, "import os; x = 20; letters = (c for c in 'abc')")
    ran = stock.run(
        "%%isolated --fork --out y\nprint('said'); y = x + 1; display(2); next(letters)"
    )
    assert (ran.stdout, ran.result) == ("said\n", "'a'")
    assert kinds(ran) == ["stdout", "display_data", "execute_result"]
    assert ok(stock, "y, next(letters)") == "(21, 'a')"
    record = stock.logs.one("cell", msg_id=ran.msg_id)
    assert (record["stdout"], record["worker"][0]) == ("said\n", "f")


@promise("extension.same", "fork.relay", "fork.ends")
def test_errors_questions_deaths_and_interrupts_in_stock_ipykernel(stock: Kernel) -> None:
    failed = stock.run(f"{FORK}1 / 0")
    assert [m["msg_type"] for m in failed.messages] == ["error"]
    ran = stock.run(f"{FORK}input('name? ')", allow_stdin=True, answers=["Ada"])
    assert ran.result == "'Ada'"
    died = stock.run(f"{FORK}import os; os.abort()")
    assert died.error is not None
    assert (died.error["ename"], "SIGABRT" in died.error["evalue"]) == ("WorkerDied", True)
    stopped = stock.interrupted(f"{FORK}open('begun', 'w').close()\nwhile True: pass")
    assert stopped.reply["ename"] == "KeyboardInterrupt"
    assert ok(stock, f"{FORK}1 + 1") == "2"


@promise("extension.same", "fork.sees")
def test_the_extension_is_not_unloaded_from_a_copy(stock: Kernel) -> None:
    ran = stock.run(f"{FORK}%unload_ext flow_kernel\n%load_ext flow_kernel\n%flow status")
    assert (ran.status, ran.stderr) == ("ok", "")
    ran = stock.run("%flow status")
    assert "recording  on" in str(ran.result)
    assert ran.flow["seq"] > 0


@promise("extension.unload", "fork.orphans")
def test_after_unload_nothing_of_the_copies_is_left() -> None:
    with Kernel(STOCK) as stock:
        stock.run(SNAPSHOT)
        stock.run("import flow_kernel.shell.extension; del flow_kernel")
        stock.run("%load_ext flow_kernel")
        ok(stock, f"{FORK}1")
        stock.run("%unload_ext flow_kernel")
        stock.run("_save('before')")
        stock.run("%load_ext flow_kernel")
        pid = int(ok(stock, f"{FORK}import os; print(os.getpid())"))
        forks = "from flow_kernel import current_session as c\nc().isolation.forks"
        watcher = int(ok(stock, f"{forks}._warden.pid"))
        stock.run("del c")
        stock.run("%unload_ext flow_kernel")

        def is_as_before() -> bool:
            stock.run("_save('after')")
            before, after = _snapshots(stock.cwd, "before", "after")
            # What ipykernel has opened for threads that have ended, it looks for in ten seconds.
            ours = [
                Counter(fd for fd in map(str, each.pop("fds")) if fd.startswith(_OURS))
                for each in (before, after)
            ]
            return _differences(before, after) == {} and ours[0] == ours[1]

        stock.wait(is_as_before)
        assert is_gone(pid)
        assert is_gone(watcher)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.run("%load_ext flow_kernel")
    yield terminal
    terminal.close()


def forked(terminal: Terminal, code: str, line: str = "") -> str:
    """Run a line of code in a copy; returns what the screen showed."""
    return terminal.run(f"get_ipython().run_cell_magic('isolated', '--fork {line}', {code!r})")


@promise("extension.same", "fork.sees", "fork.relay")
def test_a_copy_works_in_terminal_ipython(terminal: Terminal) -> None:
    terminal.run("import os; x = 20; letters = (c for c in 'abc')")
    screen = forked(terminal, "print('sa' + 'id'); y = x + 1; next(letters)", "--out y")
    assert "said\r\n" in screen
    assert screen.index("said") < screen.index("Out[")
    assert "(21, 'a')" in terminal.run("y, next(letters)")
    assert forked(terminal, "int('no' + 'ne')").count("with base 10: 'none'") == 1
    assert "exited with code 3" in forked(terminal, "os._exit(3)")
    assert "echoed" in forked(terminal, "os.system('echo ech' + 'oed')")
    assert "42" in terminal.run("40 + 2")


@promise("extension.same", "fork.relay")
def test_terminal_ipython_asks_for_input(terminal: Terminal) -> None:
    code = "get_ipython().run_cell_magic('isolated', '--fork', \"'got ' + input('na' + 'me? ')\")"
    terminal._child.sendline(code)
    terminal._child.expect_exact("name? ")
    assert "'got Ada'" in terminal.run("Ada")


@promise("extension.same", "fork.ends")
def test_a_terminal_interrupts_a_copy(terminal: Terminal) -> None:
    code = "print('be' + 'gun')\nwhile True: pass"
    terminal._child.sendline(f"get_ipython().run_cell_magic('isolated', '--fork', {code!r})")
    terminal._child.expect_exact("begun")
    terminal._child.sendintr()
    assert "KeyboardInterrupt" in terminal._prompt()
    assert "42" in terminal.run("40 + 2")
