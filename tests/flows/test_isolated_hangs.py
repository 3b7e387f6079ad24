"""Isolated cells in real kernels that nobody may wait for in vain, and workers that live on."""

import os
import signal
import sys

import pytest

from tests.isolating import DEAF, is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@promise("isolated.survives")
def test_a_cell_may_have_the_same_code_run_again_and_again(kernel: Kernel) -> None:
    code = "for _ in range(4): get_ipython().run_cell_magic('isolated', '', 'print(1)')"
    assert ok(kernel, code) == "1\n" * 4


@promise("isolated.survives")
def test_code_that_cannot_be_sent_is_an_error_and_its_worker_is_free(kernel: Kernel) -> None:
    ran = kernel.run(r"get_ipython().run_cell_magic('isolated', '', 'print(\'\ud800\')')")
    assert ran.reply["ename"] == "UsageError"
    assert "the cell cannot be sent to a worker" in ran.stderr
    assert ok(kernel, "%%isolated\n1 + 1") == "2"


@promise("isolated.survives")
def test_a_search_path_that_holds_paths_is_told_as_text(own: Kernel) -> None:
    ok(own, "import sys; from pathlib import Path; sys.path.append(Path('/first'))")
    assert ok(own, "%%isolated\nimport sys; sys.path[-1]") == "'/first'"
    ok(own, "sys.path.append(Path('/later'))")
    assert ok(own, "%%isolated\nsys.path[-1]") == "'/later'"


@promise("isolated.survives")
def test_a_directory_that_is_gone_keeps_no_worker_from_starting(own: Kernel) -> None:
    ok(own, "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')")
    assert ok(own, "%%isolated\nprint(4)") == "4\n"
    assert ok(own, "%%isolated --fresh\nprint(5)") == "5\n"


ASKS = "%%isolated --worker asks\n"


@promise("isolated.survives")
def test_the_end_of_a_file_at_a_prompt_is_the_worker_s_and_it_lives_on(kernel: Kernel) -> None:
    code = f"{ASKS}try: input('name? ')\nexcept EOFError as error: print('ended', kept := 5)"
    assert ok(kernel, code, allow_stdin=True, answers=["\x04"]) == "ended 5\n"
    ran = kernel.run(f"{ASKS}input('name? ')", allow_stdin=True, answers=["\x04"])
    assert ran.error is not None
    assert ran.error["ename"] == "EOFError"
    assert ok(kernel, f"{ASKS}input('name? '), kept", allow_stdin=True, answers=["Ada"]) == (
        "('Ada', 5)"
    )


@promise("isolated.survives")
def test_a_worker_whose_question_cannot_be_asked_is_stopped_and_lives_on(own: Kernel) -> None:
    ok(own, f"{ASKS}kept = 5")
    unable = (
        "session = get_ipython().kernel.session\n"
        "def asked(*_, **__): raise RuntimeError('no box today')\n"
        "stock, session.send = session.send, lambda stream, kind, *a, **k:"
        " asked() if kind == 'input_request' else stock(stream, kind, *a, **k)"
    )
    ok(own, unable)
    ran = own.run(f"{ASKS}input('name? ')", allow_stdin=True)
    assert ran.error is not None
    assert (ran.error["ename"], ran.error["evalue"]) == ("RuntimeError", "no box today")
    assert ok(own, f"{ASKS}kept") == "5"


@promise("isolated.survives")
def test_a_death_at_a_prompt_is_told_while_nobody_answers(own: Kernel) -> None:
    cell = "%%isolated\nimport os; open('pid', 'w').write(str(os.getpid()))\ninput('name? ')"
    msg_id = own.send(cell, allow_stdin=True)
    own.wait(lambda: bool(own.inputs))
    own.inputs.clear()
    os.kill(int((own.cwd / "pid").read_text()), signal.SIGKILL)
    ran = own.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert ok(own, "input('name? ')", allow_stdin=True, answers=["Ada"]) == "'Ada'"


SLOW = """
from pathlib import Path
class Slow:
    def __reduce__(self): return arrived, ()
def arrived():
    import signal
    from pathlib import Path
    if not Path('begun').exists():
        Path('begun').touch()
        while not signal.getsignal(signal.SIGINT).__self__.was_interrupted: pass
    return 'slow'
slow = Slow()
"""


@promise("isolated.interrupt")
def test_an_interrupt_while_variables_arrive_stops_the_cell_and_nothing_else(own: Kernel) -> None:
    ok(own, SLOW)
    ok(own, "%%isolated --in none\nkept = 5")
    msg_id = own.send("%%isolated\nPath('ran').touch(); slow")
    own.wait((own.cwd / "begun").exists)
    own.interrupt()
    ran = own.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert not (own.cwd / "ran").exists()
    assert ok(own, "%%isolated\nslow, kept") == "('slow', 5)"


BESIDE = """%%isolated --worker beside
import sys
kept, stock = 5, sys.stdout.flush
def flush():
    if sys._getframe(1).f_code.co_name == 'execute_request':
        sys.stdout.flush = stock
        raise KeyboardInterrupt
    stock()
sys.stdout.flush = flush
"""


@promise("isolated.interrupt")
def test_an_interrupt_that_costs_the_reply_costs_no_worker(kernel: Kernel) -> None:
    ran = kernel.run(BESIDE)
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert ok(kernel, "%%isolated --worker beside\nkept") == "5"


@promise("isolated.survives")
def test_an_environment_of_any_size_reaches_a_worker_and_costs_none(own: Kernel) -> None:
    ok(own, "%%isolated\nkept = 5")
    ok(own, "import os\nfor i in range(10): os.environ[f'LARGE{i}'] = 'x' * 100_000")
    cell = "import os\nsum(map(len, (os.environ[f'LARGE{i}'] for i in range(10)))), os.getppid()"
    for _ in range(2):  # the first one may have been waiting as a spare
        there = ok(own, f"%%isolated --fresh\n{cell}")
    assert there == f"(1000000, {ok(own, '%%isolated' + chr(10) + 'import os; os.getppid()')})"
    assert ok(own, "%%isolated\nkept") == "5"


@promise("isolated.survives", "isolated.limits")
def test_a_zygote_that_stands_still_keeps_no_worker_from_its_end(own: Kernel) -> None:
    stop = "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)\n"
    ok(own, "%%isolated --worker sibling\nkept = 5")
    # Of CPU: by the clock, one that gets none for a while is interrupted before it is deaf.
    ran = own.run(f"%%isolated --cpu 0.2\n{stop}while True: pass")
    assert ran.error is not None
    assert ran.error["ename"] == "CellTimeout"
    ran = own.run(f"%%isolated --cpu 0.2\n{DEAF}{stop}while True: pass")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert ok(own, "%%isolated --worker sibling\nkept") == "5"


@promise("isolated.orphans")
def test_a_zygote_that_stands_still_outlives_no_session() -> None:
    with Kernel() as kernel:
        started = ok(
            kernel.ready(),
            "%%isolated\nimport os, subprocess\nfar = subprocess.Popen(['sleep', '1000'],"
            " start_new_session=True)\nprint(os.getpid(), os.getppid(), far.pid)",
        )
        worker, zygote, far = map(int, started.split())
        os.kill(zygote, signal.SIGSTOP)
        kernel.kill()
        assert all(map(is_gone, (worker, zygote, far)))
