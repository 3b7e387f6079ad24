"""Cells with hostile objects: the reply is that of stock ipykernel, and the record exists.

A hostile method notes that it was called before it does its harm, so a recorder that runs code of a
user's class is caught even when the harm goes unnoticed.
"""

from typing import Final

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.programs import programs
from tests.promises import promise

BOUND_S: Final = 5.0
"""A reply later than this fails; each slow method would take longer by itself."""

_HARM: Final = """
import time, sys, os
calls = []
def slow(*a, **k): calls.append('slow'); time.sleep(60)
def leave(*a, **k): calls.append('leave'); raise SystemExit(9)
def interrupt(*a, **k): calls.append('interrupt'); raise KeyboardInterrupt
def recurse(*a, **k): calls.append('recurse'); return recurse(*a, **k)
def end(*a, **k): calls.append('end'); os._exit(9)
def lie(*a, **k): calls.append('lie'); return 'a lie'
HARMS = [slow, leave, interrupt, recurse, end, lie]
"""

METHODS: Final = [
    "__repr__",
    "__str__",
    "__len__",
    "__eq__",
    "__ne__",
    "__hash__",
    "__bool__",
    "__iter__",
    "__contains__",
    "__getitem__",
    "__getattribute__",
    "__getattr__",
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__sizeof__",
    "__dir__",
    "__format__",
    "__int__",
    "__index__",
    "__float__",
    "__bytes__",
    "__fspath__",
    "__array__",
    "__copy__",
    "__deepcopy__",
    "__instancecheck__",
    "__length_hint__",
    "__enter__",
    "__call__",
    "__lt__",
]
PROPERTIES: Final = [
    "__class__",
    "__dict__",
    "__doc__",
    "__module__",
    "__name__",
    "__qualname__",
    "__version__",
    "__array_interface__",
    "shape",
    "dtype",
    "nbytes",
    "columns",
    "index",
    "size",
    "name",
    "_repr_html_",
    "__spec__",
    "__path__",
    "ndim",
    "itemsize",
    "data",
]
BASES: Final = [
    "list",
    "dict",
    "str",
    "int",
    "float",
    "tuple",
    "set",
    "bytes",
    "bytearray",
    "Exception",
    "type(sys)",
]

HIDDEN: Final = programs("hostile")
_USE: Final = [
    # No value is shown: the display would call its methods, in stock ipykernel too.
    "held = [*objects]; print(len(objects))",
    "again = h0; h1, h2 = h2, h1; print('used')",
    "def read(): return h0\nread(); objects.append(None)",
    "for _n in range(2): h3 = h4\ndel h5; print('gone')",
    "1/0",
    "print(calls)",
]


def _bind(make: str) -> list[str]:
    return [_HARM, f"objects = [{make} for harm in HARMS]\nh0, h1, h2, h3, h4, h5 = objects", *_USE]


def _unharmed(pair: Pair, cells: list[str]) -> None:
    pair.forget()
    shown = {}
    for kernel in (pair.stock, pair.flow):
        runs = [kernel.run(cell, timeout=BOUND_S) for cell in cells]
        shown[kernel] = [(r.status, r.stdout, r.stderr, r.reply.get("ename")) for r in runs]
        last = runs
    assert shown[pair.flow] == shown[pair.stock]
    assert last[-1].stdout == "[]\n"
    for ran in last:
        assert pair.flow.logs.one("cell", msg_id=ran.msg_id)["seq"] == ran.seq


@promise("hostile.untouched", "hostile.recorded")
@pytest.mark.parametrize("method", METHODS)
def test_a_hostile_method_is_never_called(pair: Pair, method: str) -> None:
    _unharmed(pair, _bind(f"type('H', (), {{{method!r}: harm}})()"))


@promise("hostile.untouched", "hostile.recorded")
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_hostile_property_is_never_read(pair: Pair, name: str) -> None:
    _unharmed(pair, _bind(f"type('H', (), {{{name!r}: property(harm)}})()"))


@promise("hostile.untouched", "hostile.recorded")
@pytest.mark.parametrize("base", BASES)
def test_a_hostile_subclass_of_a_builtin_is_not_taken_for_it(pair: Pair, base: str) -> None:
    methods = [
        "__repr__",
        "__len__",
        "__eq__",
        "__iter__",
        "__getitem__",
        "__str__",
        "__hash__",
        "__reduce_ex__",
        "items",
        "keys",
    ]
    start = "'h'" if base == "type(sys)" else ""
    _unharmed(pair, _bind(f"type('H', ({base},), dict.fromkeys({methods!r}, harm))({start})"))


@promise("hostile.untouched", "hostile.recorded")
@pytest.mark.parametrize(
    "method",
    [
        "__repr__",
        "__eq__",
        "__hash__",
        "__getattribute__",
        "__instancecheck__",
        "__subclasscheck__",
        "__len__",
        "__dir__",
    ],
)
def test_a_hostile_metaclass_is_never_called(pair: Pair, method: str) -> None:
    _unharmed(pair, _bind(f"type('M', (type,), {{{method!r}: harm}})('H', (), {{}})"))


@promise("hostile.untouched", "hostile.recorded")
def test_instances_of_a_class_with_a_hostile_metaclass_are_safe(pair: Pair) -> None:
    meta = "dict.fromkeys(['__repr__', '__eq__', '__getattribute__', '__instancecheck__'], harm)"
    _unharmed(pair, _bind(f"object.__new__(type('M', (type,), {meta})('H', (), {{}}))"))


@promise("hostile.untouched", "hostile.recorded")
def test_hostile_arrays_and_frames_are_safe(pair: Pair) -> None:
    names = "['__repr__', '__len__', '__getitem__', 'columns', 'shape', '__eq__']"
    array = f"np.zeros(3).view(type('A', (np.ndarray,), dict.fromkeys({names}, harm)))"
    frame = f"object.__new__(type('F', (pd.DataFrame,), dict.fromkeys({names}, property(harm))))"
    imports = "import numpy as np, pandas as pd"
    pair.run(imports)  # may take longer than a reply may
    for make in (array, frame):
        cells = _bind(make)
        _unharmed(pair, [f"{cells[0]}\n{imports}", *cells[1:]])


@promise("hostile.untouched", "hostile.recorded")
@pytest.mark.parametrize("name", HIDDEN)
def test_hostile_objects_in_odd_places_are_not_looked_at(pair: Pair, name: str) -> None:
    _unharmed(pair, [_HARM, *HIDDEN[name]])


@promise("hostile.untouched", "hostile.recorded")
def test_hostile_exceptions_are_reported_and_recorded_as_in_stock(pair: Pair) -> None:
    pair.forget()
    cells = [
        "class E(Exception):\n    def __str__(self): raise SystemExit(1)\n    __repr__ = __str__",
        "raise E()",
        "class G(Exception):\n    def __getattribute__(self, n): raise ValueError(n)",
        "raise G()",
        (
            "class M(type):\n"
            "    __name__ = property(lambda c: 1/0)\n"
            "class F(Exception, metaclass=M): pass"
        ),
        "raise F()",
    ]

    stock, flow = pair.run(*cells, timeout=BOUND_S)

    assert [(r.status, r.reply.get("ename")) for r in flow] == [
        (r.status, r.reply.get("ename")) for r in stock
    ]
    assert [pair.flow.logs.one("cell", msg_id=r.msg_id)["success"] for r in flow] == [
        r.status == "ok" for r in stock
    ]


@promise("hostile.recorded")
def test_a_cell_that_hangs_stock_ipykernel_is_on_disk_before_it_runs() -> None:
    with Kernel() as kernel:
        msg_id = kernel.send(
            "import sys; x = 1; sys.modules.clear(); import builtins; builtins.len = None"
        )

        (started,) = kernel.logs.wait("cell_started", msg_id=msg_id)

        assert started["code"].startswith("import sys; x = 1")


@promise("hostile.recorded")
def test_descriptors_and_memory_used_up_by_a_cell_cost_no_record() -> None:
    with Kernel() as kernel:
        kernel.run("import resource, os; print()")
        kernel.run("soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)")
        runs = [
            kernel.run(
                "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\nheld = []\n"
                "try:\n    while True: held.append(os.open('/dev/null', 0))\nexcept OSError: pass"
            ),
            kernel.run("x = 1"),
            kernel.run(
                "for fd in held: os.close(fd)\n"
                "resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))"
            ),
            kernel.run("a = bytearray(10 ** 13)"),
        ]

        assert [r.status for r in runs] == ["ok", "ok", "ok", "error"]
        assert [kernel.logs.one("cell", msg_id=r.msg_id)["seq"] for r in runs] == [
            r.seq for r in runs
        ]
