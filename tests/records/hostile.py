"""Values whose classes answer every question with code of their own: a zoo for tests.

Used by every test that looks at a user's values: `from tests.records.hostile import ZOO, watched`.

    with watched() as touched:
        look_at(ZOO["instance"]())
    assert touched == []

While a zoo is watched, each method of an animal notes its name and raises SystemExit, which no
recorder may swallow unseen; before and after that the animals are tame, so they can be built.
"""

import contextlib
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any, Final

_TOUCHED: Final[list[str]] = []
_WATCHED: Final[list[bool]] = []


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """The list of the hostile methods that run inside the block."""
    _TOUCHED.clear()
    _WATCHED.append(True)
    try:
        yield _TOUCHED
    finally:
        _WATCHED.pop()


def touch(what: str) -> None:
    """Note that user code ran, and end the process if nobody stops that."""
    if _WATCHED:
        _TOUCHED.append(what)
        raise SystemExit(what)


_SPECIAL: Final = [
    "repr",
    "str",
    "bytes",
    "format",
    "len",
    "length_hint",
    "bool",
    "int",
    "float",
    "complex",
    "index",
    "iter",
    "reversed",
    "contains",
    "getitem",
    "setitem",
    "delitem",
    "missing",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "call",
    "enter",
    "exit",
    "await",
    "aiter",
    "anext",
    "sizeof",
    "reduce",
    "reduce_ex",
    "getstate",
    "copy",
    "deepcopy",
    "dir",
    "instancecheck",
    "subclasscheck",
    "fspath",
    "add",
    "radd",
    "mul",
    "rmul",
    "neg",
    "abs",
    "round",
    "trunc",
    "floor",
    "ceil",
    "get",
    "set_name",
    "array",
    "array_interface",
    "array_finalize",
    "dataframe",
    "torch_function",
    "array_ufunc",
    "buffer",
]


def _traps(*, but: tuple[str, ...] = ()) -> dict[str, Any]:
    def trap(name: str) -> Callable[..., Any]:
        def method(*args: object, **kwargs: object) -> Any:
            touch(name)
            return NotImplemented

        return method

    names = {f"__{name}__" for name in _SPECIAL} - set(but)
    return {name: trap(name) for name in sorted(names)}


def _hash(self: object) -> int:
    touch("__hash__")
    return 1


def _getattribute(self: object, name: str) -> Any:
    touch(f"__getattribute__({name})")
    return object.__getattribute__(self, name)


def _getattr(self: object, name: str) -> Any:
    touch(f"__getattr__({name})")
    raise AttributeError(name)


def _property(name: str) -> property:
    def get(self: object) -> Any:
        touch(name)
        return None

    return property(get)


_LIES: Final = {
    "__hash__": _hash,
    "__getattribute__": _getattribute,
    "__getattr__": _getattr,
    "__class__": _property("__class__"),
    "__dict__": _property("__dict__"),
    "shape": _property("shape"),
    "dtype": _property("dtype"),
    "name": _property("name"),
}


def _meta_getattribute(cls: type, name: str) -> Any:
    touch(f"metaclass {name}")
    return type.__getattribute__(cls, name)


def _meta_hash(cls: type) -> int:
    touch("metaclass __hash__")
    return 2


class HostileMeta(type):
    """A metaclass that answers for its classes."""


for _name, _method in {
    **_traps(but=("__set_name__", "__call__")),
    "__getattribute__": _meta_getattribute,
    "__hash__": _meta_hash,
    "mro_entries": _property("mro_entries"),
}.items():
    setattr(HostileMeta, _name, _method)


def _hostile(name: str, *bases: type, **more: Any) -> type:
    """A class in which everything that can be overridden is."""
    return HostileMeta(name, bases, {**_traps(), **_LIES, **more})


Instance: Final = _hostile("Instance")
Base: Final = type("Base", (), {})
Derived: Final = _hostile("Derived", Base)


class HostileText(str):
    """A string that is asked whenever it is compared, hashed or shown."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        touch("text __eq__")
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        touch("text __hash__")
        return str.__hash__(self)

    def __str__(self) -> str:
        touch("text __str__")
        return "text"

    def __repr__(self) -> str:
        touch("text __repr__")
        return "text"

    def __format__(self, spec: str) -> str:
        touch("text __format__")
        return "text"

    def __len__(self) -> int:
        touch("text __len__")
        return 4


class Key:
    """A key whose look-up runs code."""

    def __eq__(self, other: object) -> bool:
        touch("key __eq__")
        return self is other

    def __hash__(self) -> int:
        touch("key __hash__")
        return 3

    def __repr__(self) -> str:
        touch("key __repr__")
        return "key"


class Slotted:
    """Attributes in slots, one of them empty."""

    __slots__ = ("empty", "full")

    def __init__(self) -> None:
        self.full = Instance()

    def __repr__(self) -> str:
        touch("slotted __repr__")
        return ""


def _with_attributes() -> object:
    animal = Derived()
    attributes = Base.__dict__["__dict__"].__get__(animal)
    attributes.update(a=1, b=Instance(), c=[Instance()])
    attributes[HostileText("d")] = HostileText("e")
    return animal


def _named(name: str) -> object:
    kind = type("Plain", (), {"__module__": "elsewhere"})
    kind.__qualname__ = name
    return kind()


def _renamed_by_text() -> object:
    kind = type("Plain", (), {})
    kind.__name__ = HostileText("name")
    kind.__qualname__ = HostileText("name")
    return kind()


def _odd_module() -> object:
    return type("OddModule", (), {"__module__": Instance()})()


def _odd_class_names() -> object:
    names = {HostileText("__module__"): "x", HostileText("__dict__"): None, "a": 1}
    return type("OddNames", (), names)()


def _foreign_dict() -> object:
    return type("Foreign", (), {"__dict__": Base.__dict__["__dict__"]})()


def _nested(depth: int) -> list[object]:
    inside: list[object] = []
    for _ in range(depth):
        inside = [inside]
    return inside


def _inside_itself() -> list[object]:
    found: list[object] = [1]
    found.append(found)
    return found


def _error_with(argument: object) -> Exception:
    return ValueError(argument)


def _generator() -> Iterator[int]:
    yield 1


def _ordered() -> OrderedDict[object, object]:
    return OrderedDict([(Key(), Instance()), (Key(), 2)])


def _released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


def _sized_dict() -> dict[object, object]:
    return {Key(): Instance(), HostileText("k"): [Instance()]}


ZOO: Final[dict[str, Callable[[], object]]] = {
    "instance": Instance,
    "class": lambda: Instance,
    "metaclass": lambda: HostileMeta,
    "instance with attributes": _with_attributes,
    "instance with slots": Slotted,
    "instance with a foreign __dict__": _foreign_dict,
    "class named with a line break": lambda: _named("a\nb\x1b[31m"),
    "class named with a lone surrogate": lambda: _named("a\ud800"),
    "class with a long name": lambda: _named("x" * 100_000),
    "class with a name of another type": _renamed_by_text,
    "class in a module that is no text": _odd_module,
    "class with hostile names": _odd_class_names,
    "subclass of list": _hostile("List", list),
    "subclass of tuple": _hostile("Tuple", tuple),
    "subclass of dict": _hostile("Dict", dict),
    "subclass of set": _hostile("Set", set),
    "subclass of frozenset": _hostile("Frozen", frozenset),
    "subclass of deque": _hostile("Deque", deque),
    "subclass of bytearray": _hostile("Bytes", bytearray),
    "subclass of int": _hostile("Int", int),
    "subclass of float": _hostile("Float", float),
    "subclass of str": lambda: HostileText("text"),
    "subclass of an exception": lambda: _hostile("Error", ValueError)("x"),
    "subclass of a module": lambda: _hostile("Module", type(sys))("m"),
    "exception about an instance": lambda: _error_with(Instance()),
    "exception about a text": lambda: _error_with(HostileText("x")),
    "list of instances": lambda: [Instance(), HostileText("x"), Key()],
    "long list of instances": lambda: [Instance() for _ in range(100)],
    "list of lists": lambda: [[Instance()], {1: Instance()}],
    "tuple of instances": lambda: (Instance(), 1),
    "set of keys": lambda: {Key(), Key()},
    "frozenset of keys": lambda: frozenset([Key()]),
    "dict of instances": _sized_dict,
    "long dict of instances": lambda: {Key(): Instance() for _ in range(100)},
    "OrderedDict of keys": _ordered,
    "defaultdict of keys": lambda: defaultdict(Instance, {Key(): Instance()}),
    "Counter of keys": lambda: Counter([Key(), Key()]),
    "deque of instances": lambda: deque([Instance()] * 5),
    "slice of instances": lambda: slice(Instance(), Instance()),
    "bound method of an instance": lambda: Base.__init__.__get__(Derived()),
    "builtin method of a list": lambda: list.append.__get__(_hostile("List", list)()),
    "lambda": lambda: lambda x: x,
    "generator": _generator,
    "list inside itself": _inside_itself,
    "deep list": lambda: _nested(100_000),
    "released memoryview": _released,
    "huge integer": lambda: 1 << 1_000_000,
    "huge range": lambda: range(1 << 100_000),
    "lone surrogates": lambda: "\ud800\n\x00" * 50,
}
"""What makes each animal; a new one at every call."""
