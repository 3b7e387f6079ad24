"""Which values an isolated cell finds under the names of its session, in real kernels."""

import sys
from collections.abc import Iterator

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


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
