"""Functions and classes of the session work in another process, which cannot import them."""

from collections.abc import Iterator
from typing import Any

import pytest

from flow_kernel.workers import transfer
from tests.workers.far_side import FarSide, session


@pytest.fixture
def far() -> Iterator[FarSide]:
    with FarSide() as far:
        yield far


def send(far: FarSide, code: str, *names: str) -> transfer.Packed:
    made = session(code)
    packed = far.send({name: made[name] for name in names}, made)
    assert packed.refused == ()
    return packed


def test_functions_bring_globals_defaults_closures_and_themselves(far: FarSide) -> None:
    packed = send(far, """
import math
rate, unused = 2, 'x'
def times(x): return x * rate
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def outer(base, /, a=[1], *, b: int = 3):
    "doc"
    seen = []
    def inner(x, y=math.pi):
        seen.append(x)
        return times(base) + len(seen) + b
    def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
    return inner, deep
inner, deep = outer(10)
inner.tag = 'kept'
double = lambda x: times(x)
""", "fact", "outer", "inner", "deep", "double")  # fmt: skip

    assert packed.along == ("math", "times", "rate")
    told = far.tell("[fact(5), inner(0), inner(0), deep(4), double(4), inner.tag,"
                    "inner.__defaults__, outer.__doc__, outer.__kwdefaults__, outer.__qualname__,"
                    "outer.__module__,"
                    "str(outer.__annotations__['b']), outer(1)[0](0)]")  # fmt: skip
    assert told == [120, 24, 25, 4, 8, "kept", [3.141592653589793], "doc", {"b": 3}, "outer",
                    "__main__", "<class 'int'>", 6]  # fmt: skip


def test_a_function_sees_what_the_other_side_binds(far: FarSide) -> None:
    send(far, "rate = 2\ndef times(x): return x * rate", "times")

    assert far.tell("times(3)", after="rate = 5") == 15


def test_classes_with_inheritance_super_and_every_kind_of_method(far: FarSide) -> None:
    send(far, """
import abc, functools
count = 7
class Base(abc.ABC):
    made = []
    def __init_subclass__(cls, **options): Base.made.append((cls.__name__, options))
    def __init__(self): self.log = [type(self).__name__]
    @abc.abstractmethod
    def must(self): ...
    def hello(self): return 'base'
class Meta(abc.ABCMeta):
    def __call__(cls, *args): return super().__call__(*args)
class Child(Base, metaclass=Meta, colour='red'):
    __slots__ = ('slot',)
    def __init__(self):
        super().__init__()
        self.slot = 5
    def must(self): return __class__ is Child
    def hello(self): return super().hello() + '+child' + str(count)
    @property
    def prop(self): return self.slot
    @prop.setter
    def prop(self, value): self.slot = value
    @classmethod
    def of(cls): return cls
    @staticmethod
    def fixed(): return count
    @functools.cached_property
    def once(self): return len(self.log)
    @functools.lru_cache
    def kept(self): return self
Base.register(int)
child = Child()
hello = child.hello
""", "child", "hello", "Child")  # fmt: skip

    told = far.tell("[type(child) is Child, child.hello(), hello(), child.must(), child.prop,"
                    "Child.of() is Child, Child.fixed(), child.once, child.kept() is child,"
                    "child.log, Child.made, issubclass(int, Child.__mro__[1]), Child().prop]",
                    after="child.prop = 6")  # fmt: skip
    assert told == [True, "base+child7", "base+child7", True, 6, True, 7, 1, True,
                    ["Child"], [["Child", {"colour": "red"}]], True, 5]  # fmt: skip
    with pytest.raises(AssertionError, match="abstract"):
        far.tell("Child.__mro__[1]()")


def test_enumerations_dataclasses_and_tuples_with_names(far: FarSide) -> None:
    packed = send(far, """
import collections, dataclasses, enum, typing
class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1
    BLUE = 'b'
    def shout(self): return self.name + '!'
class Right(enum.IntFlag):
    READ = 1
    WRITE = 2
class Word(str, enum.Enum):
    YES = 'yes'
@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list, compare=False)
Pair = collections.namedtuple('Pair', 'a b', defaults=[2])
class Typed(typing.NamedTuple):
    a: int
    b: str = 'z'
T = typing.TypeVar('T')
class Box(typing.Generic[T]): pass
class Keys(typing.TypedDict): a: int
red, both, yes = Colour.RED, Right.READ | Right.WRITE, Word.YES
point, pair, typed = Point(1), Pair(1), Typed(3)
""", "Colour", "Right", "red", "both", "yes", "point", "pair", "typed", "Point", "Box", "T",
        "Keys")  # fmt: skip

    assert packed.along == ()
    told = far.tell("[red is Colour.RED is Colour.CRIMSON is Colour(1), Colour['BLUE'].shout(),"
                    "[one.name for one in Colour], both == Right(3), Right.READ in both,"
                    "yes == 'yes',"
                    "point < Point(2), point.y is not Point(1).y, dataclasses.asdict(point),"
                    "[f.name for f in dataclasses.fields(Point)], pair._replace(b=9), pair.b,"
                    "type(typed)(4), Box[int].__origin__ is Box, Box.__parameters__[0] is T,"
                    "Keys(a=1), hash(point) == hash(Point(1))]",
                    after="import dataclasses")  # fmt: skip
    assert told == [True, "BLUE!", ["RED", "BLUE"], True, True, True, True, True,
                    {"x": 1, "y": []}, ["x", "y"], [1, 9], 2, [4, "z"], True, True, {"a": 1},
                    True]  # fmt: skip
    with pytest.raises(AssertionError, match="FrozenInstanceError"):
        far.tell("1", after="point.x = 3")


def test_code_comes_back_from_a_worker_into_the_globals_of_the_session(far: FarSide) -> None:
    far.tell("1", after="k = 2\ndef scaled(x): return x * k\nclass Of:\n    def go(s): return k")
    home: dict[str, Any] = {"k": 10}

    shipment = far.shipment("scaled", "Of")
    got = transfer.unpack(shipment, home=home, along=False)

    assert (sorted(got), home) == (["Of", "scaled"], {"k": 10})
    assert (got["scaled"](3), got["Of"]().go()) == (30, 10)
    assert transfer.unpack(shipment, home=home)["k"] == 2


def test_a_global_that_cannot_go_is_named_and_the_function_goes_without(far: FarSide) -> None:
    made = session("import threading\nlock, n = threading.Lock(), 3\ndef f(): return lock\n"
                   "def g(): return n")  # fmt: skip

    packed = far.send({"f": made["f"], "g": made["g"]}, made)

    assert (packed.names, packed.along) == (("f", "g", "n"), ("n",))
    assert [(one.name, one.type) for one in packed.refused] == [("lock", "_thread.lock")]
    assert far.tell("g()") == 3


def test_the_shell_s_own_names_stay_behind(far: FarSide) -> None:
    made = session("In, Out, _, _1, _i2, get_ipython, mine = [], {}, 1, 2, '', print, 4\n"
                   "def f(): return In, Out, _, _1, _i2, get_ipython, mine, __name__")  # fmt: skip

    assert far.send({"f": made["f"]}, made).along == ("mine",)


def test_functions_of_a_namespace_of_their_own_take_what_they_read_with_them(far: FarSide) -> None:
    send(far, """
apart = {'__name__': 'elsewhere', 'k': 5, 'unread': open}
exec('def one(): return k + two()\\ndef two(): return k', apart)
one, two = apart['one'], apart['two']
""", "one", "two")  # fmt: skip

    told = far.tell("[one(), 'k' in globals(), 'unread' in one.__globals__,"
                    "one.__globals__ is two.__globals__]")  # fmt: skip
    assert told == [10, False, False, True]


def test_a_class_that_nobody_can_make_again_is_refused_with_the_reason() -> None:
    made = session("import ctypes, types\nclass Point(ctypes.Structure): _fields_ = []\n"
                   "module = types.ModuleType('by_hand')")  # fmt: skip

    packed = transfer.pack({"Point": made["Point"], "module": made["module"]}, made)

    assert [one.reason for one in packed.refused] == [
        "PicklingError: class Point has the metaclass PyCStructType, which is made by C code",
        "PicklingError: no import finds the module by_hand",
    ]
