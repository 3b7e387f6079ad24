"""`repr` in bounds: the same as Python's where it is short, and never long."""

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.session.bounded_repr import bounded_repr
from flow_kernel.session.looks import look

_PLAIN = st.none() | st.integers() | st.text() | st.binary() | st.floats()
_KEYS = st.integers() | st.text()
_VALUES: Any = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(_KEYS, inner)
        | st.sets(_KEYS)
        | st.frozensets(_KEYS)
    ),
)


class _Dear:
    """Counts how often it is asked what it is."""

    asked = count()

    def __repr__(self) -> str:
        next(self.asked)
        return "dear"

    def head(self) -> str:
        raise AssertionError("nobody calls this")


@given(_VALUES)
def test_a_short_value_is_written_as_python_writes_it(value: object) -> None:
    assert bounded_repr(value, 10**6) == repr(value)


@given(_VALUES, st.integers(0, 20))
def test_a_long_value_is_written_as_far_as_it_is_shown(value: object, chars: int) -> None:
    found, whole = bounded_repr(value, chars), repr(value)
    if not isinstance(value, str | bytes):
        assert found[:chars] == whole[:chars] or _has_text(value)
    assert (len(found) > chars) == (len(whole) > chars)


def test_what_is_not_shown_is_not_asked() -> None:
    many = [_Dear()] * 100_000
    shown = repr(look({"rows": many}, "repr", 100))

    assert shown.startswith("{'rows': [dear, dear, ")
    assert shown.endswith("left out]…")
    assert next(_Dear.asked) < 30


def test_a_list_that_holds_itself_comes_to_an_end() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert bounded_repr(loop, 100) == repr(loop) == "[1, [...]]"
    assert bounded_repr(deep, 1000).startswith("[[[[")


def test_the_head_of_a_class_of_the_user_is_what_it_says_of_itself() -> None:
    assert repr(look(_Dear(), "head", 100)) == "dear"
    assert repr(look([*range(100)], "head", 100)) == repr([*range(10)])


def _has_text(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_text(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_text, value))
    return isinstance(value, str | bytes)
