"""How scripts end, in words, whatever their worker tells (pure)."""

import pytest

from flow_kernel.errors import IsolationUnavailable, ScriptFailed
from flow_kernel.session.isolation.script_ends import left_running, script_error


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "the script ended with exit code 1"),
        (126, "the script ended with exit code 126: a command cannot be executed"),
        (127, "the script ended with exit code 127: a command was not found"),
        (128, "the script ended with exit code 128"),
        (137, "the script ended with exit code 137: SIGKILL has ended its last command"),
        (255, "the script ended with exit code 255"),
        (-15, "the script was ended by SIGTERM"),
        (-99, "the script was ended by signal 99"),
    ],
)
def test_a_code_is_told_as_bash_means_it(code: int, told: str) -> None:
    error = script_error({"returncode": code, "was_interrupted": False})
    assert isinstance(error, ScriptFailed)
    assert isinstance(error, ChildProcessError)
    assert (str(error), error.returncode) == (told, code)
    assert error._render_traceback_() == [f"ScriptFailed: {told}"]


def test_a_script_that_was_stopped_is_an_interrupt_and_one_without_bash_was_not_run() -> None:
    stopped = script_error({"returncode": -2, "was_interrupted": True})
    assert isinstance(stopped, KeyboardInterrupt)
    assert isinstance(script_error({"is_missing": True}), IsolationUnavailable)


@pytest.mark.parametrize("told", [None, 3, [], {}, {"returncode": "3"}, {"returncode": True}])
def test_what_is_no_end_of_a_script_is_none(told: object) -> None:
    assert script_error(told) is None
    assert left_running(told) == ""


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (0, ""),
        (1, "a process that the script left running was ended"),
        (3, "3 processes that the script left running were ended"),
    ],
)
def test_what_was_left_running_is_counted(left: int, told: str) -> None:
    assert left_running({"returncode": 0, "left": left}).startswith(told)
    assert left_running({"returncode": 0, "left": left, "was_interrupted": True}) == ""
