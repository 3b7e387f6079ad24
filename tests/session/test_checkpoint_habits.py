"""Classes of the notebook with habits of their own come back as they were, and so do instances."""

import gc
import weakref

import pytest

from tests.session.saved_values import run, saved_and_loaded, works_as_before

HABITS = {
    "a class that counts its instances": (
        "class C:\n    n=0\n    def __new__(cls,*a):\n        C.n+=1\n"
        "        return super().__new__(cls)\nc=C(); d=C()",
        "(C.n, type(d) is C)",
    ),
    "a class with one instance": (
        "class S:\n    _i=None\n    def __new__(cls):\n"
        "        if cls._i is None: cls._i=super().__new__(cls)\n        return cls._i\n"
        "s=S(); t=[S()]",
        "(s is t[0], S() is s)",
    ),
    "a metaclass that keeps instances": (
        "class M(type):\n    _i={}\n    def __call__(cls,*a):\n"
        "        if cls not in M._i: M._i[cls]=super().__call__(*a)\n"
        "        return M._i[cls]\nclass S(metaclass=M): pass\ns=S()",
        "(S() is s, M._i[S] is s)",
    ),
    "a tuple with other arguments": (
        "class T(tuple):\n    def __new__(cls,a,b): return super().__new__(cls,(a,b))\nt=T(1,2)",
        "(t,type(t) is T)",
    ),
    "a number with other arguments": (
        "class I(int):\n    def __new__(cls,v,unit): \n"
        "        x=super().__new__(cls,v); x.unit=unit; return x\ni=I(3,'m')",
        "(i+1,i.unit,type(i) is I)",
    ),
    "a text with its own equality": (
        "class K(str):\n    def __hash__(self): return hash(self.lower())\n"
        "    def __eq__(self,o): return self.lower()==o.lower()\nd={K('A'):1}",
        "(d[K('a')])",
    ),
    "a key that is the owner": (
        "class N:\n    def __init__(s): s.d={s:1}\nn=N()",
        "(n.d[n])",
    ),
    "an exception with slots": (
        "class E(Exception):\n    __slots__=('a',)\ne=E(1); e.a=[2]",
        "(e.a,e.args)",
    ),
    "an instance of a generic class": (
        "from typing import Generic,TypeVar\nT=TypeVar('T')\nclass Box(Generic[T]):\n"
        "    def __init__(s,v): s.v=v\nb=Box[int](3)",
        "(b.v,b.__orig_class__, type(b) is Box)",
    ),
    "a dataclass with more to its making": (
        "from dataclasses import *\n@dataclass\nclass D:\n    a: int\n    b: InitVar[int]=3\n"
        "    c: list=field(init=False,default_factory=list)\n"
        "    def __post_init__(self,b): self.b2=b\nd=D(1)",
        "(d,d.b2,D(2,5).b2,[f.name for f in fields(d)])",
    ),
    "a dataclass of a dataclass": (
        "from dataclasses import *\n@dataclass(kw_only=True)\nclass A:\n    a:int=1\n"
        "@dataclass(slots=True)\nclass B(A):\n    b:int=2\nb=B(b=3)",
        "(b,B(b=1,a=2)==B(b=1,a=2))",
    ),
    "an enumeration of dataclasses": (
        "from dataclasses import *\nimport enum\n@dataclass(frozen=True)\nclass P:\n"
        "    x:int\nclass E(P,enum.Enum):\n    A=1\n    B=2\ne=E.A",
        "(e.x,e is E.A,E.B.x)",
    ),
    "an enumeration of dates": (
        "import enum,datetime\nclass D(datetime.date,enum.Enum):\n    A=2020,1,1\nd=D.A",
        "(d.year)",
    ),
    "texts of properties": (
        "class C:\n    @property\n    def x(self): 'doc'; return 1\n"
        "    y=property(lambda s:2,doc='mine')\nc=C()",
        "(C.x.__doc__,C.y.__doc__,c.x,c.y)",
    ),
    "partial methods": (
        "import functools\nclass C:\n    def f(s,a,b): return a,b\n"
        "    g=functools.partialmethod(f,1)\n    @functools.cached_property\n"
        "    def p(s): return [1]\nc=C(); c.p",
        "(c.g(2), c.p is c.p)",
    ),
    "a class of a closure": (
        "def o():\n    a=1\n    class K:\n        def g(s): return a, K\n    return K\n"
        "K=o(); k=K()",
        "(k.g()[1] is K, k.g()[0], type(k) is K)",
    ),
    "a class of a class of a closure": (
        "def mk(base):\n    class K(base):\n        def g(s): return super().g()+1\n"
        "    return K\nclass B:\n    def g(s): return 1\nK=mk(B); K2=mk(K); k=K2()",
        "(k.g(), K2.__mro__[1] is K)",
    ),
    "rows of a frame": (
        "import pandas as pd\nrows=list(pd.DataFrame({'a':[1,2]}).itertuples()); one=rows[0]",
        "(one.a, one is rows[0], repr(one))",
    ),
    "a class of frames": (
        "import pandas as pd\nclass F(pd.DataFrame):\n    _metadata=['unit']\n    @property\n"
        "    def _constructor(self): return F\nf=F({'a':[1]}); f.unit='m'",
        "(f.unit,type(f) is F,type(f[['a']]) is F, f[['a']].unit)",
    ),
    "a class that copyreg knows": (
        "import copyreg\nclass C:\n    def __init__(s,v): s.v=v\n"
        "def red(c): return C,(c.v,)\ncopyreg.pickle(C,red)\nc=C(3)",
        "(c.v)",
    ),
    "a class that leaves a lock out": (
        "class C:\n    def __init__(s): s.a=1; s.lock=__import__('threading').Lock()\n"
        "    def __getstate__(s): return {'a':s.a}\n"
        "    def __setstate__(s,st): s.__dict__.update(st); s.lock=None\nc=C()",
        "(c.a)",
    ),
    "arrays in themselves": (
        "import numpy as np\no=np.empty(2,object); o[0]=o; o[1]=[o]",
        "(o[0] is o, o[1][0] is o)",
    ),
    "a hook for subclasses": (
        "import abc\nclass A(abc.ABC):\n    @classmethod\n"
        "    def __subclasshook__(cls, o): return hasattr(o,'zz')\nclass B: zz=1\nb=B()",
        "(isinstance(b,A),isinstance(1,A))",
    ),
    "dice with other arguments": (
        "import random\nclass R(random.Random):\n"
        "    def __init__(s,tag): super().__init__(3); s.tag=tag\nr=R('t'); r.random()",
        "(r.random(),r.tag)",
    ),
    "an error of the system with other arguments": (
        "class O(OSError):\n"
        "    def __init__(s,code,*,extra): super().__init__(code,'x'); s.extra=extra\n"
        "o=O(2,extra=[1])",
        "(o.errno,o.extra,o.args,str(o))",
    ),
    "a decimal with attributes": (
        "import decimal\nclass D(decimal.Decimal): pass\nd=D('1.5'); d.unit='m'",
        "(d,d.unit)",
    ),
    "a queue with other arguments": (
        "from collections import deque\nclass O(deque):\n"
        "    def __init__(s,n): super().__init__([1,2],5); s.n=n\no=O(1); o.append(o)",
        "(o.n,o.maxlen,o[2] is o)",
    ),
    "a counter with other arguments": (
        "from collections import Counter\nclass O(Counter):\n"
        "    def __init__(s,n): super().__init__('ab'); s.n=n\no=O(1)",
        "(o,o.n)",
    ),
    "an iterator of its own": (
        "class It:\n    def __init__(s): s.n=0\n    def __iter__(s): return s\n"
        "    def __next__(s): s.n+=1; return s.n\ni=It(); next(i); z=zip(i,i)",
        "(next(z),i.n)",
    ),
    "a list of two classes": (
        "L=[]\nclass A: l=L\nclass B: l=L",
        "(A.l is B.l is L)",
    ),
    "two generators on one source": (
        "import numpy as np\n"
        "b=np.random.PCG64(1); g=np.random.Generator(b); h=np.random.Generator(b)",
        "(g.bit_generator is b, h.bit_generator is b, g.random(), h.random())",
    ),
    "a group of errors": (
        "class G(ExceptionGroup):\n    def derive(s,e): return G(s.message,e)\n"
        "g=G('m',[ValueError(1)])",
        "(g.message,g.exceptions,type(g) is G)",
    ),
    "slots with texts": (
        "class A: __slots__={'x':'doc'}\na=A(); a.x=1",
        "(a.x,A.x.__doc__)",
    ),
    "a date with attributes": (
        "import datetime\nclass D(datetime.date):\n    def __new__(cls, year):\n"
        "        return super().__new__(cls, year, 1, 1)\n"
        "d = D(2020); d.note = [1]",
        "(d, d.note, type(d) is D)",
    ),
    "a named tuple with other arguments": (
        "from collections import namedtuple\nclass P(namedtuple('P', 'x y')):\n"
        "    def __new__(cls, x):\n"
        "        return super().__new__(cls, x, 2 * x)\np = P(3)",
        "(p, type(p) is P, p._replace(y=1) if 0 else p.y)",
    ),
}


@pytest.mark.parametrize("name", HABITS)
def test_it_works_as_before(name: str) -> None:
    works_as_before(*HABITS[name])


def test_members_of_a_set_that_need_attributes_which_come_later_are_refused() -> None:
    source = (
        "class N:\n    def __init__(self, x): self.x = x; self.peers = set()\n"
        "    def __hash__(self): return hash(self.x)\n"
        "    def __eq__(self, o): return self.x == o.x\n"
        "a = N(1); b = N(2); a.peers.add(b); b.peers.add(a); other = N(3)"
    )
    _, saved = saved_and_loaded(run(source))
    assert [left.name for left in saved.not_saved] == ["a", "b"]
    assert "could not be loaded again" in saved.not_saved[0].reason


def test_a_class_that_learns_a_habit_is_looked_at_again_and_nobody_keeps_it() -> None:
    before = run("class C: pass\nc = C(); c.x = 1")
    saved_and_loaded(before)
    before["C"].__getattr__ = lambda self, name: getattr(self._inside, name)
    after, saved = saved_and_loaded(before)
    assert (saved.not_saved, after["c"].x) == ([], 1)
    alive = weakref.ref(before["C"])
    del saved, after
    before.clear()
    gc.collect()
    assert alive() is None
