"""What variables hold that a copy of the session shares with it: connections, and text on its way.

Called by `forking` before each fork, with the names that the cell reads.

    connection    a socket or a database: itself, or in an attribute, a container, a closure
    writer        a file with text that is not written yet: the copy would write it once more

The walk goes by exact types and by what the collector of cycles would visit: no code of a class of
the user's runs. It is bounded, so what lies deep in large values is not found.
"""

import collections
import gc
import io
import os
import socket
import stat
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

# The module and the name of a type: none of them has to be imported to be told.
_SPEAKERS: Final = {
    ("socket", "socket"): "a socket",
    ("ssl", "SSLSocket"): "a socket",
    ("sqlite3", "Connection"): "a database of SQLite",
    ("_duckdb", "DuckDBPyConnection"): "a database of DuckDB",
    ("duckdb", "DuckDBPyConnection"): "a database of DuckDB",
    ("psycopg", "Connection"): "a database",
    ("psycopg2.extensions", "connection"): "a database",
    ("sqlalchemy.engine.base", "Engine"): "a database",
    ("sqlalchemy.engine.base", "Connection"): "a database",
    ("sqlalchemy.orm.session", "Session"): "a database",
    ("pymongo.mongo_client", "MongoClient"): "a database",
    ("redis.client", "Redis"): "a database",
    ("http.client", "HTTPConnection"): "a connection",
    ("http.client", "HTTPSConnection"): "a connection",
    ("requests.sessions", "Session"): "connections",
    ("httpx", "Client"): "connections",
}
_OTHERS: Final = frozenset(
    {
        "IPython", "asyncio", "comm", "concurrent", "flow_kernel", "ipykernel", "ipywidgets",
        "jupyter_client", "logging", "multiprocessing", "threading", "tornado", "traitlets", "zmq",
    }
)  # fmt: skip
"""Packages whose objects hold the sockets of loops and kernels, with which no cell speaks."""
_PLAIN: Final = frozenset(
    map(id, (
        int, float, complex, bool, str, bytes, bytearray, range, type(None), types.ModuleType,
        types.CodeType, types.FrameType, types.BuiltinFunctionType,
    ))
)  # fmt: skip
"""By address: a metaclass may hash its classes as it likes."""
_LENGTHS: Final = (
    (dict, dict.__len__, dict.values),
    (list, list.__len__, list.__iter__),
    (tuple, tuple.__len__, tuple.__iter__),
    (set, set.__len__, set.__iter__),
    (frozenset, frozenset.__len__, frozenset.__iter__),
    (collections.deque, collections.deque.__len__, collections.deque.__iter__),
)
_MOST: Final = 3000
_OF_ONE: Final = 300
_EACH: Final = 64
_DEPTH: Final = 6
_mro_of: Final = type.__dict__["__mro__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__
_name_of: Final = type.__dict__["__name__"].__get__


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What was found.

    Attributes:
        shared: Names, each with what it speaks through.
        writers: Files that are open for writing.
    """

    shared: tuple[tuple[str, str], ...] = ()
    writers: tuple[Any, ...] = ()

    def flush(self) -> None:
        """Write what the files hold: it is on the disk before there are two who would write it."""
        for writer in self.writers:
            with suppress(OSError, ValueError):  # a full disk; another thread has closed it
                writer.flush()


def reach(namespace: Mapping[str, object], names: Iterable[str]) -> Reach:
    """What `names` hold; tens of microseconds for a few, three milliseconds at the most.

    Args:
        namespace: Of the session.
        names: Those that the cell reads.
    """
    walk = _Walk(namespace)
    shared = [
        (name, what)
        for name in names
        if name in namespace and (what := walk.speaker(namespace[name])) is not None
    ]
    return Reach(shared=tuple(shared), writers=tuple(walk.writers))


class _Walk:
    def __init__(self, namespace: Mapping[str, object]) -> None:
        self._seen = {id(namespace)}
        self._kinds: dict[int, str | None] = {}
        self._left = _MOST
        self.writers: list[Any] = []

    def speaker(self, value: object) -> str | None:
        """The first connection in a value; all of it is walked, for its writers."""
        found: str | None = None
        todo = collections.deque([(value, 0)])
        most = min(_OF_ONE, self._left)
        self._left -= most
        while todo and most:
            one, depth = todo.popleft()
            most -= 1
            kind = type(one)
            if id(kind) in _PLAIN or id(one) in self._seen or issubclass(kind, type):
                continue
            self._seen.add(id(one))
            what = self._speaks(one, kind)
            if what:
                found = found or (f"it holds {what}" if depth else what)
            elif what is None and depth < _DEPTH:
                if _is_writer(one):
                    self.writers.append(one)
                held = islice(_held(one, kind), max(0, most - len(todo)))
                todo.extend((each, depth + 1) for each in held)
        self._left += most
        return found

    def _speaks(self, value: Any, kind: type) -> str | None:
        """What a value speaks through; empty for one that is not looked into."""
        if id(kind) not in self._kinds:
            self._kinds[id(kind)] = _kind_speaks(kind)
        what = self._kinds[id(kind)]
        if what == "a socket" and socket.socket.fileno(value) < 0:
            return ""
        return what


def _kind_speaks(kind: type) -> str | None:
    module = _module_of(kind)
    if type(module) is str and module.partition(".")[0] in _OTHERS:
        return ""
    for base in _mro_of(kind):
        place = (_module_of(base), _name_of(base))
        if type(place[0]) is str and place in _SPEAKERS:
            return _SPEAKERS[place]
    return None


def _held(value: Any, kind: type) -> Iterator[object]:
    """What a value refers to, as far as it is looked at."""
    if kind is types.FunctionType:  # not its globals
        yield from (value.__closure__, value.__defaults__, value.__kwdefaults__)
        return
    for base, length, items in _LENGTHS:
        if issubclass(kind, base) and length(value) > _EACH:
            try:
                yield from [*islice(items(value), _EACH)]
            except RuntimeError:  # another thread has changed it
                pass
            return
    yield from gc.get_referents(value)


def _is_writer(value: Any) -> bool:
    """A regular file, with nothing of the user's between it and the system."""
    kind: object = type(value)
    if kind is io.TextIOWrapper:
        try:
            value = value.buffer
        except ValueError:  # detached
            return False
        kind = type(value)
    if kind is not io.BufferedWriter and kind is not io.BufferedRandom:
        return False
    try:
        raw = value.raw
        return type(raw) is io.FileIO and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
    except (ValueError, OSError):  # detached or closed
        return False
