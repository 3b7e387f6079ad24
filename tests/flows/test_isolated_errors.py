"""Errors of isolated cells: shown once, in the way of a local cell, and raised in the session."""

import re
import sys

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@promise("isolated.relay")
def test_an_error_is_shown_once_and_fails_the_reply(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\ndef f():\n    return 1 / 0\nf()")
    assert [m["msg_type"] for m in ran.messages] == ["error"]
    assert ran.error is not None
    assert (ran.error["ename"], ran.error["evalue"]) == ("ZeroDivisionError", "division by zero")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(ran.error["traceback"]))
    assert "return 1 / 0" in shown
    assert ran.reply["ename"] == "ZeroDivisionError"


@promise("isolated.relay")
@pytest.mark.parametrize("code", ["%nosuch", "%%nosuch\n1"])
def test_an_error_that_ipython_shows_in_a_line_is_shown_once(kernel: Kernel, code: str) -> None:
    local, isolated = kernel.run(code), kernel.run(f"%%isolated\n{code}")
    assert isolated.stderr == local.stderr != ""
    assert isolated.reply["evalue"] == local.reply["evalue"]
    assert isolated.of("error") == []


@promise("isolated.relay")
def test_an_error_in_a_line_of_a_cell_that_awaits_shows_no_older_one(kernel: Kernel) -> None:
    kernel.run("%%isolated\n1 / 0")
    ran = kernel.run("%%isolated\nimport asyncio\nawait asyncio.sleep(0)\n%nosuch")
    assert (ran.reply["ename"], ran.of("error"), ran.stderr.count("%nosuch")) == (
        "UsageError",
        [],
        1,
    )


@promise("isolated.relay")
def test_a_way_of_ones_own_to_show_errors_in_lines_stays(kernel: Kernel) -> None:
    ok(kernel, "get_ipython().show_usage_error = lambda error: print('mine', error)")
    kernel.run("%%isolated\n%nosuch")
    assert kernel.run("%other").stdout.startswith("mine")
    ok(kernel, "del get_ipython().show_usage_error")


@promise("isolated.relay")
def test_an_error_in_a_line_that_was_caught_hides_no_other_one(kernel: Kernel) -> None:
    caught = (
        "from IPython.core.error import UsageError\n"
        "try: get_ipython().run_cell_magic('isolated', '', '%nosuch')\n"
        "except UsageError: pass"
    )
    assert kernel.run(caught).stderr.count("%nosuch") == 1
    ran = kernel.run(f"for _ in range(2):\n    {caught.replace(chr(10), chr(10) + '    ')}")
    assert ran.stderr.count("%nosuch") == 2
    assert ok(kernel, "'show_usage_error' in vars(get_ipython())") == "False"
    assert "%other" in kernel.run("%other").stderr


@promise("isolated.relay")
def test_code_of_the_session_catches_the_error_by_its_class(kernel: Kernel) -> None:
    code = (
        "try:\n    get_ipython().run_cell_magic('isolated', '', '1/0')\n"
        "except ZeroDivisionError as error:\n    print('caught', error)"
    )
    assert ok(kernel, code) == "caught division by zero\n"
