"""A log that nobody takes records from makes none, and whoever takes them gets them."""

import io
import logging

import pytest

from flow_kernel.shell.overrides.quiet_log import AskingLogger, ask_first
from tests.kernels import Kernel


@pytest.fixture
def log() -> logging.Logger:
    made = _logger()
    made.setLevel(logging.DEBUG)
    made.addHandler(logging.StreamHandler(io.StringIO()))
    made.handlers[0].setLevel(logging.WARNING)
    made.propagate = False
    ask_first(made)
    return made


def _logger() -> logging.Logger:
    return logging.Logger("of a test")  # noqa: LOG001 - no other test has it


def _told(log: logging.Logger) -> str:
    handler = log.handlers[-1]
    assert isinstance(handler, logging.StreamHandler)
    return str(handler.stream.getvalue())


def test_a_record_that_no_handler_takes_is_not_made(log: logging.Logger) -> None:
    made: list[str] = []
    log.addFilter(lambda record: made.append(record.msg) or True)

    log.debug("small talk")
    log.warning("heed this")

    assert (made, _told(log)) == (["heed this"], "heed this\n")


def test_a_handler_that_is_added_later_sees_everything(log: logging.Logger) -> None:
    log.debug("before")
    log.addHandler(logging.StreamHandler(io.StringIO()))
    log.debug("after")
    assert _told(log) == "after\n"
    log.removeHandler(log.handlers[-1])
    log.debug("nobody")
    assert _told(log) == ""


def test_levels_that_are_changed_count(log: logging.Logger) -> None:
    log.info("before")
    log.handlers[0].setLevel(logging.INFO)
    log.info("after")
    log.setLevel(logging.ERROR)
    log.warning("too little")
    log.disabled = True
    log.error("silenced")

    assert _told(log) == "after\n"


def test_handlers_of_those_above_are_asked_where_records_go_there(log: logging.Logger) -> None:
    above = _logger()
    above.addHandler(logging.StreamHandler(io.StringIO()))
    log.parent = above
    log.debug("kept back")
    log.propagate = True
    log.debug("passed on")

    assert _told(above) == "passed on\n"


def test_one_without_any_handler_is_as_pythons() -> None:
    log = _logger()
    log.setLevel(logging.DEBUG)
    log.propagate = False
    ask_first(log)

    assert log.isEnabledFor(logging.DEBUG)


def test_one_of_another_class_stays_as_it_is() -> None:
    class Theirs(logging.Logger):
        pass

    theirs, adapter = Theirs("theirs"), logging.LoggerAdapter(_logger(), {})
    ask_first(theirs)
    ask_first(adapter)

    assert type(theirs) is Theirs
    assert type(adapter) is logging.LoggerAdapter


def test_a_kernel_says_little_unless_it_is_asked_and_then_everything() -> None:
    with Kernel() as kernel:
        kernel.ready().run("1")
        kind = kernel.run("type(get_ipython().kernel.log).__name__").result
        kernel.run(
            "import io, logging\nheard = io.StringIO()\n"
            "handler = logging.StreamHandler(heard)\n"
            "get_ipython().kernel.log.addHandler(handler)"
        )
        heard = kernel.run("'execute_request' in heard.getvalue()").result
        assert (kind, heard) == (repr(AskingLogger.__name__), "True")
        assert "execute_request" not in kernel.said()
    with Kernel(arguments=["--debug"]) as kernel:
        kernel.ready().run("1")
        assert "execute_request" in kernel.said()
