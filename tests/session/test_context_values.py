"""Values and keys that a context can hold, and those that it refuses."""

import datetime
import enum
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import UsageError
from flow_kernel.session.context_values import encoded
from flow_kernel.session.flow import Flow
from tests.records.journals import many
from tests.store.stores import flow_on

TASK = "T-0001"


class _Colour(enum.Enum):
    RED = "red"


class _Text(str):
    __slots__ = ()


@dataclass
class _Point:
    x: int = 1


_DEEP: list[Any] = []
_DEEP.append(_DEEP)

NOT_JSON = {
    "NaN": math.nan,
    "infinity": math.inf,
    "NaN inside": [{"a": [math.nan]}],
    "set": {1},
    "bytes": b"x",
    "datetime": datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC),
    "date inside": {"a": [datetime.date(2026, 11, 21)]},
    "number as a key": {1: "a"},
    "None as a key": {"a": {None: 1}},
    "lone surrogate": "\ud800",
    "lone surrogate inside": ["a", {"b": "\udfff"}],
    "lone surrogate as a key": {"\ud800": 1},
    "object": object(),
    "class": int,
    "dataclass": _Point(),
    "enumeration": _Colour.RED,
    "enumeration inside": [_Colour.RED],
    "UUID": uuid.UUID(int=1),
    "decimal": Decimal(1),
    "subclass": _Text("x"),
    "complex": 1j,
    "too long a number": 2**64,
    "inside itself": _DEEP,
    "generator": (n for n in ()),
}
NO_KEYS: dict[str, Any] = {
    "number": 1,
    "None": None,
    "bytes": b"k",
    "tuple": ("a",),
    "subclass": _Text("k"),
    "empty": "",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800",
    "501 characters": "k" * 501,
}


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    """A home with T-0001."""
    with flow_on(tmp_path / ".flow") as flow:
        yield flow


@pytest.mark.parametrize("value", [*NOT_JSON.values()], ids=[*NOT_JSON])
@pytest.mark.parametrize("merge", [True, False])
def test_a_value_that_is_not_json_is_named_and_nothing_is_written(
    flow: Flow, value: object, merge: bool
) -> None:
    flow.update_task_context(TASK, {"k": 1})
    with pytest.raises(UsageError, match=r"context key 'bad' is not JSON .*nothing was written"):
        flow.update_task_context(TASK, {"good": 1, "bad": value, "k": 2}, merge=merge)
    assert flow.get_task_context(TASK) == {"k": 1}
    assert flow.context_history(TASK, "good") == []
    with pytest.raises(UsageError, match="'k' is not JSON"):
        flow.tasks_with("k", value)


@pytest.mark.parametrize("key", [*NO_KEYS.values()], ids=[*NO_KEYS])
def test_a_key_that_is_no_text_is_named_and_nothing_is_written(flow: Flow, key: Any) -> None:
    with pytest.raises(UsageError, match="context key") as told:
        flow.update_task_context(TASK, {"good": 1, key: 1})
    assert "nothing was written" in str(told.value)
    assert str(told.value).encode()
    assert flow.get_task_context(TASK) == {}


@pytest.mark.parametrize("context", [None, [("k", 1)], "k", 1, {"k"}])
def test_a_context_that_is_no_mapping_is_refused(flow: Flow, context: Any) -> None:
    with pytest.raises(UsageError, match="a context is a dict, not"):
        flow.update_task_context(TASK, context)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@many
@given(value=_JSON)
def test_a_json_value_has_one_form_whatever_the_order_of_its_keys(value: object) -> None:
    assert encoded({"k": value}) == encoded({"k": _turned(value)})


def _turned(value: object) -> object:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


def test_json_values_come_back_as_they_were(flow: Flow) -> None:
    @many
    @given(context=st.dictionaries(st.text(min_size=1).filter(lambda key: "\0" not in key), _JSON))
    def come_back(context: dict[str, object]) -> None:
        found = flow.set_task_context(TASK, context)
        assert found == context
        assert repr(_sorted(found)) == repr(_sorted(context))

    come_back()


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
