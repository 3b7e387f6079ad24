"""The names that a code object reads and binds, against `dis` and against running it."""

import ast
import dis
import inspect
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records import bytecode
from flow_kernel.records.bytecode import CodeNames

PROGRAMS = [
    "x = 1",
    "x = y = z",
    "x += 1",
    "(x, *y), z = f(a)",
    "import os, sys as s\nfrom math import pi as p",
    "def f(a, b=c):\n    global g\n    g = a + h\n    return lambda: g2",
    "class C(Base):\n    attr = other\n    def m(self):\n        return glob",
    "[i for i in xs if i in ys]",
    "print((n := 10))",
    "for k in range(3):\n    total = total + k",
    "with open(p) as fh:\n    text = fh.read()",
    "try:\n    pass\nexcept ValueError as e:\n    err = e",
    "del gone",
    "match v:\n    case {'a': got, **rest}:\n        pass",
    "async def co():\n    await thing",
    "\n".join(f"v{i} = w{i}" for i in range(300)),
]


def by_dis(code: CodeType) -> tuple[set[str], set[str]]:
    """What `dis` says, the slow and sure way."""
    loads, stores = set(), set()
    todo = [(code, True)]
    while todo:
        this, is_top = todo.pop()
        for step in dis.get_instructions(this):
            if step.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
                loads.add(step.argval)
            elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
                is_top and step.opname in ("STORE_NAME", "DELETE_NAME")
            ):
                stores.add(step.argval)
        todo += [(c, False) for c in this.co_consts if isinstance(c, CodeType)]
    return loads, stores


def names_of(source: str) -> CodeNames:
    """All names of a cell, compiled statement by statement as IPython does."""
    names = CodeNames()
    for node in ast.parse(source).body:
        names.add(compile(ast.Module([node], []), "<cell>", "exec"))
    return names


@pytest.mark.parametrize("source", PROGRAMS)
def test_the_names_are_those_that_dis_finds(source: str) -> None:
    names = CodeNames()
    code = compile(source, "<cell>", "exec")
    names.add(code)
    assert (names.loads, names.stores) == by_dis(code)


def test_the_names_of_large_library_modules_are_those_that_dis_finds() -> None:
    for module in (ast, dis, inspect):
        code = compile(inspect.getsource(module), module.__name__, "exec")
        names = CodeNames()
        names.add(code)
        assert (names.loads, names.stores) == by_dis(code)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PROGRAMS), min_size=1, max_size=8))
def test_any_mixture_of_statements_is_read_as_dis_reads_it(parts: list[str]) -> None:
    code = compile("\n".join(parts), "<cell>", "exec")
    names = CodeNames()
    names.add(code)
    assert (names.loads, names.stores) == by_dis(code)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("exec('q = q + 1.0')", {"q"}),
        ("for k in ['q']:\n    globals()[k] = 1", {"q"}),
        ("exec('a = 1\\nif a: b += 2')", {"a", "b"}),
        ("print('q = 1')", set()),
    ],
)
def test_what_exec_and_globals_bind_is_found_in_the_texts(source: str, expected: set[str]) -> None:
    assert names_of(source).dynamic_stores() & {"q", "a", "b"} == expected


def test_functions_are_followed_to_the_names_they_use() -> None:
    namespace: dict[str, object] = {"box": [], "other": 1}
    exec("def put():\n    helper()\ndef helper():\n    box.append(1)", namespace)
    assert {"put", "helper", "box"} <= bytecode.reachable({"put"}, namespace)
    assert "other" not in bytecode.reachable({"put"}, namespace)
