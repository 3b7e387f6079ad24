"""A change in place is seen by a cheap sample, and nothing else is taken for one."""

import gc
import sys
import types
import weakref
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.samples import sample, sample_many
from tests.records.hostile import ZOO, watched


class Plain:
    """An ordinary class of a user."""

    count = 0

    def __init__(self) -> None:
        self.attr = 1
        self.items: list[int] = []
        self.price = 0.5


class Slotted:
    """Attributes in slots, one of them empty."""

    __slots__ = ("empty", "full")

    def __init__(self) -> None:
        self.full = 1000


class Names(list[str]):
    """A list with more to it."""


def _holding(held: object) -> Plain:
    value = Plain()
    value.__dict__["held"] = held
    return value


def _twice(change: Callable[[Any], None]) -> Callable[[Any], None]:
    def changes(value: Any) -> None:
        change(value)
        change(value)

    return changes


def _add(value: Any, name: str, amount: float) -> None:
    setattr(value, name, getattr(value, name) + amount)


def _add_item(value: Any, key: Any, amount: float) -> None:
    value[key] = value[key] + amount


CHANGES: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], object]]]] = {
    "x.append(1)": (list, lambda x: x.append(1)),
    "x[0] = 9": (lambda: [1, 2, 3], lambda x: x.__setitem__(0, 9)),
    "x[-1] = 9 in a long list": (lambda: list(range(10_000)), lambda x: x.__setitem__(-1, 9)),
    "x[0] += 0.5 twice": (lambda: [0.25, 2], _twice(lambda x: _add_item(x, 0, 0.5))),
    "x.sort()": (lambda: [3, 1, 2], lambda x: x.sort()),
    "x.reverse() of a long list": (lambda: list(range(10_000)), lambda x: x.reverse()),
    "x[0].append(1)": (lambda: [[], []], lambda x: x[0].append(1)),
    "x[0]['k'] = 1": (lambda: [{}], lambda x: x[0].__setitem__("k", 1)),
    "d[new] = v": (dict, lambda d: d.__setitem__("k", 1)),
    "d[k] = v": (lambda: {i: i for i in range(30)}, lambda d: d.__setitem__(15, "other")),
    "d[k] += 1000 twice": (lambda: {"n": 5000}, _twice(lambda d: _add_item(d, "n", 1000))),
    "d[last] = v of a long dict": (
        lambda: {i: i for i in range(1000)},
        lambda d: d.__setitem__(999, "other"),
    ),
    "d[k].append(1)": (lambda: {"k": []}, lambda d: d["k"].append(1)),
    "d['b'] = d.pop('a')": (lambda: {"a": 1}, lambda d: d.__setitem__("b", d.pop("a"))),
    "s.add(1)": (set, lambda s: s.add(1)),
    "s.discard, s.add": (lambda: {"a", "b"}, lambda s: (s.discard("a"), s.add("c"))),
    "q.append(1)": (lambda: deque([1, 2], maxlen=2), lambda q: q.append(3)),
    "q.rotate(1) of a long deque": (lambda: deque(range(100)), lambda q: q.rotate(1)),
    "o[k] = v": (lambda: OrderedDict(a=1), lambda o: o.__setitem__("a", 2)),
    "default[k].append(1)": (lambda: defaultdict(list, a=[]), lambda d: d["a"].append(1)),
    "counter.update": (lambda: Counter("aab"), lambda c: c.update("ab")),
    "b[0] = 1": (lambda: bytearray(4096), lambda b: b.__setitem__(2000, 1)),
    "b[0] = 1 in a long one": (lambda: bytearray(10**6), lambda b: b.__setitem__(0, 1)),
    "a[0] = 1": (lambda: array("d", range(500)), lambda a: a.__setitem__(250, -1)),
    "a[-1] = 1 in a long one": (lambda: array("d", range(10**5)), lambda a: a.__setitem__(-1, 1)),
    "ns.x = 1": (types.SimpleNamespace, lambda n: setattr(n, "x", 1)),
    "obj.attr = 3": (Plain, lambda o: setattr(o, "attr", 3)),
    "obj.price += 0.5 twice": (Plain, _twice(lambda o: _add(o, "price", 0.5))),
    "obj.new = 3": (Plain, lambda o: setattr(o, "new", 3)),
    "del obj.attr": (Plain, lambda o: delattr(o, "attr")),
    "obj.items.append(1)": (Plain, lambda o: o.items.append(1)),
    "slotted.full += 1000 twice": (Slotted, _twice(lambda o: _add(o, "full", 1000))),
    "slotted.empty = 1": (Slotted, lambda o: setattr(o, "empty", 1)),
    "names.append": (lambda: Names(["a"]), lambda n: n.append("b")),
    "Class.count += 1000": (
        lambda: type("Counted", (), {"count": 5000}),
        lambda c: setattr(c, "count", 6000),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_place_is_seen(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    before = sample(value)

    change(value)

    assert before is not None
    assert sample(value) != before


@pytest.mark.parametrize(
    "value",
    [1, 2.5, "text", b"bytes", None, (1, [2]), frozenset([1]), range(3), len, Path("/a"), sys],
    ids=repr,
)
def test_what_cannot_change_has_no_sample(value: object) -> None:
    assert sample(value) is None


@pytest.mark.parametrize("name", ZOO)
def test_no_code_of_a_hostile_class_runs(name: str) -> None:
    animal = ZOO[name]()

    with watched() as touched:
        found = (sample(animal), sample(animal))

    assert touched == []
    assert found[0] == found[1]
    assert all(type(part) in (int, bool, str) for part in found[0] or ())


VALUES: Final = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=50)
        | st.dictionaries(st.text(max_size=4), inner, max_size=50)
        | st.sets(st.integers(), max_size=50)
        | st.lists(inner).map(deque)
        | st.binary().map(bytearray)
        | st.dictionaries(st.text(), inner).map(lambda held: types.SimpleNamespace(**held))
        | inner.map(_holding)
    ),
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_an_untouched_value_has_equal_samples_always(value: object) -> None:
    assert sample(value) == sample(value)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(), min_size=1, max_size=32), st.data())
def test_any_one_element_of_a_short_list_that_is_replaced_is_seen(
    numbers: list[int], data: st.DataObject
) -> None:
    before = sample(numbers)
    at = data.draw(st.integers(0, len(numbers) - 1))
    old = numbers[at]

    numbers[at] = data.draw(st.integers().filter(lambda new: new != old))

    assert sample(numbers) != before


def test_reading_a_value_that_fills_its_own_caches_is_no_change() -> None:
    path, fraction, logger_like = Path("/a/b"), Fraction(1, 3), Plain()
    before = [sample(v) for v in (path, fraction, logger_like)]

    for value in (path, fraction, logger_like):
        str(value)
        hash(value)

    assert [sample(v) for v in (path, fraction, logger_like)] == before


def test_no_reference_to_a_value_or_an_element_is_kept() -> None:
    element = Plain()
    holders: list[Any] = [[element], {"a": element}, {element}, deque([element]), element, [10**40]]
    before = [sys.getrefcount(value) for value in holders]
    numbers = [sys.getrefcount(holders[5][0])]

    samples = [sample(value) for value in holders]

    assert [sys.getrefcount(value) for value in holders] == before
    assert [sys.getrefcount(holders[5][0])] == numbers
    gone = weakref.ref(element)
    del element, holders
    gc.collect()
    assert gone() is None
    assert len(samples) == 6


def test_a_bytearray_can_be_resized_at_any_time() -> None:
    value = bytearray(10**6)
    kept = sample(value)
    value += b"x"  # refused while a buffer of it is held
    assert sample(value) != kept


def test_elements_are_not_searched_for_in_a_container_that_was_emptied() -> None:
    emptied = dict.fromkeys(range(100_000))
    few = set(range(100_000))
    for i in range(99_999):
        del emptied[i]
        few.remove(i)

    assert (sample(emptied), sample(few)) == ((1,), (1,))


def test_an_own_dict_property_hides_nothing_and_is_not_asked() -> None:
    class Hidden(Plain):
        @property
        def __dict__(self) -> Any:
            raise SystemExit

    value = Hidden()
    before = sample(value)
    value.attr = 7

    assert before is not None
    assert sample(value) != before


def test_many_samples_carry_the_identity_of_their_values() -> None:
    numbers, text = [1], "text"

    assert sample_many([("numbers", numbers), ("text", text)], budget_us=10_000_000) == {
        "numbers": (id(numbers), sample(numbers))
    }


def test_many_samples_stop_when_their_time_is_used_up() -> None:
    assert sample_many(iter([("a", [1]), ("b", [2])]), budget_us=0) == {}


def test_a_name_that_is_no_plain_text_is_left_out() -> None:
    name: Any = ZOO["subclass of str"]()
    with watched() as touched:
        found = sample_many([(name, [1]), ("b", [])], budget_us=10_000_000)
    assert touched == []
    assert list(found) == ["b"]
