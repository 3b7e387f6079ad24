"""No word that counts as a look changes what it is called on, or what it is called with."""

import collections
import contextlib
import datetime
import inspect
import io
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.reach_reading_words import (
    READING_BUILTINS,
    READING_WORDS,
    WRITING_ARGUMENTS,
)
from flow_kernel.session.checkpoints.reach_types import known_types
from flow_kernel.session.checkpoints.saving import save

pytestmark = pytest.mark.filterwarnings("ignore")


def owners() -> Iterator[Any]:
    """Whatever has methods that a look may call."""
    known = known_types()
    yield from known.scalars
    yield from known.sequences
    yield from known.mappings
    yield from known.arrays
    # The parts of a frame's inside can only be had by words with an underscore.
    yield from (kind for kind in known.holders if "internals" not in kind.__module__)
    yield from (np, np.linalg, pd, math, re, random, itertools, collections, datetime)
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    yield from map(type, (frame.groupby("b"), frame["a"].groupby(frame["b"]), frame.rolling(1)))
    yield from map(type, (frame["b"].str, frame.loc, frame.iloc, frame["a"].expanding()))


def parameters(function: Any) -> list[str]:
    """The arguments by position, as far as they are known, without `self`."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        said = re.match(r"[\w.]+\((.*?)\)\n", (getattr(function, "__doc__", "") or "").lstrip())
        names = re.sub(r"[\[\]]", "", said[1]).split(",") if said else []
        names = [name.split("=")[0].strip() for name in names]
        return names[: names.index("*")] if "*" in names else names
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in found if one.kind in kinds and one.name != "self"]


def test_no_argument_by_position_makes_a_look_write() -> None:
    seen = 0
    for owner in owners():
        for word in READING_WORDS:
            value = getattr(owner, word, None)
            # A function that is given by position is looked at where it is named.
            names = WRITING_ARGUMENTS - {"func"}
            writing = [n for n, name in enumerate(parameters(value)) if name in names]
            assert not writing or min(writing) + 1 >= READING_WORDS[word], (owner, word)
            if isinstance(value, np.ufunc):
                assert READING_WORDS[word] <= value.nin + 1, f"{word}.at, and its out"
            seen += bool(writing)
    assert seen > 50


def test_builtins_that_look_write_nothing() -> None:
    assert READING_BUILTINS.isdisjoint(["setattr", "delattr", "exec", "eval", "vars", "globals"])


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [3.0, 1.0, 2.0], "b": ["x", "y", "x"], "n": [1, 2, 3]})


SAMPLES: dict[str, Callable[[], Any]] = {
    # Values of known types; a new one each time.
    "list": lambda: [3, 1, 2],
    "texts": lambda: ["b", "a"],
    "tuple": lambda: (1, [2]),
    "dict": lambda: {"x": 1, "y": [2]},
    "set": lambda: {1, 2, 3},
    "text": lambda: "a text",
    "bytes": lambda: b"ab",
    "int": lambda: 5,
    "deque": lambda: collections.deque([1, 2]),
    "counter": lambda: collections.Counter("aab"),
    "ordered": lambda: collections.OrderedDict(a=1, b=2),
    "datetime": lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    "matrix": lambda: np.arange(6.0).reshape(2, 3),
    "array": lambda: np.array([2, 1, 3]),
    "objects": lambda: np.array(["x", [1]], dtype=object),
    "frame": frame,
    "floats": lambda: frame()["a"],
    "strings": lambda: frame()["b"],
    "index": lambda: frame().index,
    "times": lambda: pd.Series(pd.date_range("2026-01-01", periods=3)),
    "categories": lambda: pd.Categorical(["u", "v", "u"]),
    "dates": lambda: pd.date_range("2026-01-01", periods=3),
    "timestamp": lambda: pd.Timestamp("2026-01-02"),
    "nullable": lambda: pd.array([1, None]),
}
WORDY = ("frame", "floats", "strings", "index", "times", "categories", "dates")
"""Those with so many words that one draw of arguments for each is enough for a short run."""
GIVEN: list[Callable[[], Any]] = [
    # What looks are called with.
    lambda: 0, lambda: 1, lambda: "a", lambda: [0, 1], lambda: {"a": 1}, lambda: np.arange(3.0),
    lambda: np.zeros((2, 3)), lambda: ["a"], lambda: pd.Series([1.0, 2.0, 3.0]), lambda: len,
]  # fmt: skip
MODULES = (np, np.linalg, pd, math, re, itertools, collections)
LEFT_OUT = ("sleep", "product", "permutations", "combinations_with_replacement", "info")
"""They take long; `numpy.info` keeps the names of all modules, and other tests would find them."""


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        *((name, 1 if name in WORDY else 2) for name in SAMPLES),
        *(pytest.param(name, 3, marks=pytest.mark.soak) for name in WORDY),
    ],
)
def test_no_word_changes_what_it_is_called_on_or_with(
    name: str, draws: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # `to_string("x")` writes a file
    dice = random.Random(name)
    called = 0
    for word, most in READING_WORDS.items():
        value = SAMPLES[name]()
        if word in LEFT_OUT:
            continue
        if hasattr(value, word):
            for given in (0, *(1, 2, 3) * draws):
                if given < most:
                    called += is_unharmed(SAMPLES[name](), word, None, dice, given)
        for owner in MODULES:
            if hasattr(owner, word):
                for given in (1, 2, 3) * draws:
                    if given < most:
                        called += is_unharmed(SAMPLES[name](), word, owner, dice, given)
    assert called > 100


def saved(value: Any) -> list[bytes]:
    """What a checkpoint keeps."""
    (group,) = save({"value": value}, anchors_of({}, {})).groups
    return [group.stream, *map(bytes, group.buffers)]


def is_unharmed(value: Any, word: str, owner: Any, dice: random.Random, given: int) -> int:
    """1 when the word could be called and changed nothing; fails when it did."""
    chosen = [dice.choice(GIVEN)() for _ in range(given)]
    if owner is not None:
        chosen[dice.randrange(given)] = value
    before = saved((value, chosen))
    called = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        found = getattr(value if owner is None else owner, word)
        if callable(found):
            found = found(*chosen)
        if isinstance(found, Iterator):
            list(itertools.islice(found, 5))
        repr(found)
        called = 1
    assert saved((value, chosen)) == before, (word, owner, chosen)
    return called
