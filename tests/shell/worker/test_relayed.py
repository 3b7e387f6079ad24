"""Errors of a worker as the session raises them again."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_kernel.shell.worker.relayed import RelayedError, relayed


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ZeroDivisionError", ZeroDivisionError), ("KeyError", KeyError), ("OSError", OSError),
     ("KeyboardInterrupt", KeyboardInterrupt), ("SystemExit", SystemExit)],
)  # fmt: skip
def test_a_class_of_python_is_caught_as_such(name: str, kind: type[BaseException]) -> None:
    error = relayed({"ename": name, "evalue": "why", "traceback": ["line"]})
    assert isinstance(error, kind)
    assert type(error).__name__ == name
    assert error._render_traceback_() == ["line"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["MyError", "UnicodeDecodeError", "print", "Warning", ""])
def test_any_other_keeps_its_words(name: str) -> None:
    error = relayed({"ename": name, "evalue": "why", "traceback": None})
    assert isinstance(error, RelayedError | Warning)
    assert str(error) == "why"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["ename", "evalue", "traceback"]), st.text() | st.none()
                       | st.lists(st.text() | st.integers())))  # fmt: skip
def test_whatever_a_worker_says_becomes_an_error(reply: dict[str, object]) -> None:
    assert isinstance(relayed(reply), BaseException)
