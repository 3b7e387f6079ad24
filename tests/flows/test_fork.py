"""Cells that run in a copy of the session: what they see, what they say, what they bring back."""

import re
import sys

import pytest

from tests.isolating import kinds, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FORK = "%%isolated --fork\n"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@promise("fork.sees")
def test_a_copy_sees_what_no_other_process_can_be_sent(kernel: Kernel) -> None:
    ok(
        kernel,
        "import os\nopen('seen.txt', 'w').write('one\\ntwo\\nthree\\n')\n"
        "letters = (c for c in 'abc'); next(letters)\nadd = lambda n: n + 1\n"
        "book = open('seen.txt'); book.readline()\nclass Local: pass\nlocal = Local()",
    )
    seen = ok(
        kernel,
        f"{FORK}(next(letters), add(1), book.readline(), type(local) is Local, os.getpid() == "
        f"{kernel.pid})",
    )
    assert seen == "('b', 2, 'two\\n', True, False)"
    assert ok(kernel, "next(letters), book.readline()") == "('b', 'two\\n')"


@promise("fork.sees")
def test_nothing_is_changed_by_a_copy(kernel: Kernel) -> None:
    ok(
        kernel,
        "import os, random, sys; numbers = [1]; place = os.getcwd(); raw = os.open('raw', 66)\n"
        "os.write(raw, b'0123456789'); _ = os.lseek(raw, 2, 0); state = random.getstate()",
    )
    code = (
        "numbers.append(2); del place; made = 1; os.chdir('/'); os.environ['MADE'] = '1'\n"
        "sys.path.append('made'); random.random(); import colorsys\nos.read(raw, 5)"
    )
    assert ok(kernel, FORK + code) == "b'23456'"
    assert (
        ok(
            kernel,
            "(numbers, os.getcwd() == place, 'made' in globals(), 'MADE' in os.environ,"
            " 'made' in sys.path, random.getstate() == state, 'colorsys' in sys.modules,"
            " os.lseek(raw, 0, 1))",
        )
        == "([1], True, False, False, False, True, False, 2)"
    )


@promise("fork.relay")
def test_text_displays_and_native_output_arrive_in_their_order(kernel: Kernel) -> None:
    code = (
        "import os, sys\nprint('first'); h = display('one', display_id='it')\nprint('second', "
        "file=sys.stderr)\nh.update('two'); os.system('echo native'); print('third'); 4"
    )
    ran = kernel.run(FORK + code)
    assert kinds(ran) == [
        "stdout", "display_data", "stderr", "update_display_data", "stdout", "execute_result",
    ]  # fmt: skip
    assert (ran.stdout, ran.stderr, ran.result) == ("first\nnative\nthird\n", "second\n", "4")
    assert ran.of("execute_result")[0]["content"]["execution_count"] == ran.reply["execution_count"]
    assert {m["parent_header"]["msg_id"] for m in ran.messages} == {ran.msg_id}


@promise("fork.relay")
def test_all_of_much_output_is_there_before_the_cell_is_idle(kernel: Kernel) -> None:
    ran = kernel.run(f"{FORK}for n in range(20_000): print(n)\nprint('x' * 3_000_000)")
    assert ran.stdout == "".join(f"{n}\n" for n in range(20_000)) + "x" * 3_000_000 + "\n"


@promise("fork.relay")
def test_an_error_is_shown_once_with_the_lines_of_the_cell(kernel: Kernel) -> None:
    wrong = {
        "ZeroDivisionError": "def wrong():\n    return 1 / 0\nwrong()",
        "SyntaxError": "right = 1\nx = (1,",
    }
    for name, code in wrong.items():
        here, ran = kernel.run(code), kernel.run(FORK + code)
        assert [m["msg_type"] for m in ran.messages] == ["error"]
        assert ran.reply["ename"] == name
        shown = [_COLOUR.sub("", "\n".join(each.reply["traceback"])) for each in (here, ran)]
        count = f"Cell In[{ran.reply['execution_count']}]"
        assert shown[1] == shown[0].replace(f"Cell In[{here.reply['execution_count']}]", count)
    assert ok(kernel, "1 + 1") == "2"


@promise("fork.relay")
def test_a_person_is_asked_and_heard(kernel: Kernel) -> None:
    code = f"{FORK}import getpass\ninput('name? '), getpass.getpass('word? ')"
    assert ok(kernel, code, allow_stdin=True, answers=["Ada", "x"]) == "('Ada', 'x')"
    ran = kernel.run(f"{FORK}input('name? ')", allow_stdin=False)
    assert ran.reply["ename"] == "StdinNotImplementedError"


@promise("fork.relay")
def test_what_is_named_comes_back_and_what_cannot_is_named(kernel: Kernel) -> None:
    code = (
        "import numpy as np\nbig = np.arange(12_500_000.0); small = {'of': big}\n"
        "bad = (i for i in 'ab')"
    )
    ran = kernel.run(f"%%isolated --fork --out big,small,bad,missing\n{code}")
    assert ran.status == "ok"
    assert "bad did not come back from the worker: generator" in ran.stderr
    assert "missing did not come back" in ran.stderr
    seen = "big.nbytes, big[-1], small['of'] is big, 'bad' in globals(), 'np' in globals()"
    assert ok(kernel, seen) == "(100000000, np.float64(12499999.0), True, False, False)"


@promise("fork.relay")
def test_what_comes_back_is_of_the_classes_of_the_session(kernel: Kernel) -> None:
    ok(
        kernel,
        "import enum, threading\nclass Held: lock = threading.Lock()\n"
        "class Colour(enum.Enum): RED = [1]\nred = Colour.RED.value\n"
        "def inner():\n    class Inner: pass\n    return Inner\nInner = inner()",
    )
    code = (
        "held, member, local = Held(), Colour.RED, [Inner()]; Held.added = member.value.append(2)\n"
        "class Own(Held): pass\nown = Own()"
    )
    ran = kernel.run(f"%%isolated --fork --out held,member,local,Own,own\n{code}")
    assert (ran.status, ran.stderr) == ("ok", "")
    seen = (
        "type(held) is Held, member is Colour.RED, member.value is red, red,"
        " type(local[0]) is Inner, Own.__base__ is Held, type(own) is Own, hasattr(Held, 'added')"
    )
    assert ok(kernel, seen) == "(True, True, True, [1], True, True, True, False)"


@promise("fork.relay")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); y = 'x' * 999_999",
            "File too large",
        ),
        (
            "class Y:\n    def __reduce__(self): raise KeyboardInterrupt\ny = Y()",
            "KeyboardInterrupt",
        ),
    ],
)
def test_a_cell_has_run_also_where_nothing_can_come_back(
    kernel: Kernel, code: str, reason: str
) -> None:
    ran = kernel.run(f"%%isolated --fork --out y\n{code}\n5")
    assert (ran.status, ran.result) == ("ok", "5")
    assert "y did not come back" in ran.stderr
    assert reason in ran.stderr


@promise("fork.relay")
def test_texts_that_cannot_be_sent_arrive_escaped(kernel: Kernel) -> None:
    ran = kernel.run(f"{FORK}print('\\ud800'); display('\\ud800')\nraise ValueError('\\ud800')")
    assert (ran.reply["ename"], ran.reply["evalue"]) == ("ValueError", "\\ud800")
    assert ran.stdout == "\\ud800\n"
    assert kinds(ran) == ["stdout", "display_data", "error"]


@promise("fork.sees")
def test_text_that_a_file_holds_is_written_once(kernel: Kernel) -> None:
    ok(
        kernel,
        "class Box: pass\nbox = Box(); box.file = open('box', 'a'); _ = box.file.write('here ')\n"
        "log = open('log', 'ab'); _ = log.write(b'here ')",
    )
    ok(kernel, f"{FORK}box.file.write('there '); log.write(b'there '); log.flush(); del box")
    assert ok(kernel, "box.file.close(); log.close(); open('box').read(), open('log').read()") == (
        "('here there ', 'here there ')"
    )


@promise("fork.relay")
def test_a_figure_is_shown(kernel: Kernel) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.title('here')"
    ok(kernel, "%matplotlib inline\nimport matplotlib.pyplot as plt")
    ran = kernel.run(FORK + code)
    assert ran.status == "ok"
    assert "image/png" in ran.of("display_data")[0]["content"]["data"]
    assert ok(kernel, "plt.get_fignums()") == "[]"


@promise("fork.relay")
def test_a_cell_may_await_and_start_threads_and_processes(kernel: Kernel) -> None:
    assert ok(kernel, f"{FORK}import asyncio\nawait asyncio.sleep(0, 7)") == "7"
    code = (
        "import threading, multiprocessing\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "context = multiprocessing.get_context('fork')\n"
        "p = context.Process(target=print, args=('process',)); p.start(); p.join(); p.exitcode"
    )
    ran = kernel.run(FORK + code)
    assert (ran.result, sorted(ran.stdout.split())) == ("0", ["process", "thread"])
    code = "import asyncio\nasync def say(): print('task')\ntask = asyncio.create_task(say()); 1"
    ran = kernel.run(FORK + code)
    assert (ran.result, ran.stdout) == ("1", "task\n")


@promise("fork.relay")
def test_a_process_that_a_copy_forks_ends_as_a_program_does(kernel: Kernel) -> None:
    code = (
        "import os\nchild = os.fork()\nif child: _, status = os.waitpid(child, 0)\n"
        "name = input('name? ')\nname, os.waitstatus_to_exitcode(status)"
    )
    ran = kernel.run(
        f"%%isolated --fork --out name\n{code}", allow_stdin=True, answers=["Ada", "Bob"]
    )
    assert ran.result == "('Ada', 1)"
    assert "a process that a cell has forked cannot ask for input" in _COLOUR.sub("", ran.stderr)
    assert len(ran.of("error")) == 0


@promise("fork.relay")
def test_code_of_a_copy_calls_its_session(own: Kernel) -> None:
    ok(own, "%task start cleaning")
    code = (
        "from flow_kernel import current_session\ns = current_session()\n"
        "s.context['rows'] = 3\n%task log from the copy\ns.current_task.name"
    )
    assert ok(own, FORK + code) == "'cleaning'"
    read = "from flow_kernel import current_session\ncurrent_session().context['rows']"
    assert ok(own, read) == "3"


@promise("fork.sees")
def test_the_log_is_whole_and_tells_where_the_cell_ran(own: Kernel) -> None:
    ok(own, "x = 1")
    ran = own.run("%%isolated --fork --out y\nprint('said'); x = 2; y = 3")
    ok(own, "x, y")
    record = own.logs.one("cell", msg_id=ran.msg_id)
    assert (record["worker"], record["stdout"], record["added_vars"], record["changed_vars"]) == (
        "f1", "said\n", ["y"], [],
    )  # fmt: skip
    assert (ran.flow["execution"], ran.flow["worker"]) == ("worker", "f1")
    (worker,) = own.logs.records("worker")
    assert (worker["worker_id"], worker["detail"]["kind"]) == ("f1", "fork")
    cells = own.logs.records("cell")
    assert [cell["seq"] for cell in cells] == sorted({cell["seq"] for cell in cells})


@promise("fork.guarded")
def test_a_copy_makes_no_copy(kernel: Kernel) -> None:
    ran = kernel.run(f"{FORK}get_ipython().run_cell_magic('isolated', '--fork', '1')")
    assert "the cell is in a worker already" in ran.stderr + str(ran.error)
    assert ok(kernel, f"{FORK}1 + 1") == "2"


@promise("fork.relay")
def test_what_captures_output_of_the_session_costs_none_of_a_copy(kernel: Kernel) -> None:
    ran = kernel.run(f"%%capture out\n{FORK}print('shown'); display(1); 2")
    assert (ran.stdout, ran.result) == ("shown\n", "2")
    assert kinds(ran) == ["stdout", "display_data", "execute_result"]


@promise("fork.relay", "fork.ends")
def test_a_copy_that_wants_to_exit_is_as_a_worker_that_does(kernel: Kernel) -> None:
    code = "import sys\nsys.exit(3)"
    worker, copy = kernel.run(f"%%isolated\n{code}"), kernel.run(FORK + code)
    assert copy.reply["ename"] == worker.reply["ename"] == "SystemExit"
    assert len(copy.of("error")) == 1
    # How to leave IPython is said by the session alone, if at all.
    assert max(ran.stderr.count("UserWarning: To exit") for ran in (worker, copy)) <= 1
    assert kernel.run(f"{FORK}exit()").status == "ok"
    assert ok(kernel, "1 + 1") == "2"


@promise("fork.relay")
@pytest.mark.parametrize(
    "sabotage",
    [
        "import os, json; os._exit = os.write = json.dumps = None",
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('tick'))\n"
        "_ = signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)",
        "get_ipython().run_cell('1 / 0')",
        "import gc; gc.collect()",
    ],
)
def test_what_a_cell_does_to_its_process_does_not_keep_its_answer(
    kernel: Kernel, sabotage: str
) -> None:
    ran = kernel.run(f"{FORK}{sabotage}\nfor _ in range(50): print('x' * 9000)\n5")
    assert (ran.status, ran.result) == ("ok", "5")
    assert ran.stdout.count("x" * 9000) == 50
    assert ok(kernel, "1 + 1") == "2"


@promise("fork.sees")
def test_random_numbers_go_on_where_they_are_seeded_and_are_new_where_not(own: Kernel) -> None:
    ok(own, "import random as chance")
    seen = {ok(own, f"{FORK}chance.random()") for _ in range(3)}
    assert len(seen) == 3
    ok(own, "chance.seed(3)")
    assert ok(own, f"{FORK}chance.random()") == ok(own, "chance.random()")


@promise("fork.relay")
def test_a_worker_is_told_what_a_copy_brought_back(kernel: Kernel) -> None:
    ok(kernel, "brought = 'before'")
    assert ok(kernel, "%%isolated --worker told\nbrought") == "'before'"
    ok(kernel, "%%isolated --fork --out brought\nbrought = 'after'")
    assert ok(kernel, "%%isolated --worker told\nbrought") == "'after'"


@promise("fork.relay")
def test_a_copy_is_made_in_a_subshell_as_well(kernel: Kernel) -> None:
    ok(kernel, "letters = (c for c in 'abc')")
    made = kernel.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    ran = kernel.run(f"{FORK}print('there'); next(letters)", subshell=made)
    assert (ran.stdout, ran.result) == ("there\n", "'a'")
    assert ok(kernel, "next(letters)") == "'a'"
