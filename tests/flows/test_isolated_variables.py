"""Which values an isolated cell finds under the names of its session, in real kernels."""

import sys
from collections.abc import Iterator

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

_TWO_AT_ONCE = """
import threading
import numpy as np
shell, found = get_ipython(), {}
first, second = np.full(3_000_000, 1.0), np.full(3_000_000, 2.0)
def run(worker, name):
    for turn in range(6):
        shell.run_cell_magic("isolated", f"--worker {worker} --in {name} --out of_{name}",
                             f"of_{name} = float({name}.min()), float({name}.max())  # {turn}")
        found.setdefault(name, set()).add(shell.user_ns[f"of_{name}"])
threads = [threading.Thread(target=run, args=args) for args in [("A", "first"), ("B", "second")]]
for thread in threads: thread.start()
for thread in threads: thread.join()
found['first'], found['second']
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel(arguments=("--WorkerPool.max_workers=50",)) as kernel:
        yield kernel.ready()


@promise("isolated.variables")
def test_two_workers_at_once_get_each_its_own_arrays(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker A\n1")
    ok(kernel, "%%isolated --worker B\n1")
    found = ok(kernel, _TWO_AT_ONCE)
    assert found == "({(1.0, 1.0)}, {(2.0, 2.0)})"


@promise("isolated.variables")
def test_what_a_worker_binds_stays_until_the_session_binds_it_again(kernel: Kernel) -> None:
    ok(kernel, "x = 1")
    ok(kernel, "%%isolated --worker binds\nx = 5")
    assert ok(kernel, "%%isolated --worker binds\nx") == "5"
    ok(kernel, "other = 2")
    assert ok(kernel, "%%isolated --worker binds\nx") == "5"
    ok(kernel, "x = 1")
    assert ok(kernel, "%%isolated --worker binds\nx") == "1"


@promise("isolated.variables")
def test_a_function_that_changes_brings_only_what_has_changed(kernel: Kernel) -> None:
    ok(kernel, "cfg = 1\ndef told(): return cfg")
    ok(kernel, "%%isolated --worker brings\ntold()")
    ok(kernel, "%%isolated --worker brings\ncfg = 7")
    ok(kernel, "def told(): return cfg + 10")
    assert ok(kernel, "%%isolated --worker brings\ntold()") == "17"
    assert ok(kernel, "%%isolated --worker brings --in told\ntold()") == "17"


@promise("isolated.variables")
def test_binding_the_same_value_again_sends_it_again(kernel: Kernel) -> None:
    ok(kernel, "n = 0")
    ok(kernel, "%%isolated --worker same\nn += 1")
    assert ok(kernel, "%%isolated --worker same\nn") == "1"
    ok(kernel, "n = 0")
    assert ok(kernel, "%%isolated --worker same\nn") == "0"


@promise("isolated.variables")
def test_a_name_that_is_given_is_sent_in_any_case(kernel: Kernel) -> None:
    ok(kernel, "m = 0")
    ok(kernel, "%%isolated --worker given\nm += 1")
    assert ok(kernel, "%%isolated --worker given --in m\nm") == "0"


@promise("isolated.variables")
@pytest.mark.parametrize("given", ["", "--in gone"])
def test_what_a_worker_has_removed_is_sent_again(kernel: Kernel, given: str) -> None:
    ok(kernel, "gone = 3")
    ok(kernel, "%%isolated --worker removes\ndel gone")
    assert ok(kernel, f"%%isolated --worker removes {given}\ngone") == "3"


@promise("isolated.variables")
def test_what_never_left_is_sent_with_the_next_cell(kernel: Kernel) -> None:
    ok(kernel, "early = [1]")
    ok(
        kernel,
        "class Slow:\n"
        "    is_slow = True\n"
        "    def __reduce__(self):\n"
        "        if Slow.is_slow: raise KeyboardInterrupt\n"
        "        return Slow, ()\n"
        "slow = Slow()",
    )
    assert kernel.run("%%isolated --worker never\nearly, slow").status == "error"
    ok(kernel, "%%isolated --worker never --in none\n1")
    assert ok(kernel, "%%isolated --worker never\nearly") == "[1]"


@promise("isolated.variables")
def test_what_a_refused_cell_brought_is_sent_with_the_next_one(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker refuses\nmine = 5")
    ok(
        kernel,
        "mine = 1; near = [1]\n"
        "def fail(): raise RuntimeError('not here')\n"
        "class Bad:\n    def __reduce__(self): return fail, ()\n"
        "bad = Bad()",
    )
    ok(kernel, "%%isolated --worker refuses\nmine = 6")
    assert kernel.run("%%isolated --worker refuses\nnear, bad").status == "error"
    assert ok(kernel, "%%isolated --worker refuses\nnear, mine") == "([1], 6)"


@promise("isolated.variables")
def test_a_class_is_one_class_on_both_sides(kernel: Kernel) -> None:
    ok(kernel, "import enum\nclass C: pass\nclass Colour(enum.Enum): RED = 1")
    ok(kernel, "%%isolated --worker one\nold, red = C(), Colour.RED")
    ok(kernel, "o = C(); other = [Colour.RED]")
    code = "isinstance(o, C), type(old) is C, other[0] is red is Colour.RED"
    assert ok(kernel, f"%%isolated --worker one\n{code}") == "(True, True, True)"
    ok(kernel, "%%isolated --worker one --out back,colour\nback, colour = C(), Colour.RED")
    assert ok(kernel, "isinstance(back, C), colour is Colour.RED") == "(True, True)"


@promise("isolated.variables")
def test_a_method_that_the_session_changes_is_changed_for_old_instances(kernel: Kernel) -> None:
    ok(kernel, "class M:\n    def say(self): return 1")
    assert ok(kernel, "%%isolated --worker method\nold = M(); old.say()") == "1"
    ok(kernel, "M.say = lambda self: 2")
    assert ok(kernel, "%%isolated --worker method\nM().say(), old.say()") == "(2, 2)"


@promise("isolated.variables")
def test_a_class_may_read_variables_while_it_is_put_together(kernel: Kernel) -> None:
    ok(
        kernel,
        "zalt = 3\nclass K:\n    def __hash__(self): return zalt\n"
        "    def __eq__(self, other): return True\nd = {K(): 1}",
    )
    assert ok(kernel, "%%isolated --worker reads\nlen(d), d[K()]") == "(1, 1)"
