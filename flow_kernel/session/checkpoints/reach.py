"""Which variables a cell could have changed (pure).

Called by `reach_tracker` after each cell.

    inputs of the cell = what its globals held when they were read
    all of known types, or functions whose code is read too
        ⇒ only known code ran, and it could change only what it was given: the names that were read;
          nothing at all, when all of it is code that only looks (`reach_reads`)
    anything else
        ⇒ everything

What a cell makes of known things is known as well, so that the next cell can be judged. A value is
looked at after the cell; for a name that the cell binds this is not the value that it read, so the
state that was kept for the name decides, unless the cell itself has bound it before.
"""

import builtins
import sys
from collections.abc import Collection, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints import reach_libraries as libraries
from flow_kernel.session.checkpoints.reach_code import Reading, read, strangeness
from flow_kernel.session.checkpoints.reach_look import (
    NOTHING,
    CellLook,
    Judged,
    Known,
    Reach,
    World,
)
from flow_kernel.session.checkpoints.reach_reads import only_look, reads_of
from flow_kernel.session.checkpoints.reach_types import Types, is_plain_kind, name_of
from flow_kernel.session.checkpoints.reach_walk import (
    Status,
    can_settle,
    is_named_elsewhere,
    is_restless,
    walk,
)
from flow_kernel.session.checkpoints.reach_words import BY_NAME

globals()["__builtins__"] = FROZEN_BUILTINS

_MOST_FUNCTIONS: Final = 64
_MOST_LOOKS: Final = 64
_MOST_TEXTS: Final = 200
_GLANCE: Final = 200
_MOST_LOOKED_AT: Final = 2_000
_HARMLESS_NAMES: Final = frozenset(["__name__", "__build_class__", "__doc__"])
_RUNNER: Final = frozenset(["display"])


class _Doubt(Exception):
    """Anything may have changed; the text says why."""


def judge(
    look: CellLook, world: World, known: Known, *, peers: Collection[str] = frozenset()
) -> Judged:
    """Judge one cell. Its cost grows with the cell and not with the variables.

    Args:
        look: The cell.
        world: What is around.
        known: Before the cell.
        peers: Names that cells have touched since the last save, and what shares with them.
    """
    judge_ = _Judge(look, world, known)
    try:
        judge_.decide()
    except _Doubt as doubt:
        return Judged(reach=Reach(everything=str(doubt)), forever=known.forever or judge_.forever)
    if judge_.is_idle:
        return Judged(reach=NOTHING)
    return judge_.judged(peers)


class _Judge:
    """One judgement under way."""

    def __init__(self, look: CellLook, world: World, known: Known) -> None:
        self._look = look
        self._world = world
        self._known = known
        self._namespace = world.namespace
        self._read: list[Reading] = []
        self._done: set[int] = set()
        self._words: set[str] = set()
        self._modules: dict[int, ModuleType] = {}
        self._stores: dict[str, int] = {}
        self._targets: set[str] = set()
        self._bears_code = False
        self._makes_classes = False
        self.forever: str | None = None
        self.touched: set[str] = set()

    @property
    def is_idle(self) -> bool:
        """True when neither a variable nor a library was used, or they were only looked at."""
        return not (self.touched or self._modules or self._bears_code) or self._only_looks()

    def decide(self) -> None:
        """Go through the cell.

        Raises:
            _Doubt: It may do anything.
        """
        statements = [read(code, is_module=True) for code in self._look.codes]
        for reading in statements:
            self.forever = self.forever or reading.forever
            self._done |= reading.codes
        for why in (self._known.forever, self.forever, *self._world.doubts, *self._look.doubts):
            if why is not None:
                raise _Doubt(why)
        around = self._namespace.get("__builtins__")
        is_own = around is not builtins and around is not vars(builtins)
        if is_own or libraries.is_patched(vars(builtins)):
            raise _Doubt("a builtin is not the one of Python")
        for name in self._look.imported:
            if not libraries.is_known_import(name):
                raise _Doubt(f"imports {name[:60]}")
        for reading in self._all_functions(statements):
            self._note(reading)
        self._in_order(statements)
        self._check_targets(statements)
        if not BY_NAME.isdisjoint(self._words):
            self._check_texts()
        why = libraries.reason_against(
            self._modules.values(), frozenset(self._words), self._world.types
        )
        if why is not None:
            raise _Doubt(why)

    # -- code --------------------------------------------------------------------------------------

    def _all_functions(self, statements: list[Reading]) -> Iterator[Reading]:
        """The statements, and the functions of the notebook that they can call."""
        yield from statements
        todo = [name for reading in statements for name in (*reading.loads, *reading.inner_loads)]
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            value = self._namespace.get(name)
            if name in self._known.tame and type(value) is not FunctionType:
                continue
            for function in walk(value, self._world.types, self._namespace).functions:
                reading = self._reading_of(function)
                if reading is not None:
                    yield reading
                    todo += (*reading.loads, *reading.inner_loads)

    def _reading_of(self, function: FunctionType) -> Reading | None:
        code = function.__code__
        if id(code) in self._done:
            return None
        self._done.add(id(code))
        if len(self._done) > _MOST_FUNCTIONS:
            raise _Doubt("can call too many functions")
        reading = read(code, is_module=False)
        self._read.append(reading)
        self.forever = self.forever or reading.forever
        if self.forever:
            raise _Doubt(self.forever)
        return reading

    def _note(self, reading: Reading) -> None:
        if reading.doubt is not None:
            raise _Doubt(reading.doubt)
        self._words |= reading.words
        self._targets |= reading.targets
        self._bears_code = self._bears_code or reading.makes_code
        self._makes_classes = self._makes_classes or reading.makes_classes
        for name in reading.stores:
            self._stores[name] = self._stores.get(name, 0) + 1
        for name in reading.imports:
            self._check_import(name)

    def _check_import(self, name: str) -> None:
        module = sys.modules.get(name)
        if type(module) is not ModuleType or not libraries.is_known_module(module):
            raise _Doubt(f"imports {name[:60]}")
        self._modules[id(module)] = module

    # -- names -------------------------------------------------------------------------------------

    def _in_order(self, statements: list[Reading]) -> None:
        """Each name that is read or bound, with what is certainly bound by then."""
        inner = self._read_by(self._read)
        if self._read:
            self._bears_code = True
        settled: set[str] = set()
        for reading in statements:
            for name in reading.loads:
                self._load(name, settled)
            later = settled if reading.runs_inner else settled | reading.settles
            for name in reading.inner_loads:
                self._load(name, later)
            settled |= reading.settles
        for name in inner:
            self._load(name, ())
        for name in self._stores:
            self._store(name)

    @staticmethod
    def _read_by(readings: Iterable[Reading]) -> set[str]:
        return {name for one in readings for name in (*one.loads, *one.inner_loads)}

    def _load(self, name: str, settled: Collection[str]) -> None:
        self._check_form(name)
        if name not in self._namespace and not self._was_bound(name):
            self._load_builtin(name)
            return
        if name in settled:
            self.touched.add(name)
            return
        if name in self._stores:
            if self._was_bound(name) and name not in self._known.tame:
                raise _Doubt(f"reads {name[:60]} and binds it")
            self.touched.add(name)
            return
        value = self._namespace[name]
        if type(value) is ModuleType:
            self._modules[id(value)] = value
        elif libraries.is_known_callable(value):
            self._words.add(name)
            self._modules.update(_module_of(value))
        elif name in self._known.tame:
            self.touched.add(name)
        elif walk(value, self._world.types, self._namespace).status is Status.WILD:
            raise _Doubt(f"uses {name[:60]}, of which not all is known")
        else:
            self.touched.add(name)

    def _check_texts(self) -> None:
        """Texts in variables may name a method that leads elsewhere."""
        for name in self.touched:
            value = self._namespace.get(name)
            texts = [value] if type(value) is str else _texts_in(value)
            for text in texts:
                if (why := strangeness(text)) is not None:
                    raise _Doubt(f"{why}, in {name[:60]}")

    def _load_builtin(self, name: str) -> None:
        value = vars(builtins).get(name)
        if value is None or libraries.is_harmless_builtin(value) or name in _HARMLESS_NAMES:
            return
        if name in _RUNNER and getattr(value, "__module__", "") == "IPython.core.display_functions":
            return
        raise _Doubt(f"uses {name[:60]}")

    def _store(self, name: str) -> None:
        self._check_form(name)
        known = self._known
        if self._was_bound(name) and name not in known.tame and name not in known.plain:
            raise _Doubt(f"drops the old {name[:60]}, of which not all is known")
        self.touched.add(name)

    def _was_bound(self, name: str) -> bool:
        if name in self._namespace:
            return name not in self._look.born
        return name in self._look.removed

    def _check_form(self, name: str) -> None:
        if name in _HARMLESS_NAMES:
            return
        if name[:1] == "_" or name in self._world.hidden or name in ("In", "Out"):
            raise _Doubt(f"uses {name[:60]}")

    def _check_targets(self, statements: list[Reading]) -> None:
        """Attributes may be set of values, never of modules, classes and functions."""
        settled = {name for reading in statements for name in reading.settles}
        for name in self._targets:
            value = self._namespace.get(name)
            is_value = name in self._namespace and not is_named_elsewhere(value)
            bound = self._stores.get(name, 0)
            if bound > 1 or (bound and (name not in settled or self._was_bound(name))):
                is_value = False
            if not is_value or (name not in self._known.tame and not self._is_tame(value)):
                raise _Doubt(f"sets an attribute of {name[:60]}")

    def _is_tame(self, value: object) -> bool:
        return walk(value, self._world.types, self._namespace).status is Status.TAME

    # -- looks -------------------------------------------------------------------------------------

    def _only_looks(self) -> bool:
        """True when all that the cell names is what it was, and lies where it lay."""
        if self._stores or self._read or self._makes_classes or self._known.is_held:
            return False
        reads = reads_of(self._look.codes)
        if reads is None:
            return False
        functions, builtins_ = [], []
        for name in reads.names:
            if name not in self._namespace:
                builtins_.append(name)
            elif libraries.is_known_callable(value := self._namespace[name]):
                functions.append(value)
        return (
            only_look(reads, functions, builtins_)
            and all(self._is_column(name, word) for name, word in reads.parts)
            and all(map(self._lies_still, self.touched))
        )

    def _is_column(self, name: str, word: str) -> bool:
        """True for `df.price`: a frame has no such attribute, so it gave a column."""
        kind = type(self._namespace.get(name))
        return (
            is_plain_kind(kind)
            and kind in self._world.types.holders
            and name_of(kind) == "DataFrame"
            and not hasattr(kind, word)
        )

    def _lies_still(self, name: str) -> bool:
        """False when it is not known all the way down, or pandas may have laid it out anew."""
        is_fresh = name in self._known.fresh
        if name in self._known.settled and not is_fresh:
            return True
        value = self._namespace.get(name)
        found = walk(value, self._world.types, self._namespace, budget=_MOST_LOOKED_AT)
        if found.status is not Status.TAME:
            return False  # a function may be in it, and may have been called
        if is_fresh:
            return True
        seen = found.seen.values()
        return can_settle(seen) and not is_restless(seen)  # it has not come to that, then

    # -- afterwards --------------------------------------------------------------------------------

    def judged(self, peers: Collection[str]) -> Judged:
        """What is known when the cell has ended."""
        touched = frozenset(self.touched)
        reach = Reach(names=touched)
        stored = frozenset(self._stores)
        tame: set[str] = set()
        plain: set[str] = set()
        if not self._bears_code:
            # Known code made it of what is known.
            for name in stored & self._namespace.keys():
                (plain if is_named_elsewhere(self._namespace[name]) else tame).add(name)
            unknown = stored
        else:
            types = self._world.types
            # Without a class of the cell's own, arrays of text take nothing but text.
            closed = types if self._makes_classes else types.with_closed_texts()
            unknown = touched | (frozenset(peers) - self._still_tame(peers, touched, closed))
            for name in list(touched)[:_MOST_LOOKS]:
                if name in self._namespace:
                    was_tame = name in self._known.tame and name not in stored
                    status = self._status(self._namespace[name], closed if was_tame else types)
                    if status is not Status.WILD:
                        (tame if status is Status.TAME else plain).add(name)
        return Judged(reach=reach, unknown=unknown, tame=frozenset(tame), plain=frozenset(plain))

    def _still_tame(
        self, peers: Collection[str], touched: Collection[str], closed: Types
    ) -> frozenset[str]:
        """Peers into which no function was put: they have little place for objects."""
        if self._makes_classes or len(peers) > _MOST_LOOKS:
            return frozenset()
        return frozenset(
            name
            for name in peers
            if name not in touched
            and name in self._known.tame
            and walk(self._namespace.get(name), closed, self._namespace, budget=_GLANCE).status
            is Status.TAME
        )

    def _status(self, value: object, types: Types) -> Status:
        if type(value) is ModuleType or libraries.is_known_callable(value):
            return Status.PLAIN
        return walk(value, types, self._namespace).status


def _texts_in(value: Any) -> list[str]:
    if type(value) is dict:
        value = [*value, *value.values()]
    if not (type(value) is list or type(value) is tuple) or len(value) > _MOST_TEXTS:
        return []
    return [one for one in value if type(one) is str]


def _module_of(value: Any) -> dict[int, ModuleType]:
    name = getattr(value, "__module__", None)
    module = sys.modules.get(name) if type(name) is str else None
    if type(module) is ModuleType and libraries.is_known_module(module):
        return {id(module): module}
    return {}
