"""The recorder keeps nothing of the user's alive: peaks, growth and counts are those of stock."""

import json
from typing import Final

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise

MIB: Final = 1024 * 1024

_PEAK: Final = [
    "import gc, tracemalloc, numpy as np\ngc.collect(); gc.disable(); tracemalloc.start()",
    "a = np.ones(4 * 1024 * 1024)",
    "a = a + 1",
    "tracemalloc.reset_peak()",
    "a = a + 1",
    "a = a * 2",
    "print(tracemalloc.get_traced_memory()[1]); tracemalloc.stop()",
]


@promise("transparent.memory")
def test_peak_memory_of_rebinding_a_large_value_is_that_of_stock(fresh_pair: Pair) -> None:
    def peak(kernel: Kernel) -> int:
        return int([kernel.run(cell) for cell in _PEAK][-1].stdout)

    stock, flow = fresh_pair.both(peak)

    assert abs(flow - stock) < MIB, (flow, stock)


@promise("transparent.memory")
def test_peak_resident_memory_of_rebinding_grows_as_in_stock(fresh_pair: Pair) -> None:
    peak = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"

    def growth(kernel: Kernel) -> int:
        kernel.run("import numpy as np; a = np.ones(1)")
        first = int(kernel.run(peak).stdout)
        for cell in (
            "a = np.ones(8 * 1024 * 1024)",
            "a = a + 1",
            "a = a * 2",
            "b = a; del a",
            "del b",
        ):
            kernel.run(cell)
        return int(kernel.run(peak).stdout) - first

    stock, flow = fresh_pair.both(growth)

    assert flow - stock < 4 * MIB, (flow, stock)


@promise("transparent.memory")
def test_objects_counted_by_the_collector_grow_no_faster_than_in_stock(fresh_pair: Pair) -> None:
    count = "gc.collect(); print(len(gc.get_objects()))"

    def growth(kernel: Kernel) -> int:
        kernel.run("import gc")
        # The recorder remembers the last 128 cells, for output that comes late.
        for _ in range(140):
            kernel.run("x = [1]; x")
        first = int(kernel.run(count).stdout)
        for _ in range(200):
            kernel.run("x = [1]; x")
        return int(kernel.run(count).stdout) - first

    stock, flow = fresh_pair.both(growth)

    # What happens to be alive while they are counted differs by up to 50 either way.
    assert flow <= stock + 100, (flow, stock)


@promise("transparent.memory")
def test_no_object_of_the_recorder_refers_to_a_value(pair: Pair) -> None:
    pair.forget()
    seek = """
import gc, json
known = (globals(), Out, get_ipython().user_ns_hidden)
def holders(value, depth):
    if depth == 0: return
    for r in gc.get_referrers(value):
        module = type(r).__module__ or ''
        if module.startswith('flow_kernel'): yield module + '.' + type(r).__name__
        if type(r) in (list, tuple, dict, set) and not any(r is k for k in known):
            yield from holders(r, depth - 1)
print(json.dumps(sorted(set(holders(value, 3)))))
"""
    cells = [
        "value = ['held', 'by', 'the', 'user']",
        "value.append(1); value",
        "other = value; value.pop()",
        seek,
    ]

    stock, flow = pair.run(*cells)

    assert json.loads(flow[-1].stdout) == json.loads(stock[-1].stdout) == []


@promise("transparent.memory")
def test_values_of_a_failed_cell_are_freed_as_in_stock(pair: Pair) -> None:
    pair.forget()
    cells = [
        "import weakref\nclass V: pass\nrefs = []",
        "def fails():\n    v = V(); refs.append(weakref.ref(v)); raise ValueError(v)",
        "fails()",
        "1/0",
        "import sys, gc; sys.last_value = sys.last_traceback = sys.last_exc = None",
        "gc.collect(); print([r() is None for r in refs])",
    ]

    stock, flow = pair.run(*cells)

    assert flow[-1].stdout == stock[-1].stdout
