"""Marks of cells that are scripts of bash, and the order that they make (pure)."""

import pytest

from flow_kernel.errors import UsageError
from flow_kernel.shell.isolated.routing import (
    Marks,
    Order,
    of_comment,
    of_magic,
    of_metadata,
    resolve,
)

NOTHING = Marks()


def order(magic: str | None, metadata: Marks = NOTHING, *, by_type: bool = False) -> Order | None:
    said = None if magic is None else of_magic(magic)
    return resolve(said, metadata, NOTHING, NOTHING, by_type=by_type, isolate_all=False)


@pytest.mark.parametrize(
    ("line", "timeout_s"), [("--shell", 300.0), ("--shell --timeout 1h", 3600.0), ("", None)]
)
def test_a_script_gets_five_minutes_where_nothing_is_said(
    line: str, timeout_s: float | None
) -> None:
    found = order(line)
    assert found is not None
    assert found.limits.timeout_s == timeout_s
    assert (found.is_shell, found.inputs) == ("--shell" in line, "none" if line else "auto")


def test_a_lower_place_gives_the_limit_of_a_script() -> None:
    found = order("--shell", of_metadata({"flow": {"timeout": 20, "in": "auto"}}))
    assert found is not None
    assert (found.limits.timeout_s, found.inputs) == (20.0, "none")


def test_a_task_type_isolates_a_script_and_no_isolation_refuses_it() -> None:
    mark = of_comment("# flow: shell")
    found = order(None, mark, by_type=True)
    assert found is not None
    assert found.is_shell
    with pytest.raises(UsageError, match="a script of bash runs in a worker only"):
        order(None, mark)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"out": "x"}, "--out gives nothing"),
        ({"in": "x"}, "--in brings nothing"),
        ({"fork": True}, "a copy of the session is of no use"),
    ],
)
def test_what_another_place_says_of_variables_is_refused_too(
    metadata: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        order("--shell", of_metadata({"flow": metadata}))


def test_a_lower_place_may_say_that_it_is_none_after_all() -> None:
    assert order("--shell", of_metadata({"flow": {"shell": False, "isolated": False}})) is not None
    found = order("", of_metadata({"flow": {"shell": False}}))
    assert found is not None
    assert not found.is_shell
