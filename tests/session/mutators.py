"""Ways to change a variable, for the oracle of `test_checkpoint_reach_oracle`.

A mutator is what ran before, and the cell that changes something. Those of `mutators/*.txt`
are written out; others are the operations of `mutators_values`, multiplied by the ways in which a
cell can get at a value.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.session.mutators_values import OPERATIONS


@dataclass(frozen=True, slots=True)
class Mutator:
    """One case.

    Attributes:
        name: Says what it does.
        setup: Cells before the save.
        cells: Change at least one variable, without binding its name.
        undo: Cleans up what outlives the variables.
        is_quick: One of those that show each operation once, and each way with a plain and a large
            value; the others are combinations of both.
    """

    name: str
    setup: tuple[str, ...]
    cells: tuple[str, ...]
    undo: str = ""
    is_quick: bool = True


COMMON = ("by its name", "by another name", "inside a list", "in a function", "as an argument")
WAYS = {
    # Way: what the setup adds, and the cell; OP is the operation on the value that X stands for.
    "by its name": ("", "x", "OP"),
    "by another name": ("y = x", "y", "OP"),
    "inside a list": ("h = [0, x]", "h[1]", "OP"),
    "inside a dict in a list": ("h = [{'k': x}]", "h[0]['k']", "OP"),
    "in a function": ("def f():\n    global x\n    OP", "x", "f()"),
    "as an argument": ("def f(v):\n    OP", "v", "f(x)"),
    "as an argument of a lambda's caller": (
        "def f(v):\n    OP\n    return 0",
        "v",
        "(lambda q: f(q))(x)",
    ),
    "as a default": ("def f(v=x):\n    OP", "v", "f()"),
    "as a keyword-only default": ("def f(*, v=x):\n    OP", "v", "f()"),
    "in a closure": (
        "def make(v):\n    def f():\n        nonlocal v\n        OP\n    return f\nf = make(x)",
        "v",
        "f()",
    ),
    "two functions down": ("def g(v):\n    OP\ndef f():\n    g(x)", "v", "f()"),
    "in a table of functions": ("def g(v):\n    OP\ntable = {'g': [g]}", "v", "table['g'][0](x)"),
    "as an attribute of a function": ("def f():\n    OP\nf.v = x", "f.v", "f()"),
    "as an attribute of an instance": (
        "class A: pass\na = A(); a.v = x",
        "a.v",
        "OP",
    ),
    "as an attribute of a class": ("class A: v = x", "A.v", "OP"),
    "in a method": ("class A:\n    def m(self, v):\n        OP\na = A()", "v", "a.m(x)"),
    "in a property": (
        "class A:\n    @property\n    def p(self):\n        v = x\n        OP\na = A()",
        "v",
        "a.p",
    ),
    "in an operator": (
        "class A:\n    def __add__(self, v):\n        OP\n        return 0\na = A()",
        "v",
        "z = a + x",
    ),
    "in a loop": ("", "q", "for q in [x]:\n    OP"),
    "in a with": (
        "import contextlib\n@contextlib.contextmanager\ndef c():\n    yield x",
        "q",
        "with c() as q:\n    OP",
    ),
    "in a generator": ("def g():\n    v = x\n    OP\n    yield 1\ni = g()", "v", "next(i)"),
    "in a running generator": (
        "def g(v):\n    yield 1\n    OP\n    yield 2\ni = g(x); n = next(i)",
        "v",
        "next(i)",
    ),
    "by a partial": (
        "import functools\ndef g(v):\n    OP\nf = functools.partial(g, x)",
        "v",
        "f()",
    ),
    "by a lazy map": ("def g(v):\n    OP\n    return 1\nm = map(g, [x])", "v", "list(m)"),
    "by a sort key": ("def g(k):\n    v = x\n    OP\n    return k", "v", "sorted([2, 1], key=g)"),
    "by a class of this cell": (
        "",
        "v",
        "class B:\n    def m(self, v):\n        OP\nB().m(x)",
    ),
    "by a class body": ("", "x", "class B:\n    OP"),
    "by a decorator": ("def d(f):\n    v = x\n    OP\n    return f", "v", "@d\ndef h(): pass"),
    "by exec": ("", "x", "exec('''OP''')"),
    "by globals": ("", "globals()['x']", "OP"),
    "by vars of main": ("import sys", "vars(sys.modules['__main__'])['x']", "OP"),
    "by a frame": ("import sys", "sys._getframe().f_globals['x']", "OP"),
    "by the namespace of a function": ("def f(): pass", "f.__globals__['x']", "OP"),
    "by the namespace in a variable": ("g = globals()", "g['x']", "OP"),
    "by the namespace in a dict": ("g = {'g': globals()}", "g['g']['x']", "OP"),
    "by get_ipython": ("", "get_ipython().user_ns['x']", "OP"),
    "by the history": ("x", "_", "OP"),
    "by Out": ("x", "list(Out.values())[-1]", "OP"),
    "in a thread": (
        "import threading\ndef f():\n    OP",
        "x",
        "t = threading.Thread(target=f); t.start(); t.join()",
    ),
    "in a task": ("import asyncio\nasync def f():\n    OP", "x", "await f()"),
    "by a magic": ("", "x", "%time OP"),
    "by run_cell": ("", "x", "get_ipython().run_cell('''OP''')"),
    "by an exception": (
        "def f():\n    e = ValueError(); e.v = x\n    raise e",
        "e.v",
        "try:\n    f()\nexcept ValueError as e:\n    OP",
    ),
    "by a gc look-up": (
        "import gc\nx_id = id(x)",
        "[o for o in gc.get_objects() if id(o) == x_id][0]",
        "q = 0\nOP",
    ),
    "by a weak reference": (
        "import weakref, numpy as np\ns = np.ones(2).view(np.ndarray); k = [x]\n"
        "class A: pass\na = A(); a.v = x; r = weakref.ref(a)",
        "r().v",
        "OP",
    ),
    "by ctypes": (
        "import ctypes\nx_id = id(x)",
        "ctypes.cast(x_id, ctypes.py_object).value",
        "OP",
    ),
}
ALL_WAYS_OF = ("list append", "array item", "frame loc", "dict item")
QUICK_IN_ALL_WAYS = ("list append", "frame loc")


def _mutator(operation: str, way: str, *, is_quick: bool) -> Mutator | None:
    init, op = OPERATIONS[operation]
    added, value, cell = WAYS[way]
    if "\n" in op:
        return None
    if _binds(operation) and not value.isidentifier():
        return None
    done = re.sub(r"\bx\b", lambda _: value, op)
    return Mutator(
        name=f"{operation} {way}",
        setup=(init, added.replace("OP", done)) if added else (init,),
        cells=(cell.replace("OP", done),),
        is_quick=is_quick,
    )


def _binds(operation: str) -> bool:
    """Whether it needs a name, and not just a value."""
    _, op = OPERATIONS[operation]
    return bool(re.match(r"x\s*([-+*/|&^@]|//|\*\*|<<)=", op)) or "del x" in op


def multiplied() -> list[Mutator]:
    """Each operation in two of the common ways, one of them quick, and, for some, in all ways."""
    found: list[Mutator | None] = []
    for number, operation in enumerate(OPERATIONS):
        common = (COMMON[0], COMMON[1 + number % (len(COMMON) - 1)])
        # By its name where the operation binds one: most others cannot.
        quick = {COMMON[0] if _binds(operation) else common[min(number % 3, 1)]}
        ways = set(common)
        if operation in ALL_WAYS_OF:
            ways = set(WAYS)
        if operation in QUICK_IN_ALL_WAYS:
            quick = ways
        found += [_mutator(operation, way, is_quick=way in quick) for way in sorted(ways)]
    return [one for one in found if one is not None]


def written() -> list[Mutator]:
    """Those that are written out, in the files of `mutators/`."""
    files = sorted((Path(__file__).parent / "mutators").glob("*.txt"))
    return [
        _parsed(part)
        for file in files
        for part in file.read_text(encoding="utf-8").split("\n=== ")[1:]
    ]


def _parsed(part: str) -> Mutator:
    """`NAME`, then the setup, then `--- changes`, cells and perhaps `--- undo`."""
    name, _, text = part.partition("\n")
    setup, *changes = text.split("\n--- changes\n")
    last, _, undo = changes[-1].partition("\n--- undo\n")
    return Mutator(
        name=name,
        setup=tuple(setup.split("\n--- next\n")),
        cells=(*changes[:-1], last.rstrip("\n")),
        undo=undo.strip(),
    )
