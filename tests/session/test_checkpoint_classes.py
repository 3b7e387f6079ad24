"""Classes of the notebook come back by value, whatever made them, with all that they know."""

import pytest

from tests.session.saved_values import run, saved_and_loaded

CLASSES = {
    "an enumeration": (
        "import enum\nclass C(enum.Enum):\n    A = 1\n    B = [2]\n    ALSO = 1\n"
        "    def f(self): return self.name\na = C.A; b = C.B; all = [C.A, C.B]",
        "(a is C.A, b is all[1], C(1) is C.A, C['B'] is b, list(C), C.ALSO is a, b.f(), b.value,"
        " a in C, hash(a) == hash('A'), C.__members__, type(a) is C)",
    ),
    "an enumeration of numbers": (
        "import enum\nclass N(enum.IntEnum):\n    ONE = enum.auto()\n    TWO = enum.auto()\n"
        "n = N.TWO",
        "(n + 1, n is N.TWO, N(2) is n, sorted(N), [N.ONE, 2] == [1, n], isinstance(n, int))",
    ),
    "flags": (
        "import enum\nclass F(enum.Flag):\n    R = 1\n    W = 2\n    RW = R | W\n"
        "f = F.R | F.W; z = F(0)",
        "(f is F.RW, F.R in f, ~F.R is F.W, z is F(0), list(F), f.value, F.R | F.W is f)",
    ),
    "flags of numbers": (
        "import enum\nclass F(enum.IntFlag):\n    A = 1\n    B = 4\nf = F.A | F.B; g = F(12)",
        "(f is F(5), int(f), f & F.A is F.A, g, repr(g), F(12) is g)",
    ),
    "an enumeration of text": (
        "import enum\nclass S(enum.StrEnum):\n    LOW = enum.auto()\ns = S.LOW",
        "(s == 'low', s is S('low'), f'{s}', isinstance(s, str))",
    ),
    "an enumeration with its own attributes": (
        "import enum\nclass P(enum.Enum):\n    EARTH = (5.97, 6.37)\n"
        "    def __init__(self, mass, radius):\n        self.mass = mass; self.radius = radius\n"
        "    @property\n    def ratio(self): return self.mass / self.radius\np = P.EARTH",
        "(p.mass, p.ratio, p is P.EARTH, P((5.97, 6.37)) is p)",
    ),
    "an enumeration that makes its members": (
        "import enum\nclass M(bytes, enum.Enum):\n"
        "    def __new__(cls, value, label):\n        made = bytes.__new__(cls, [value])\n"
        "        made._value_ = value; made.label = label; return made\n"
        "    ONE = (1, 'one')\n    @classmethod\n"
        "    def _missing_(cls, value): return cls.ONE\nm = M.ONE",
        "(m == b'\\x01', m.label, M(1) is m, M(99) is m)",
    ),
    "an enumeration in a class": (
        "import enum\nclass O:\n    class I(enum.Enum):\n        X = 1\n"
        "o = O.I.X; d = {O.I.X: [1]}",
        "(o is O.I.X, d[O.I.X], O.I.__qualname__, repr(o))",
    ),
    "an enumeration made by a call": (
        "import enum\nT = enum.Enum('T', 'P Q')\nt = T.Q",
        "(t is T['Q'], T(1) is T.P, list(T), T.__module__)",
    ),
    "a named tuple": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: list = []\n"
        "    def norm(self): return self.x\np = P(1); q = [p]",
        "(p == (1, []), p.x, p._replace(x=2), p._asdict(), P._fields, p.norm(), type(p) is P,"
        " P.x.__doc__, P._field_defaults, P(7).y is p.y, repr(p), P._make([1, 2]), p is q[0])",
    ),
    "a named tuple made by a call": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b', defaults=[3])\n"
        "class Q(P):\n    def f(self): return self.a\np = P(1); q = Q(1, 2)",
        "(p, p.b, P.__new__.__defaults__, q.f(), q._replace(a=5), type(q._replace(a=5)) is Q,"
        " isinstance(q, P), P.__match_args__, p.__getnewargs__())",
    ),
    "a typed dict": (
        "from typing import TypedDict\nclass D(TypedDict, total=False):\n"
        "    a: int\n    b: str\n"
        "class E(D):\n    c: list\nd: D = {'a': 1}",
        "(D(a=1) == d, sorted(E.__optional_keys__), sorted(E.__required_keys__), D.__total__,"
        " E.__annotations__, type(D(a=1)) is dict, type(E).__name__, E.__bases__)",
    ),
    "a protocol": (
        "from typing import Protocol, runtime_checkable\n@runtime_checkable\nclass S(Protocol):\n"
        "    def size(self) -> int: ...\nclass A:\n    def size(self): return 1\nclass B: pass\n"
        "class C(S):\n    def size(self): return 2\na = A(); c = C()",
        "(isinstance(a, S), isinstance(B(), S), issubclass(A, S), c.size(), isinstance(c, S),"
        " S._is_protocol, C._is_protocol, type(S).__name__)",
    ),
    "a metaclass of the notebook": (
        "class M(type):\n    made = []\n    def __new__(m, name, bases, ns, **kw):\n"
        "        c = super().__new__(m, name, bases, ns); c.extra = kw;"
        " m.made.append(name); return c\n"
        "    def __init__(c, *a, **kw): c.seen = 1\n"
        "    def __call__(c, *a): return ('called', super().__call__(*a))\n"
        "    def __len__(c): return 3\n"
        "    def __setattr__(c, n, v): super().__setattr__(n, v if n[0] == '_' else"
        " ('set', v))\n"
        "class A(metaclass=M, deep=True): pass\na = A()",
        "(M.made, A.extra, A.seen, len(A), a[0], type(a[1]) is A, type(A) is M)",
    ),
    "declared subclasses": (
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\n"
        "class B: pass\nA.register(B); A.register(int)\nb = B()",
        "(isinstance(b, A), issubclass(int, A), issubclass(str, A), sorted(A.__abstractmethods__))",
    ),
    "a base that counts its subclasses": (
        "class Base:\n    known = {}\n    def __init_subclass__(cls, *, key, **kw):\n"
        "        super().__init_subclass__(**kw); Base.known[key] = cls\n"
        "class A(Base, key='a'): pass\nclass B(A, key='b'): pass\nb = B()",
        "(list(Base.known), Base.known['b'] is B, Base.known['a'] is A, "
        " Base.__init_subclass__.__name__)",
    ),
    "a descriptor": (
        "class Field:\n"
        "    def __set_name__(self, owner, name): self.name = name; self.count ="
        " getattr(self, 'count', 0) + 1\n"
        "    def __get__(self, one, owner): return self if one is None else"
        " one.__dict__.get(self.name, 'none')\n"
        "    def __set__(self, one, value): one.__dict__[self.name] = ('set', value)\n"
        "class R:\n    x = Field()\nr = R(); r.x = 1; s = R()",
        "(r.x, s.x, R.x.name, R.x.count)",
    ),
    "names that are passed on": (
        "class W:\n    def __init__(self, inside): self._inside = inside\n"
        "    def __getattr__(self, name): return getattr(self._inside, name)\n"
        "w = W([1, 2]); x = w._inside",
        "(w.count(1), w._inside is x)",
    ),
    "instances that cannot be changed": (
        "class F:\n    __slots__ = ('a', '_b')\n    def __init__(self, a):\n"
        "        object.__setattr__(self, 'a', a)\n"
        "    def __setattr__(self, n, v): raise AttributeError('frozen')\nf = F([1])",
        "(f.a, hasattr(f, '_b'))",
    ),
    "a dict that changes what is put in": (
        "class D(dict):\n    def __setitem__(self, k, v): super().__setitem__(k, ('put', v))\n"
        "d = D(); d['a'] = 1; d.note = 'n'",
        "(d, d.note, type(d) is D)",
    ),
    "a list that counts": (
        "class L(list):\n    n = 0\n    def append(self, v): L.n += 1; super().append(v)\n"
        "    def extend(self, v): raise ValueError\nl = L(); l.append(1); l.append(2)",
        "(l, L.n)",
    ),
    "a set with other arguments": (
        "class S(set):\n    def __init__(self, name): super().__init__(); self.name = name\n"
        "s = S('n'); s.add(1)",
        "(s, s.name, type(s) is S)",
    ),
    "a default dict with other arguments": (
        "from collections import defaultdict\nclass D(defaultdict):\n"
        "    def __init__(self): super().__init__(list)\nd = D(); d['a'].append(1)",
        "(dict(d), d['new'], type(d) is D)",
    ),
    "an exception with other arguments": (
        "class E(Exception):\n    def __init__(self, code, *, why):\n"
        "        super().__init__(f'{code}: {why}'); self.code = code\n"
        "e = E(3, why='no'); e.__cause__ = ValueError('first'); e.add_note('here')",
        "(e.args, e.code, str(e), repr(e.__cause__), e.__notes__, e.__suppress_context__)",
    ),
    "slots with names of the class": (
        "class S:\n    __slots__ = ['__x', 'y', '__dict__']\n"
        "    def __init__(self): self.__x = 1; self.y = 2; self.z = 3\n"
        "    def get(self): return self.__x\ns = S()",
        "(s.get(), s.y, s.z, S.__slots__)",
    ),
    "words of typing": (
        "from typing import NewType, ParamSpec, TypeVar, Generic, Callable\nU = NewType('U', int)\n"
        "P = ParamSpec('P')\nT = TypeVar('T')\nclass G(Generic[T]):\n    x: T\nA = G[int]\n"
        "u = U(3)",
        "(U(3), U.__name__, U.__supertype__, U.__module__, P.__name__, repr(P), repr(A),"
        " A.__origin__ is G, T.__module__)",
    ),
    "a singledispatch function": (
        "import functools\nclass K: pass\n@functools.singledispatch\ndef f(x): return 'any'\n"
        "@f.register\ndef _(x: int): return 'int'\n@f.register(K)\ndef _(x): return 'K'\n"
        "class M:\n    @functools.singledispatchmethod\n    def g(self, x): return 'any'\n"
        "    @g.register\n    def _(self, x: str): return 'str'\nf(1); k = K(); f(k); m = M()",
        "(f(1), f(k), f('x'), sorted(map(str, f.registry)), m.g(1), m.g('x'))",
    ),
    "a class that a library made": (
        "import dataclasses\nfrom collections import namedtuple\n"
        "C = dataclasses.make_dataclass('C', ['a', ('b', int, 2)])\n"
        "c = C(1)",
        "(c, C(1) == c, C.__module__, dataclasses.asdict(c))",
    ),
    "attributes of a cached function": (
        "import functools\n@functools.lru_cache\ndef f(x): return [x]\nf.mine = 1",
        "(f(2), f.mine, f.cache_info(), f.__wrapped__(3))",
    ),
    "a class decorated by another": (
        "import functools\ndef deco(cls):\n    class W(cls):\n"
        "        def f(self): return 'W' + super().f()\n    return W\n"
        "@deco\nclass A:\n    def f(self): return 'A'\n@functools.total_ordering\nclass T:\n"
        "    def __init__(self, n): self.n = n\n    def __eq__(self, o): return self.n == o.n\n"
        "    def __lt__(self, o): return self.n < o.n\na = A(); t = T(1)",
        "(a.f(), T(2) >= t, A.__name__)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_the_notebook_works_as_before(name: str) -> None:
    source, look = CLASSES[name]
    before = run(source)
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    again, saved_again = saved_and_loaded(after)
    assert saved_again.not_saved == []
    assert repr(eval(look, after)) == repr(eval(look, before))
    assert repr(eval(look, again)) == repr(eval(look, run(source)))


# An attribute's name that is a value as well is one object at first. Python makes it two when the
# attribute comes back, and pickle writes both.
WRITTEN_TWICE = {"a named tuple made by a call", "a descriptor", "a class that a library made"}


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - WRITTEN_TWICE))
def test_a_class_that_came_back_is_saved_as_the_same_bytes(name: str) -> None:
    source, _ = CLASSES[name]
    after, saved = saved_and_loaded(run(source))
    _, again = saved_and_loaded(after)
    assert [group.stream for group in again.groups] == [group.stream for group in saved.groups]


REFUSED = {
    "structure": (
        "import ctypes\nclass S(ctypes.Structure): _fields_ = [('a', ctypes.c_int)]\n"
        "structure = S"
    ),
    "wants": (
        "import tests.session.strict_base as b\nclass A(b.Strict, key=1): pass\nwants = A()"
    ),
    "named": "class C:\n    def __reduce__(self): return 'named'\nnamed = C()",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_class_that_cannot_be_made_again_is_refused_with_the_reason(name: str) -> None:
    _, saved = saved_and_loaded(run(REFUSED[name]))
    [left] = [left for left in saved.not_saved if left.name == name]
    assert "class" in left.reason
