"""Calls of a worker as text: arguments, values and errors arrive as what they were."""

import inspect
import json
import pickle
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError

from flow_kernel import errors
from flow_kernel.errors import FlowError, IsolationUnavailable, UsageError
from flow_kernel.shell import magic_set
from flow_kernel.shell.worker.call_wire import (
    Shown,
    call_text,
    error_text,
    read_call,
    value_of,
    value_text,
)
from flow_kernel.shell.worker.magics import LINE_MAGICS

OURS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not FlowError]
DATA: dict[str, Any] = {
    "approval_id": "A-0001", "decided_by": None, "decided_at": "now", "variables": ("a", "b"),
    "worker_id": "w1", "reason": "exit", "timeout_s": 2.5, "damaged": 3, "extra": "lab",
    "returncode": 3, "run_id": "R-0001", "step_id": "load", "state": "error",
    "rev": 7, "problems": ("steps[0]: no", "steps[1]: no"),
}  # fmt: skip


def made(kind: type[FlowError]) -> FlowError:
    """One error of that class, with all the data that it takes."""
    takes = inspect.signature(kind.__init__).parameters
    hint = {"hint": "try it"} if "hint" in takes else {}
    return kind("it went wrong", **{k: v for k, v in DATA.items() if k in takes}, **hint)


@pytest.mark.parametrize("kind", [k for k in OURS if issubclass(k, FlowError)])
def test_an_error_of_ours_arrives_as_its_own_class_with_its_data(kind: type[FlowError]) -> None:
    error = made(kind)

    with pytest.raises(kind) as raised:
        value_of(error_text(error))

    assert type(raised.value) is kind
    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


def test_an_answer_that_stands_below_the_cell_already_is_told_in_one_line() -> None:
    class Answer:
        is_shown = True

        def __repr__(self) -> str:
            return "R-0001 etl: success"

        def _repr_html_(self) -> str:
            return "<svg></svg>"

    there, answer = value_of(value_text(Answer())), Answer()
    answer.is_shown = False
    again = value_of(value_text(answer))

    assert isinstance(there, Shown)
    assert isinstance(again, Shown)
    assert (repr(there), there._repr_html_()) == ("R-0001 etl: success", None)
    assert (repr(again), again._repr_html_()) == ("R-0001 etl: success", "<svg></svg>")


def test_other_errors_arrive_as_far_as_there_is_a_class_for_them() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(IPythonUsageError, match="%task: no"):
        value_of(error_text(IPythonUsageError("%task: no")))
    with pytest.raises(ZeroDivisionError, match="by zero"):
        value_of(error_text(ZeroDivisionError("by zero")))
    with pytest.raises(Exception, match=r"\Z") as raised:
        value_of(error_text(Odd()))
    assert type(raised.value).__name__ == "Odd"


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "é\ud800", [1, {"a": None}], {"b": []}])
def test_json_arrives_as_it_was(value: object) -> None:
    assert value_of(value_text(value)) == value
    assert value_text(value).isascii()


def test_what_is_no_json_arrives_as_it_shows_itself_and_as_true_as_it_was() -> None:
    class Card:
        def __bool__(self) -> bool:
            return False

        def __repr__(self) -> str:
            return "rejected"

        def _repr_html_(self) -> str:
            return "<b>rejected</b>"

    shown = value_of(value_text(Card()))

    assert isinstance(shown, Shown)
    assert (shown, repr(shown), bool(shown)) == ("rejected", "rejected", False)
    assert shown._repr_html_() == "<b>rejected</b>"
    again = pickle.loads(pickle.dumps(shown))
    assert (again, bool(again), again._repr_html_()) == ("rejected", False, "<b>rejected</b>")


@pytest.mark.parametrize(
    "value", [object(), float("nan"), {1: 2}, [{"a": {1}}], 1 << 70, b"bytes", ["\ud800"]]
)
def test_an_argument_that_is_no_json_is_named(value: object) -> None:
    with pytest.raises(UsageError, match=r"payload is not JSON \(.*\); nothing was done"):
        call_text("approve", {"message": "Go?", "payload": value})


def test_text_that_is_no_utf_8_goes_through() -> None:
    assert read_call(call_text("log", {"text": "a\ud800"})) == ("log", {"text": "a\ud800"})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"op": 1, "args": {}}', '{"op": "log"}', "[" * 100_000]
)
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="that is none"):
        read_call(text)


def test_no_answer_means_that_the_cell_has_ended() -> None:
    with pytest.raises(IsolationUnavailable, match="did not take the call"):
        value_of("")


def test_the_line_magics_of_a_worker_are_those_of_a_session() -> None:
    assert set(magic_set._NAMES["line"]) == set(LINE_MAGICS)


def test_an_error_with_odd_attributes_is_told_without_them() -> None:
    error = UsageError("no")
    error._render_traceback_ = list  # type: ignore[attr-defined]  # IPython's protocol

    assert json.loads(error_text(error))["error"]["data"] == {}
