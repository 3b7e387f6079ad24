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
    with Kernel() as kernel:
        yield kernel.ready()


@promise("isolated.variables")
def test_two_workers_at_once_get_each_its_own_arrays(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker A\n1")
    ok(kernel, "%%isolated --worker B\n1")
    found = ok(kernel, _TWO_AT_ONCE)
    assert found == "({(1.0, 1.0)}, {(2.0, 2.0)})"


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
