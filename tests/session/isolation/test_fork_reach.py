"""What variables hold that a copy would share: found deep down, without any code of theirs."""

import asyncio
import functools
import socket
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.session.isolation.fork_reach import reach


class Box:
    def __init__(self, held: Any) -> None:
        self.held = held


class Slot:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


class Names(list[Any]):
    pass


class Hostile:
    """Whose code says so whenever it runs."""

    def __init__(self, held: Any) -> None:
        object.__setattr__(self, "held", held)

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)

    __len__ = __iter__ = __hash__ = __bool__ = __getattribute__  # type: ignore[assignment]


class HostileKind(type):
    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError(name)

    def __hash__(cls) -> int:
        raise AssertionError

    __instancecheck__ = __subclasscheck__ = __getattribute__


def _closure(held: Any) -> Any:
    return lambda: held


@pytest.fixture
def base() -> Iterator[sqlite3.Connection]:
    base = sqlite3.connect(":memory:")
    yield base
    base.close()


HOLDERS = {
    "attribute": Box,
    "slot": Slot,
    "containers": lambda held: [{"of": ({1: deque([held])},)}],
    "kind of list": lambda held: Names([held] * 1000),
    "closure": _closure,
    "default": lambda held: lambda _=held: None,
    "partial": lambda held: functools.partial(print, held),
    "method": lambda held: Box(held).__init__,
    "generator": lambda held: (each for each in [held]),
    "hostile": Hostile,
    "of a hostile class": lambda held: (HostileKind("Own", (), {}), Hostile(held)),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_connection_is_found_wherever_it_is_held(base: sqlite3.Connection, holder: str) -> None:
    namespace = {"one": HOLDERS[holder](base), "two": [1], "base": base}
    assert reach(namespace, ["two", "one", "gone"]).shared == (
        ("one", "it holds a database of SQLite"),
    )
    assert reach(namespace, ["base"]).shared == (("base", "a database of SQLite"),)


def test_what_no_cell_speaks_through_is_no_connection() -> None:
    one, two = socket.socketpair()
    one.close()
    loop = asyncio.new_event_loop()
    namespace: dict[str, Any] = {"closed": Box(one), "loop": [loop], "thread": threading.Thread()}
    assert reach(namespace, namespace).shared == ()
    assert reach({"two": Box(two)}, ["two"]).shared == (("two", "it holds a socket"),)
    two.close()
    loop.close()


def test_the_walk_is_bounded(base: sqlite3.Connection) -> None:
    large = [[[number] for number in range(300)] for _ in range(300)]
    namespace = {**{f"large{n}": large[n:] for n in range(5)}, "one": Box(base)}
    assert reach(namespace, namespace).shared == (("one", "it holds a database of SQLite"),)
    deep: list[Any] = [base]
    for _ in range(100_000):
        deep = [deep]
    assert reach({"deep": deep}, ["deep"]).shared == ()


def test_text_of_files_is_on_the_disk_before_there_are_two_who_hold_it(tmp_path: Path) -> None:
    text, raw = (tmp_path / "text").open("w"), (tmp_path / "raw").open("wb")
    other = (tmp_path / "other").open("w")
    for file in (text, other):
        file.write("held")
    raw.write(b"held")
    reach({"text": Box([text]), "raw": raw, "other": other}, ["text", "raw"]).flush()
    assert [(tmp_path / n).read_text() for n in ("text", "raw", "other")] == ["held", "held", ""]
    for file in (text, raw, other):
        file.close()
    reach({"text": text, "raw": raw}, ["text", "raw"]).flush()
