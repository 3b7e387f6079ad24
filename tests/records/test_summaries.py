"""Any value is described in one line, in constant time, without running its code."""

import asyncio
import collections
import contextlib
import datetime
import decimal
import fractions
import gc
import math
import re
import sys
import types
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.libraries import UnfamiliarError, class_in, loaded
from flow_kernel.records.summaries import summarise, summarise_many
from tests.records.hostile import ZOO, watched

FIELDS: Final = ["type", "shape", "dtype", "len", "nbytes", "summary"]
MODULE: Final = types.ModuleType("tools", "")
MODULE.__dict__["__version__"] = "1.2"


class Plain:
    """An ordinary class of a user."""

    def method(self) -> None: ...


def function(a: int, *, b: int = 0) -> int:
    return a + b


def test_builtin_values_are_written_as_in_code() -> None:
    described = {
        "NoneType": (None, "None"),
        "bool": (True, "True"),
        "int": (-5, "-5"),
        "float": (0.1, "0.1"),
        "complex": (1 + 2j, "(1+2j)"),
        "slice": (slice(1, None), "slice(1, None, None)"),
        "module": (MODULE, "module tools 1.2"),
        "function": (function, "function(a, b)"),
        "builtin_function_or_method": (len, "builtin len"),
        "method": (Plain().method, "method Plain.method"),
        "ValueError": (ValueError("bad", 3, [1]), "ValueError('bad', 3, <list>)"),
        "re.Pattern": (re.compile("a+"), "re.compile('a+')"),
        "datetime.date": (datetime.date(2024, 5, 1), "2024-05-01"),
        "datetime.timedelta": (datetime.timedelta(days=1), "1 day, 0:00:00"),
        "decimal.Decimal": (decimal.Decimal("1.50"), "1.50"),
        "fractions.Fraction": (fractions.Fraction(1, 3), "1/3"),
        "pathlib.PosixPath": (PosixPath("/tmp/a") / "b", "/tmp/a/b"),
    }

    found = {name: summarise(value) for name, (value, _) in described.items()}

    assert found == {n: {"type": n, "summary": line} for n, (_, line) in described.items()}


def test_containers_show_their_first_three_elements_and_their_length() -> None:
    ordered = collections.OrderedDict(a=1)
    assert [
        summarise([1, "a", Plain(), 4.5]),
        summarise(()),
        summarise((1,)),
        summarise({"a": 1, "b": []}),
        summarise({7}),
        summarise(set()),
        summarise(frozenset([None])),
        summarise(collections.deque([1, 2])),
        summarise(ordered),
        summarise(collections.defaultdict(list)),
        summarise(collections.Counter("aa")),
        summarise(array("d", [1, 2])),
        summarise(range(1, 10, 2)),
    ] == [
        {"type": "list", "len": 4, "summary": "[1, 'a', <Plain>, … 1 more]"},
        {"type": "tuple", "len": 0, "summary": "()"},
        {"type": "tuple", "len": 1, "summary": "(1,)"},
        {"type": "dict", "len": 2, "summary": "{'a': 1, 'b': <list>}"},
        {"type": "set", "len": 1, "summary": "{7}"},
        {"type": "set", "len": 0, "summary": "set()"},
        {"type": "frozenset", "len": 1, "summary": "frozenset({None})"},
        {"type": "collections.deque", "len": 2, "summary": "deque([1, 2])"},
        {"type": "collections.OrderedDict", "len": 1, "summary": "OrderedDict({'a': 1})"},
        {"type": "collections.defaultdict", "len": 0, "summary": "defaultdict({})"},
        {"type": "collections.Counter", "len": 1, "summary": "Counter({'a': 2})"},
        {
            "type": "array.array",
            "dtype": "d",
            "len": 2,
            "nbytes": 16,
            "summary": "array('d', [1.0, 2.0])",
        },
        {"type": "range", "len": 5, "summary": "range(1, 10, 2)"},
    ]


def test_texts_and_bytes_show_their_head_and_length() -> None:
    assert [
        summarise("two\nlines"),
        summarise("x" * 10_000_000),
        summarise(b"\x00" * 100),
        summarise(bytearray(b"ab")),
        summarise(memoryview(b"abcd").cast("H")),
    ] == [
        {"type": "str", "len": 9, "summary": "'two\\nlines'"},
        {"type": "str", "len": 10_000_000, "summary": f"'{'x' * 80}…' 10000000 characters"},
        {"type": "bytes", "len": 100, "summary": "b'" + r"\x00" * 16 + "'… 100 bytes"},
        {"type": "bytearray", "len": 2, "summary": "bytearray(b'ab')"},
        {
            "type": "memoryview",
            "shape": [2],
            "dtype": "H",
            "nbytes": 4,
            "summary": "memoryview of 4 bytes",
        },
    ]


def test_numbers_that_have_no_short_text_are_described_by_their_size() -> None:
    assert summarise(1 << 1_000_000)["summary"] == "integer of 1000001 bits"
    assert summarise(-(1 << 5000))["summary"] == "negative integer of 5001 bits"
    assert summarise(math.nan)["summary"] == "nan"
    assert summarise(-math.inf)["summary"] == "-inf"
    assert summarise(decimal.Decimal(10) ** 9000 + 1)["type"] == "decimal.Decimal"
    assert summarise(decimal.Decimal(1 << 10_000))["summary"] == "Decimal with exponent 3010"
    assert summarise(range(1 << 100)) == {
        "type": "range",
        "summary": f"range(0, {1 << 100})",
    }


def test_instances_of_users_classes_show_their_type_and_nothing_else() -> None:
    class Text(str):
        __slots__ = ()

    name = f"{__name__}.test_instances_of_users_classes_show_their_type_and_nothing_else.<locals>"
    assert summarise(Plain()) == {"type": f"{__name__}.Plain", "summary": "instance"}
    assert summarise(Plain) == {"type": "type", "summary": f"class {__name__}.Plain"}
    assert summarise(Text("secret"))["summary"] == "instance"
    assert summarise(Text("secret"))["type"] == f"{name}.Text"[:99] + "…"


def test_running_things_are_named_and_left_as_they_are() -> None:
    async def wait() -> None: ...

    coroutine = wait()
    generator = (i for i in [1])
    assert summarise(coroutine)["summary"] == "coroutine wait"
    assert summarise(generator)["summary"] == "generator <genexpr>"
    assert list(generator) == [1]
    asyncio.run(coroutine)


def test_a_time_zone_of_another_class_is_not_asked_for_its_offset() -> None:
    class Zone(datetime.tzinfo):
        def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
            raise SystemExit

    moment = datetime.datetime(2024, 5, 1, 12, tzinfo=Zone())
    assert summarise(moment)["summary"] == "2024-05-01 12:00:00 <Zone>"
    utc = moment.replace(tzinfo=datetime.UTC)
    assert summarise(utc)["summary"] == "2024-05-01 12:00:00+00:00"


@pytest.mark.parametrize("name", ZOO)
def test_no_code_of_a_hostile_class_runs(name: str) -> None:
    animal = ZOO[name]()

    with watched() as touched:
        found = summarise(animal)

    assert touched == []
    _check_form(found)


def test_elements_are_not_searched_for_in_a_container_that_was_emptied() -> None:
    emptied = dict.fromkeys(range(100_000))
    few = set(range(100_000))
    for i in range(99_999):
        del emptied[i]
        few.remove(i)

    assert summarise(emptied) == {"type": "dict", "len": 1, "summary": "{1 element}"}
    assert summarise(few) == {"type": "set", "len": 1, "summary": "{1 element}"}


VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**80)
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.text(st.characters(codec=None, categories=["Cs", "Cc", "Cf", "Zl"]), max_size=200)
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.fractions()
    | st.slices(5),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.text() | st.floats())
        | st.lists(inner).map(collections.deque)
        | inner.map(ValueError)
    ),
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_every_summary_is_one_printable_line_within_its_width(value: object) -> None:
    _check_form(summarise(value))


def test_no_reference_to_a_value_or_an_element_is_kept() -> None:
    element = Plain()
    holders: list[Any] = [[element], {"a": element}, {element}, (element,), ValueError(element)]
    before = [sys.getrefcount(value) for value in holders]

    for value in holders:
        summarise(value)
    del value

    assert [sys.getrefcount(value) for value in holders] == before
    gone = weakref.ref(element)
    del element, holders
    gc.collect()
    assert gone() is None


def test_an_interrupt_passes_through_from_any_line() -> None:
    value = {"a": [1, 2, 3], "b": "text"}
    assert _lines_until_interrupt(lambda: summarise(value)) >= 5


def test_no_stack_left_is_no_reason_to_fail() -> None:
    found, failed = _at_every_depth(lambda: summarise([1, Plain()]))

    assert {line["summary"] for line in found} <= {"[1, <Plain>]", "instance", "?"}
    assert failed <= 3  # the two calls that lead there, and the call itself


def test_many_summaries_stop_at_their_number_and_count_the_rest() -> None:
    items = [(f"v{i}", i) for i in range(10)]

    found, left_out = summarise_many(items, limit=3, budget_us=10_000_000)

    assert found == {f"v{i}": {"type": "int", "summary": str(i)} for i in range(3)}
    assert left_out == 7


def test_many_summaries_stop_when_their_time_is_used_up() -> None:
    assert summarise_many(iter([("a", 1), ("b", 2)]), limit=9, budget_us=0) == ({}, 2)


def test_a_name_that_is_no_plain_text_is_left_out() -> None:
    name: Any = ZOO["subclass of str"]()
    with watched() as touched:
        found = summarise_many([(name, 1), ("b", 2)], limit=9, budget_us=10_000_000)
    assert found == ({"b": {"type": "int", "summary": "2"}}, 1)
    assert touched == []


def test_a_stranger_in_the_place_of_a_library_is_not_entered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(name)

    replaced = types.ModuleType("fake_library")
    replaced.__dict__.update(Frame=Plain, Ghost=ZOO["class"]())
    monkeypatch.setitem(sys.modules, "fake_library", replaced)
    monkeypatch.setitem(sys.modules, "fake_lazy", Lazy("fake_lazy"))

    with watched() as touched:
        for module, name in (
            ("fake_library", "Frame"),
            ("fake_library", "Ghost"),
            ("fake_library", "Missing"),
            ("fake_lazy", "Frame"),
            ("not_imported", "Frame"),
        ):
            with pytest.raises(UnfamiliarError):
                class_in(module, name)
    assert touched == []
    assert loaded("fake_library")["Frame"] is Plain


def _check_form(found: dict[str, Any]) -> None:
    assert [key for key in FIELDS if key in found] == list(found)
    for key in ("type", "summary"):
        line = found[key]
        assert type(line) is str
        assert line.isprintable()
        assert 0 < len(line) <= 120


def _lines_until_interrupt(call: Callable[[], object]) -> int:
    """Interrupts `call` at its first line of ours, then at its second, and so on to the last."""
    package = str(Path(__file__).parents[2] / "flow_kernel")
    for stop in range(1, 1000):
        seen = 0

        def trace(frame: types.FrameType, event: str, _: object, stop: int = stop) -> Any:
            nonlocal seen
            if frame.f_code.co_filename.startswith(package) and event == "line":
                seen += 1
                if seen == stop:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt:
            continue
        finally:
            sys.settrace(before)
        return stop - 1
    raise AssertionError("it does not end")


def _at_every_depth(call: Callable[[], Any]) -> tuple[list[Any], int]:
    """The results of `call` with ever more stack left, and how often there was none for it."""
    found = []
    failed = 0

    def deeper() -> None:
        nonlocal failed
        with contextlib.suppress(RecursionError):
            deeper()
        try:
            found.append(call())
        except RecursionError:
            failed += 1

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        deeper()
    finally:
        sys.setrecursionlimit(limit)
    return found, failed
