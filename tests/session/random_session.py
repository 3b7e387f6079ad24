"""Sessions of a notebook made at random: containers, arrays, frames, classes, functions, views."""

import collections
import functools
import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from tests.session.saved_values import run

CLASSES: Final = """
import abc, dataclasses, enum, typing
class Plain: shared = []
class Slots:
    __slots__ = ("one", "two")
class Child(Plain):
    def method(self): return super()
@dataclasses.dataclass
class Data:
    one: object = None
    two: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    one: object = None
class Color(enum.Enum):
    RED = 1
    BLUE = "b"
class Bits(enum.Flag):
    A = 1
    B = 2
class Pair(typing.NamedTuple):
    one: object
    two: object = 2
class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self): ...
class Concrete(Abstract):
    def method(self): return 1
class Passing:
    def __init__(self, inside): self._inside = inside
    def __getattr__(self, name): return getattr(self._inside, name)
class Doubling(dict):
    def __setitem__(self, key, value): super().__setitem__(key, [value, value])
class Failure(Exception):
    def __init__(self, code, *, why): super().__init__(why); self.code = code
def closure(first, second=None):
    count = first
    def get(extra=second): return count, extra
    def put(value):
        nonlocal count
        count = value
    return get, put
def plain(one=1, *, two=2): return one, two
"""
"""What each of these sessions has run."""


def session(seed: int) -> dict[str, Any]:
    """The namespace after a notebook that did things at random."""
    dice = random.Random(seed)
    space = run(CLASSES)
    pool: list[Any] = [[], {}, np.arange(24.0).reshape(4, 6), bytearray(b"x" * 16)]
    pool.append(pd.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.5, 2.5], "z": ["a", "b", "c"]}))
    makers = _makers(dice, space, pool)
    for _ in range(dice.randrange(4, 30)):
        made = dice.choice(makers)()
        pool.append(made)
    for value in pool:
        if dice.random() < 0.3:
            _tie(dice, value, pool)
    if dice.random() < 0.3:
        space["Plain"].shared.append(dice.choice(pool))
    for name in list(space):
        if name in CLASSES and dice.random() < 0.6:
            del space[name]  # what is left of them is in the values
    space.update({f"v{n}": dice.choice(pool) for n in range(dice.randrange(1, 9))})
    return space


def _tie(dice: random.Random, value: Any, pool: list[Any]) -> None:
    """Make cycles."""
    other = dice.choice(pool)
    if type(value) in (list, collections.deque):
        value.append(other)
    elif type(value) in (dict, collections.OrderedDict):
        value[f"k{len(value)}"] = other
    elif type(value).__name__ in ("Plain", "Child", "Data"):
        value.one = other
    elif type(value).__name__ == "Slots":
        value.two = other
    elif isinstance(value, Exception):
        value.note = other  # type: ignore[attr-defined]  # exceptions have a dict
    elif callable(value) and getattr(value, "__name__", "") == "put":
        value(other)


def _makers(dice: random.Random, space: dict[str, Any], pool: list[Any]) -> list[Callable[[], Any]]:
    kinds = {name: value for name, value in space.items() if isinstance(value, type)}

    def one() -> Any:
        return dice.choice(pool)

    def some() -> list[Any]:
        return [one() for _ in range(dice.randrange(4))]

    def of(kind: type) -> Any:
        return dice.choice([value for value in pool if isinstance(value, kind)])

    def slots() -> Any:
        made = kinds["Slots"]()
        made.one = one()
        return made

    def failure() -> Any:
        made = kinds["Failure"](3, why=dice.choice(["no", 7]))
        made.__cause__ = dice.choice([None, ValueError("first")])
        return made

    def doubling() -> Any:
        made = kinds["Doubling"]()
        made["k"] = one()
        return made

    def masked() -> Any:
        base = of(np.ndarray)
        return np.ma.masked_array(base, mask=False) if base.dtype == float else base

    return [
        some,
        lambda: tuple(some()),
        lambda: {f"k{n}": value for n, value in enumerate(some())},
        lambda: {dice.randrange(5) for _ in range(3)},
        lambda: collections.deque(some(), 9),
        lambda: collections.OrderedDict((f"k{n}", value) for n, value in enumerate(some())),
        lambda: collections.defaultdict(list, a=one()),
        lambda: of(np.ndarray)[dice.randrange(2) :: dice.choice([1, 2, -1])],
        lambda: of(np.ndarray).T,
        lambda: np.array([dice.random() for _ in range(5)]),
        lambda: _object_array(some()),
        lambda: _object_array([dice.choice(["a", "bc", None]) for _ in range(80)]),
        lambda: np.frombuffer(of(bytearray), "u1")[dice.randrange(4) :],
        masked,
        lambda: memoryview(of(bytearray)),
        lambda: of(pd.DataFrame)[:],
        lambda: of(pd.DataFrame)["x"],
        lambda: np.asarray(of(pd.DataFrame)["y"]),
        lambda: of(pd.DataFrame).copy(deep=dice.random() < 0.5),
        lambda: dice.choice(["text", b"bytes", 7, 2.5, None, True, 3 + 4j, len, np, "x" * 99]),
        lambda: np.random.default_rng(dice.randrange(9)),
        *(lambda kind=kinds[name]: kind() for name in ("Plain", "Child", "Data", "Concrete")),
        lambda: kinds["Data"](one(), some()),
        lambda: kinds["Frozen"](one()),
        lambda: kinds["Pair"](one()),
        lambda: kinds["Passing"](one()),
        lambda: dice.choice([*kinds["Color"], kinds["Bits"].A | kinds["Bits"].B]),
        lambda: dice.choice(list(kinds.values())),
        slots,
        failure,
        doubling,
        lambda: dice.choice(space["closure"](one(), one())),
        lambda: list(space["closure"](one())),
        lambda: space["plain"],
        lambda: functools.partial(space["plain"], one(), two=one()),
        lambda: kinds["Concrete"]().method,
        lambda: {}.keys() if dice.random() < 0.5 else of(dict).keys(),
    ]


def _object_array(values: list[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    for n, value in enumerate(values):
        made[n] = value
    return made
