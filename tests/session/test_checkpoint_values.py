"""Variables come back as they were, sharing what they shared."""

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.saving import save
from tests.session.saved_values import assert_same, loaded, run, saved_and_loaded, works_as_before

CELLS = {
    "a list in two variables": "a = [1]; b = {'a': a}",
    "a list in itself": "a = [1]; a.append(a)",
    "a cycle through two variables": "a = []; b = [a]; a.append(b)",
    "a tuple in a cycle": "a = []; t = (a,); a.append(t)",
    "a dict key that is shared": "k = (1, 2); d = {k: [k]}",
    "sets": "s = {1, (2, 3)}; f = frozenset(s); t = s",
    "bytearray twice": "b = bytearray(b'xyz'); c = [b]",
    "a view": "import numpy as np; X = np.arange(12.).reshape(3, 4); v = X[::2, 1:]",
    "a view of a view": "import numpy as np; X = np.arange(12.); v = X[2:]; w = v[::3]; del X",
    "a view backwards": "import numpy as np; X = np.arange(5); v = X[::-1]",
    "a transposed matrix": "import numpy as np; X = np.ones((3, 4)); t = X.T",
    "Fortran order": "import numpy as np; X = np.asfortranarray(np.ones((3, 4)))",
    "read-only": "import numpy as np; X = np.ones(3); X.flags.writeable = False; v = X[1:]",
    "a read-only view": "import numpy as np; X = np.ones(3); v = X[1:]; v.flags.writeable = False",
    "strides of its own": (
        "import numpy as np; X = np.arange(6.); w ="
        " np.lib.stride_tricks.sliding_window_view(X, 3)\n"
        "o = np.array([[1], {}, 2], dtype=object); s = np.lib.stride_tricks.as_strided(o,"
        " (2,), (16,))"
    ),
    "broadcast": "import numpy as np; b = np.broadcast_to(np.arange(3), (4, 3))",
    "no elements": "import numpy as np; e = np.empty((0, 3)); z = np.array(5.)",
    "objects": "import numpy as np; o = np.array([[1], {}], dtype=object); v = o[1:]",
    "another type of a view": "import numpy as np; X = np.arange(4.); v = X.view('u1')",
    "structured": (
        "import numpy as np; X = np.zeros(3, dtype=[('a', 'i4'), ('b', 'f8')]); v = X['b']"
    ),
    "big endian, text and time": (
        "import numpy as np; a = np.arange(3, dtype='>i4'); s = np.array(['x', 'yz'])\n"
        "t = np.array(['2020-01-01'], dtype='M8[D]'); b = np.array([b'x'])"
    ),
    "a generator of random numbers": "import numpy as np; r = np.random.default_rng(1); r.random()",
    "a recursive function": "def f(n): return 1 if n < 2 else n * f(n - 1)",
    "a closure that two functions share": (
        "def make():\n    n = []\n    def add(x): n.append(x)\n    def get(): return n\n"
        "    return add, get\nadd, get = make(); add(1)"
    ),
    "a closure that calls itself": (
        "def make():\n    def r(n): return 0 if n == 0 else 1 + r(n - 1)\n    return r\nr = make()"
    ),
    "a cell that is not bound": (
        "def make():\n    def f(): return x\n    return f\n    x = 1\nf = make()"
    ),
    "a default argument": "L = []\ndef f(x, into=L, *, more=L): into.append(x)",
    "attributes of a function": "def f(): pass\nf.calls = [1]; c = f.calls",
    "modules": "import json, os.path as p",
    "a class of a library": "from fractions import Fraction; f = Fraction(1, 3); F = Fraction",
    "simple namespaces": "from types import SimpleNamespace as S; a = S(x=[1]); b = S(y=a.x)",
}


@pytest.mark.parametrize("name", CELLS)
def test_what_is_shared_stays_shared(name: str) -> None:
    before = run(CELLS[name])
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    assert_same(before, after)
    again, _ = saved_and_loaded(after)
    assert_same(before, again)


def test_functions_belong_to_the_namespace_that_loads_them() -> None:
    before = run("n = 1\ndef f(): return n\ng = globals()")
    after, _ = saved_and_loaded(before)
    after["n"] = 5
    assert after["f"]() == 5
    assert after["g"] is after


def test_two_functions_go_on_sharing_a_variable() -> None:
    source = (
        "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n"
        "    def get(): return n\n    return up, get\nup, get = make(); up()"
    )
    before = run(source)
    after, _ = saved_and_loaded(before)
    after["up"]()
    assert (after["get"](), before["get"]()) == (2, 1)


UNSAVEABLE = {
    "g": "g = (i for i in range(3))",
    "f": "import tempfile; f = tempfile.TemporaryFile('w+')",
    "lock": "import threading; lock = threading.Lock()",
    "thread": "import threading; thread = threading.current_thread()",
    "db": "import sqlite3; db = sqlite3.connect(':memory:')",
    "sock": "import socket; sock = socket.socket()",
    "inside": "inside = [1, (i for i in range(3))]",
    "raises": "class C:\n    def __reduce__(self): raise KeyError('no')\nraises = C()",
}


@pytest.mark.parametrize("name", UNSAVEABLE)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_cannot_be_saved_is_named_with_a_reason_and_the_rest_is_saved(name: str) -> None:
    before = run(f"before = [1]\n{UNSAVEABLE[name]}\nafter = [2]")
    fresh, saved = saved_and_loaded(before)
    [left] = [left for left in saved.not_saved if left.name == name]
    assert left.reason
    assert (fresh["before"], fresh["after"]) == ([1], [2])
    for value in before.values():
        if name in ("f", "db", "sock", "g") and value is before[name]:
            value.close()


CLASSES = {
    "an instance": ("class P:\n    n = [1]\np = P(); q = [p]", "(type(p) is P, p is q[0], P.n)"),
    "super": (
        "class A:\n    def f(self): return 'A'\n"
        "class B(A):\n    def f(self): return 'B' + super().f()\nb = B()",
        "(b.f(), isinstance(b, A), B.__mro__[1] is A)",
    ),
    "kinds of methods": (
        "import functools\nclass C:\n    def __init__(self): self._x = 1\n"
        "    @property\n    def x(self): return self._x\n"
        "    @x.setter\n    def x(self, v): self._x = v\n"
        "    @staticmethod\n    def s(): return 's'\n"
        "    @classmethod\n    def c(cls): return cls.__name__\n"
        "    @functools.cached_property\n    def once(self): return [1]\nc = C(); c.x = 4",
        "(c.x, c.s(), C.c(), c.once is c.once)",
    ),
    "slots": ("class S:\n    __slots__ = ('a', 'b')\ns = S(); s.a = 1", "(s.a, hasattr(s, 'b'))"),
    "a dataclass": (
        "from dataclasses import dataclass, field, replace, asdict\n"
        "@dataclass(order=True)\nclass D:\n    x: int\n    y: list = field(default_factory=list)\n"
        "d = D(1, [2])",
        "(d == D(1, [2]), D(3) > d, D(5).y, asdict(replace(d, x=9)), repr(d))",
    ),
    "a frozen dataclass with slots": (
        "from dataclasses import dataclass, fields\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\nclass F:\n    x: int = 3\nf = F()",
        "(hash(f) == hash(F(x=3)), [field.name for field in fields(f)])",
    ),
    "an abstract class": (
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\n"
        "class B(A):\n    def f(self): return 1\nb = B()",
        "(b.f(), sorted(A.__abstractmethods__), isinstance(b, A))",
    ),
    "a class in a class": (
        "class O:\n    class I: pass\ni = O.I()",
        "(type(i) is O.I, O.I.__qualname__)",
    ),
    "a class that knows itself": (
        "class T: pass\nT.me = T; T.all = [T()]",
        "(T.me is T, type(T.all[0]) is T)",
    ),
    "a child of a library's class": (
        "class L(list):\n    def twice(self): return self + self\nl = L([1]); l.name = 'x'",
        "(l.twice(), l.name, type(l) is L)",
    ),
    "an exception": ("class E(ValueError):\n    pass\ne = E('no', 1)", "(e.args, type(e) is E)"),
    "a type variable": (
        "from typing import Generic, TypeVar\nT = TypeVar('T', bound=int, covariant=True)\n"
        "class G(Generic[T]): pass\ng = G()",
        "(G.__parameters__ == (T,), T.__bound__, T.__covariant__, repr(G[int]), type(g) is G)",
    ),
    "a cached function": (
        "import functools\n@functools.lru_cache(maxsize=3)\ndef f(x): return [x]",
        "(f(1) is f(1), f.cache_parameters(), f.__name__)",
    ),
    "operators": (
        "class V:\n    def __init__(self, x): self.x = x\n"
        "    def __add__(self, o): return V(self.x + o.x)\n"
        "    def __eq__(self, o): return self.x == o.x\n"
        "    def __hash__(self): return self.x\nv = V(1)",
        "((v + v).x, v == V(1), {v: 2}[V(1)])",
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_the_notebook_work_as_before(name: str) -> None:
    source, look = CLASSES[name]
    after = works_as_before(source, look)
    assert repr(eval(look, after)) == repr(eval(look, run(source)))


def test_a_class_that_was_changed_since_comes_back_without_the_change() -> None:
    before = run("class P:\n    def f(self): return 1\np = P()")
    names = {name: value for name, value in before.items() if not name.startswith("__")}
    anchors = anchors_of(before, {})
    saved = save(names, anchors)
    before["P"].f = lambda self: 2
    fresh = loaded(saved, anchors, {"__name__": "__main__"})
    assert (fresh["p"].f(), before["p"].f()) == (1, 2)


def test_equal_functions_are_saved_as_equal_bytes() -> None:
    source = (
        "def f(x, *, y=(1, 'two', 3.5)): return [x, y, {'a': 'two'}]\n"
        "class C:\n    def g(self): return 'two'"
    )
    first, second = (saved_and_loaded(run(source))[1] for _ in range(2))
    assert [group.stream for group in first.groups] == [group.stream for group in second.groups]


class TestPandas:
    """Frames share memory until one is written to, before and after."""

    def namespace(self) -> dict[str, Any]:
        df = pd.DataFrame({"x": range(5), "y": list("abcde"), "z": [0.5] * 5})
        return {
            "df": df,
            "part": df[:],
            "series": df["x"],
            "shallow": df.copy(deep=False),
            "array": df["z"].to_numpy(),
            "index": pd.Index(df["x"]),
            "other": pd.DataFrame({"q": [1, 2]}),
        }

    def test_frames_that_share_memory_are_one_group_and_others_are_not(self) -> None:
        before = self.namespace()
        _, saved = saved_and_loaded(before)
        assert sorted(group.names for group in saved.groups) == [
            ("array", "df", "index", "part", "series", "shallow"),
            ("other",),
        ]

    @pytest.mark.parametrize("writer", ["df", "part", "series", "shallow"])
    def test_writing_to_one_changes_what_it_changed_before(self, writer: str) -> None:
        before = self.namespace()
        after, _ = saved_and_loaded(before)
        for space in (before, after):
            target = space[writer]
            if writer == "series":
                target.iloc[0] = 99
            else:
                target.loc[0, "x"] = 99
                target.loc[0, "z"] = 7.0
        for name in ("df", "part", "shallow"):
            pd.testing.assert_frame_equal(before[name], after[name])
        pd.testing.assert_series_equal(before["series"], after["series"])
        pd.testing.assert_index_equal(before["index"], after["index"])
        np.testing.assert_array_equal(before["array"], after["array"])

    def test_a_view_of_a_column_is_a_view_of_it_afterwards(self) -> None:
        after, _ = saved_and_loaded(self.namespace())
        assert np.shares_memory(after["df"]["z"].to_numpy(), after["array"])
        assert np.shares_memory(after["df"]["x"].to_numpy(), after["series"].to_numpy())

    @pytest.mark.parametrize(
        "value",
        [
            pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
            pd.Categorical(list("aab")),
            pd.Series(pd.date_range("2020", periods=3, tz="Europe/Berlin"), name="t"),
            pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
            pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]),
            pd.DataFrame(),
            pd.Series([[1], {}], dtype=object),
            pd.period_range("2020", periods=2, freq="M"),
            pd.DataFrame({"a": [1]}, index=pd.IntervalIndex.from_breaks([0, 1])),
        ],
        ids=range(9),
    )
    def test_kinds_of_columns(self, value: Any) -> None:
        after, saved = saved_and_loaded({"v": value})
        assert saved.not_saved == []
        assert type(after["v"]) is type(value)
        assert repr(after["v"]) == repr(value)


def graph(seed: int) -> dict[str, Any]:
    """A namespace of containers and arrays that refer to one another at random."""
    dice = random.Random(seed)
    pool: list[Any] = [[], {}, np.arange(24.0).reshape(4, 6), bytearray(b"x")]
    for _ in range(dice.randrange(4, 30)):
        pool.append(_value(dice, pool))
    for value in pool:  # cycles
        if type(value) is list and dice.random() < 0.3:
            value.append(dice.choice(pool))
        elif type(value) is dict and dice.random() < 0.3:
            value[f"k{len(value)}"] = dice.choice(pool)
    return {f"v{n}": dice.choice(pool) for n in range(dice.randrange(1, 9))}


def _value(dice: random.Random, pool: list[Any]) -> Any:
    some = [dice.choice(pool) for _ in range(dice.randrange(0, 4))]
    arrays = [value for value in pool if isinstance(value, np.ndarray)]
    base = dice.choice(arrays)
    made = [
        lambda: list(some),
        lambda: tuple(some),
        lambda: {f"k{n}": value for n, value in enumerate(some)},
        lambda: {dice.randrange(5) for _ in range(3)},
        lambda: base[dice.randrange(2) :: dice.choice([1, 2, -1])],
        lambda: base.T,
        lambda: np.array([dice.random() for _ in range(5)]),
        lambda: _object_array(some),
        lambda: dice.choice(["text", b"bytes", 7, 2.5, None, True, 3 + 4j]),
    ]
    return dice.choice(made)()


def _object_array(values: list[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    for n, value in enumerate(values):
        made[n] = value
    return made


@given(st.integers(0, 10**9))
@settings(max_examples=300, deadline=None)
def test_any_graph_comes_back_with_the_same_shape(seed: int) -> None:
    before = graph(seed)
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    assert_same(before, after)
