"""Announcing: off until asked, in order from any thread, silent in a forked child."""

import os
import threading

import pytest

from flow_kernel.events import Event, read
from flow_kernel.session.announcer import Announcer

SESSION = "ab" * 16


class Lines:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.has_begun = False

    def begin(self) -> None:
        """Begin."""
        self.has_begun = True

    def put(self, line: str) -> None:
        """Keep it."""
        self.said.append(line)


class Broken(Lines):
    """An outlet that fails."""

    def put(self, line: str) -> None:
        """Fail."""
        raise OSError(line)


def _events(announcer: Announcer, lines: Lines) -> list[Event]:
    return [*read(lines.said, key=announcer.register().key)]


def test_nothing_is_told_until_an_agent_registers() -> None:
    announcer, lines = Announcer(SESSION), Lines()
    announcer.connect(lines)
    announcer.emit("task_start", task_id="T-0001")

    given = announcer.register()
    announcer.emit("task_finish", task_id="T-0001", status="done", reason=None)

    assert (given.is_on, given.seq, lines.has_begun) == (True, 0, True)
    (event,) = read(lines.said, key=given.key, session=SESSION, nonce=given.nonce)
    assert (event.name, event.seq) == ("task_finish", 1)
    assert event.fields == {"task_id": "T-0001", "status": "done"}


def test_registering_twice_gives_the_same_key_and_the_number_so_far() -> None:
    announcer = Announcer(SESSION, mode="1")
    announcer.connect(Lines())
    first = announcer.register()
    announcer.emit("task_start", task_id="T-0001")

    assert announcer.register() == first._replace(seq=1)


@pytest.mark.parametrize(("mode", "connects"), [("0", True), ("auto", False), ("1", False)])
def test_where_there_can_be_no_events_register_says_why(mode: str, connects: bool) -> None:
    announcer = Announcer(SESSION, mode=mode)
    if connects:
        announcer.connect(Lines())

    given = announcer.register()

    assert given.is_on is False
    assert given.reason


def test_what_was_kept_is_told_when_a_cell_begins_and_somebody_listens() -> None:
    announcer, lines = Announcer(SESSION), Lines()
    announcer.keep("death", of="0" * 32, reason="killed")
    announcer.connect(lines)
    announcer.begin_cell()
    assert lines.said == []

    announcer.register()
    announcer.begin_cell()
    announcer.begin_cell()

    assert [event.name for event in _events(announcer, lines)] == ["death"]


def test_many_threads_give_lines_that_a_reader_takes_without_exception() -> None:
    announcer, lines = Announcer(SESSION, mode="1"), Lines()
    announcer.connect(lines)

    def tell() -> None:
        for _ in range(300):
            announcer.emit("need_approval", code=2001, id="A-0001")

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [event.seq for event in _events(announcer, lines)] == [*range(1, 1201)]


def test_an_outlet_that_fails_and_a_name_that_is_none_raise_nothing() -> None:
    announcer = Announcer(SESSION, mode="1")
    announcer.connect(Broken())

    announcer.emit("task_start", task_id="T-0001")
    announcer.emit("no such event")
    announcer.end_cell()


def test_a_forked_child_is_silent() -> None:
    announcer, lines = Announcer(SESSION, mode="1"), Lines()
    announcer.connect(lines)

    pid = os.fork()
    if not pid:
        announcer.emit("task_start", task_id="T-0001")
        announcer.end_cell()
        os._exit(len(lines.said))

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    announcer.emit("task_start", task_id="T-0001")
    assert [event.seq for event in _events(announcer, lines)] == [1]


def test_after_the_way_out_is_gone_nothing_is_told() -> None:
    announcer, lines = Announcer(SESSION, mode="1"), Lines()
    announcer.connect(lines)
    announcer.disconnect()

    announcer.emit("task_start", task_id="T-0001")

    assert lines.said == []
