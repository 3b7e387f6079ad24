"""What comes back is what was there, or it is refused with a reason: no look-alikes."""

import gc
from pathlib import Path

import pytest

from tests.session.saved_values import run, saved_and_loaded

EXACT = {
    "an array on a bytearray": (
        "import numpy as np\nb = bytearray(16); a = np.frombuffer(b, 'u1'); c = a[4:]; b[5] = 7",
        "(b.__setitem__(4, 9), a[4], c[1], a.flags.writeable)",
    ),
    "an array on bytes": (
        "import numpy as np\nb = bytes(range(16)); a = np.frombuffer(b, '<u2')",
        "(a.tolist(), a.flags.writeable)",
    ),
    "an array on an array.array": (
        "import numpy as np, array\nr = array.array('d', [1, 2, 3]); a = np.asarray(r)[1:]",
        "(r.__setitem__(1, 9.0), a.tolist(), r)",
    ),
    "a masked array on an array": (
        "import numpy as np\nX = np.arange(4.); m = np.ma.array(X, mask=[0, 1, 0, 0]); v = m[1:]",
        "(X.__setitem__(2, 9), m.tolist(), v.tolist(), m.mask.tolist(), np.shares_memory(X, m),"
        " m.fill_value, type(v).__name__)",
    ),
    "a matrix and its view": (
        "import numpy as np\nm = np.asmatrix([[1, 2], [3, 4]]); v = m[0]; t = np.asarray(m)",
        "(m.__setitem__((0, 0), 9), v.tolist(), t.tolist(), type(v).__name__)",
    ),
    "a record array": (
        "import numpy as np\n"
        "r = np.recarray((2,), dtype=[('a', 'i4'), ('b', 'f8')]); r.a = 1; r.b = 2\n"
        "v = r.b; w = r[1:]",
        "(r.__setitem__(1, (5, 6)), v.tolist(), w.tolist(), type(w).__name__, r[0].a)",
    ),
    "a class of arrays": (
        "import numpy as np\nclass U(np.ndarray):\n"
        "    def __array_finalize__(self, o): self.unit = getattr(o, 'unit', 'm')\n"
        "X = np.arange(3.); u = X.view(U); u.unit = 's'; w = u[1:]; z = np.zeros(2).view(U).copy()",
        "(u.unit, w.unit, type(w) is U, X.__setitem__(1, 7), u.tolist(), w.tolist(),"
        " z.base is None)",
    ),
    "a row of a structured array": (
        "import numpy as np\ns = np.zeros(3, [('a', 'i4'), ('b', 'f8')]); row = s[1]",
        "(row.__setitem__('a', 5), s.tolist(), row.tolist(), type(row).__name__)",
    ),
    "a row of a structured array with dates": (
        "import numpy as np\ns = np.zeros(3, [('a', 'i4'), ('b', 'M8[ns]')]); row = s[1]",
        "(row.__setitem__('a', 5), s.tolist(), row.tolist(), type(row).__name__)",
    ),
    "types of arrays": (
        "import numpy as np\na = np.ones(3); d = a.dtype; b = a.astype('>i4'); s = np.float32(1)\n"
        "m = np.dtype('i4', metadata={'a': 1}); t = np.dtype('M8[s]')",
        "(a.dtype is np.dtype(float), d is a.dtype, b.dtype, s.dtype is np.dtype('f4'),"
        " m.metadata, t)",
    ),
    "text in arrays": (
        "import numpy as np\n"
        "t = ['héé', '', 'x' * 70, '\\udc80', 'ab'] * 40; o = np.array(t, object)\n"
        "o[3] = None; o[5] = np.nan; z = np.append(o, ['a\\0b', '']); e = z[:70]; F ="
        " np.asfortranarray(o.reshape(2, 100)); v = F[1]",
        "(o.tolist() == F.reshape(-1).tolist(), o[3], o[5] is np.nan, F.flags.f_contiguous, v[0],"
        " [ascii(x) for x in o[:9]], np.shares_memory(v, F), [ascii(x) for x in z],"
        " ascii(e.tolist()))",
    ),
    "text of its own class in arrays": (
        "import numpy as np\no = np.array([np.str_('a')] * 99 + ['b'], object)",
        "(type(o[0]).__name__, type(o[99]).__name__)",
    ),
    "generators of random numbers": (
        "import random, numpy as np\nr = random.Random(3); r.gauss(0, 1); f = r.random\n"
        "g = np.random.default_rng(5); h = np.random.Generator(g.bit_generator); s ="
        " np.random.RandomState(1)\n"
        "child = g.spawn(1)[0]",
        "(r.gauss(0, 1), f(), r.random(), g.random(), h.random(), g.random(), s.rand(),"
        " child.random(), g.spawn(1)[0].random(), f.__self__ is r)",
    ),
    "functions of the session's random numbers": (
        "import random, numpy as np\n"
        "f = random.random; s = random.shuffle; n = np.random.rand; m ="
        " np.random.mtrand._rand",
        "(f.__self__ is random._inst, s.__self__ is random._inst, n.__self__ is"
        " np.random.mtrand._rand,"
        " m is np.random.mtrand._rand)",
    ),
    "a window on a dict": (
        "import types\n"
        "d = {1: [2]}; p = types.MappingProxyType(d); k = d.keys(); v = d.values(); i ="
        " d.items()",
        "(d.__setitem__(3, 4), dict(p), list(k), list(v), list(i), type(k).__name__, p[1] is d[1])",
    ),
    "the attributes of a class": (
        "class C:\n    x = 1\np = vars(C)\nimport fractions; q = vars(fractions.Fraction)",
        "(setattr(C, 'y', 2), p['y'], p['x'], 'numerator' in q, type(p).__name__)",
    ),
    "windows on memory": (
        "import array\n"
        "b = bytearray(8); m = memoryview(b); r = m.toreadonly(); c = m.cast('I'); d ="
        " m.cast('B', (2, 4))\n"
        "e = memoryview(b'xy')",
        "(b.__setitem__(0, 7), m[0], r[0], c[0], d[0, 0], r.readonly, c.shape, c.format,"
        " d.shape, bytes(e))",
    ),
    "weak references to classes": (
        "import weakref\nclass C: pass\n"
        "r = weakref.ref(C); i = weakref.ref(int); s = weakref.WeakSet([int, C])\n"
        "k = weakref.WeakKeyDictionary({C: [1]})\ngone = weakref.ref(type('G', (), {})()); ",
        "(r() is C, i(), len(s), C in s, k[C], gone())",
    ),
    "methods that are hidden": (
        "class A:\n    def f(self): return 'old'\n"
        "a = A(); m = a.f; own = A(); own.f = lambda: 'mine'; n = A.f.__get__(own)\n"
        "A.f = lambda self: 'new'\nc = A.mro; s = [1].append; a.cb = a.f",
        "(m(), a.f(), own.f(), n(), m.__self__ is a, a.cb(), a.cb.__self__ is a)",
    ),
    "methods of C code": (
        "l = []; add = l.append; d = {}; get = d.get; up = str.upper; new = tuple.__new__;"
        " j = ','.join; w = l.__len__",
        "(add(1), l, d.__setitem__(1, 2), get(1), up('a'), new(tuple, [1]), j('ab'), w())",
    ),
    "partial functions": (
        "import functools, operator\nL = []\ndef f(*a, **k): return a, k\n"
        "p = functools.partial(f, L, x=L); p.note = 1\n"
        "g = operator.itemgetter(1, 2); a = operator.attrgetter('real'); m ="
        " functools.partialmethod(f, 1)",
        "(p(2), p.args[0] is L, p.keywords['x'] is L, p.func is f, p.note, g('abc'), a(3), m.args)",
    ),
    "iterators that have begun": (
        "import itertools\n"
        "L = [1, 2, 3]; i = iter(L); next(i); t = iter((1, 2)); next(t); r = reversed(L);"
        " next(r)\n"
        "n = iter(range(5)); next(n); e = enumerate(i); z = zip(L, L); next(z); s ="
        " iter('abc'); next(s)\n"
        "m = map(str, L); next(m); f = filter(None, L); next(f); b ="
        " iter(bytearray(b'ab')); next(b)",
        "(L.append(4), list(e), list(i), list(t), list(r), list(n), list(z), list(s),"
        " list(m), list(f), list(b))",
    ),
    "iterators of itertools": (
        "import itertools as t\n"
        "c = t.count(3, 2); next(c); y = t.cycle('ab'); next(y); h = t.chain([1], [2]);"
        " next(h)\n"
        "p = t.permutations('abc', 2); next(p); a, b = t.tee(iter([1, 2, 3])); next(a); r"
        " = t.repeat(1, 3); next(r)",
        "(next(c), [next(y) for _ in range(3)], list(h), list(p)[:2], list(a), list(b), list(r))",
    ),
    "collections": (
        "import collections as c\n"
        "q = c.deque([1, 2], 5); o = c.OrderedDict(b=1, a=2); o.move_to_end('b'); n ="
        " c.Counter('aab')\n"
        "d = c.defaultdict(list); d['x'].append(q); m = c.ChainMap({1: 2}, d); u ="
        " c.UserDict(a=1); s = c.UserList([d])",
        "(q, q.maxlen, o, n, d['x'][0] is q, d.default_factory, m.maps[1] is d, u, s[0] is"
        " d, n.total())",
    ),
    "small classes of the library": (
        "import decimal, datetime as t, fractions, re, pathlib, uuid, zoneinfo, array,"
        " ipaddress, string, types\n"
        "c = decimal.Context(prec=5, traps=[decimal.Inexact]); x = decimal.Decimal('NaN');"
        " y = decimal.Decimal('1.10')\n"
        "w = t.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'), fold=1); dl"
        " = t.timedelta(1, 2, 3)\n"
        "fr = fractions.Fraction(1, 3); r = re.compile('a(?P<n>b)', re.I); p ="
        " pathlib.Path('/a/b'); u = uuid.UUID(int=5)\n"
        "ar = array.array('i', [1, 2]); ip = ipaddress.ip_network('10.0.0.0/8'); te ="
        " string.Template('$a')\n"
        "sl = slice(1, None, 2); co = 1 + 2j; fz = frozenset([1]); el = ...; ni ="
        " NotImplemented; g = list[int]; un = int | str",
        "(c, x, y, w, w.fold, dl, fr, r, r.flags, p, u, ar, ip, te.template, sl, co, fz,"
        " el, ni, g, un)",
    ),
    "files that are memory": (
        "import io\nb = io.BytesIO(b'abc'); b.read(1); s = io.StringIO('xyz'); s.read(2)",
        "(b.read(), s.read(), b.getvalue(), s.getvalue())",
    ),
    "types without a name": (
        "f = type(lambda: 0); g = type(i for i in ()); n = type(None); e = type(...); m ="
        " type(len); c = type(f.__code__)\n"
        "code = (lambda x: x + 1).__code__",
        "(f, g, n, e, m, c, eval(code.replace(co_flags=code.co_flags), {}) if 0 else"
        " code.co_varnames)",
    ),
    "objects that are only themselves": (
        "NONE = object()\ndef f(x=NONE): return x is NONE\nbox = [NONE]\n"
        "import dataclasses; M = dataclasses.MISSING\n"
        "import inspect, unittest.mock; E = inspect.Parameter.empty; s ="
        " unittest.mock.sentinel.thing\n"
        "import functools; cached = functools._NOT_FOUND if hasattr(functools,"
        " '_NOT_FOUND') else None",
        "(f(), box[0] is NONE, M is dataclasses.MISSING, E is inspect.Parameter.empty,"
        " s is unittest.mock.sentinel.thing, cached is getattr(functools, '_NOT_FOUND', None))",
    ),
    "functions that exec made": (
        "ns = {'k': 1}\nexec('def f(): return k', ns)\nf = ns['f']",
        "(f(), ns.__setitem__('k', 5), f(), f.__globals__ is ns)",
    ),
    "functions of a library that are decorated": (
        "import contextlib, functools\nfrom tests.session.library import open_thing, Thing\n"
        "t = Thing().method",
        "(open_thing.__name__, t(), open_thing is"
        " __import__('tests.session.library').session.library.open_thing)",
    ),
    "functions that a library makes": (
        "import operator, contextlib\n@contextlib.contextmanager\ndef around():\n"
        "    yield 1\nwith around() as v: pass",
        "(around.__wrapped__.__name__, v)",
    ),
    "errors": (
        "class E(ValueError): pass\ne = E('a', 1); e.__context__ = KeyError('k'); e.x = [1]\n"
        "o = OSError(2, 'no', 'file'); s = StopIteration(3); u ="
        " UnicodeDecodeError('utf-8', b'a', 0, 1, 'r'); i = ImportError('m', name='n')\n"
        "g = ExceptionGroup('g', [e, o]); k = KeyError('x'); x = SystemExit(3); a ="
        " AttributeError('t')",
        "(e.args, repr(e.__context__), e.x, o.errno, o.filename, s.value, u.start, i.name,"
        " g.exceptions[0] is e, x.code)",
    ),
    "figures": (
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt\n"
        "fig, ax = plt.subplots()\n"
        "[line] = ax.plot([1, 2], [3, 4]); plt.close(fig); import numpy as np",
        "(fig.axes[0] is ax, ax.lines[0] is line, line.get_xydata().tolist(), ax.figure is fig)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy support:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_it_is_what_it_was(name: str) -> None:
    source, look = EXACT[name]
    before = run(source)
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    assert repr(eval(look, after)) == repr(eval(look, before))


def test_the_attributes_of_a_class_that_is_frozen_are_found_as_well() -> None:
    before = run("import fractions; q = vars(fractions.Fraction)")
    gc.freeze()
    try:
        after, saved = saved_and_loaded(before)
    finally:
        gc.unfreeze()
    assert saved.not_saved == []
    assert "numerator" in after["q"]


REFUSED = {
    "traceback": "try: 1 / 0\nexcept Exception as e: traceback = e",
    "weak": "import weakref\nclass C: pass\nc = C(); weak = weakref.ref(c)",
    "weak_values": (
        "import weakref\nclass C: pass\n"
        "c = C(); weak_values = weakref.WeakValueDictionary(a=c)"
    ),
    "mapped": (
        "import numpy as np; mapped = np.memmap('file', 'u1', 'w+', shape=4)"
    ),
    "view_of_mapped": (
        "import numpy as np\n"
        "view_of_mapped = np.asarray(np.memmap('file', 'u1', 'w+', shape=4))[1:]"
    ),
    "number_of_c": "import ctypes; number_of_c = ctypes.c_int(5)",
    "text_of_c": "import ctypes; text_of_c = ctypes.create_string_buffer(5)",
    "keys": "d = {1: 2}; keys = iter(d); next(keys)",
    "reversed_items": "d = {1: 2}; reversed_items = reversed(d.items())",
    "members": "members = iter({1, 2})",
    "event": "import threading; event = threading.Event()",
    "queue": "import asyncio; queue = asyncio.Queue()",
    "lock": "import asyncio; lock = asyncio.Lock()",
    "loop": "import asyncio; loop = asyncio.new_event_loop()",
    "context_variable": "import contextvars; context_variable = contextvars.ContextVar('x')",
    "context": "import contextvars; context = contextvars.copy_context()",
    "local": "import threading; local = threading.local()",
    "pool": "import concurrent.futures as c; pool = c.ThreadPoolExecutor()",
    "process": "import subprocess; process = subprocess.Popen('true'); process.wait()",
    "finalizer": "import weakref\nclass C: pass\nc = C(); finalizer = weakref.finalize(c, dict)",
    "folder": "import tempfile; folder = tempfile.TemporaryDirectory(); folder.cleanup()",
    "module": "import types; module = types.ModuleType('made_up')",
    "match": "import re; match = re.match('a', 'a')",
    "part": "part = memoryview(bytearray(8))[2:4]",
    "frame": "import sys; frame = sys._getframe()",
    "flat": "import numpy as np; flat = np.arange(3).flat",
    "hidden": "class L(list):\n    def append(self, x): pass\nl = L(); hidden = super(L, l).append",
    "archive": "import zipfile, io; archive = zipfile.ZipFile('file', 'w')",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_would_only_look_alike_is_refused_with_a_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = run(REFUSED[name])
    _, saved = saved_and_loaded(before)
    [left] = [left for left in saved.not_saved if left.name == name]
    assert " " in left.reason
    if hasattr(before[name], "close"):
        before[name].close()
