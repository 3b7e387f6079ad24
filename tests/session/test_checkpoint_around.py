"""Whatever may run code of the notebook beside a cell is seen; our own threads are not counted."""

import _thread
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from IPython.lib.backgroundjobs import BackgroundJobManager

from flow_kernel.records.beside import Beside
from flow_kernel.session.checkpoints.reach_around import Around, look_around, look_beside
from tests.session.following import Session

MOST_S = 30.0


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


class Waiting:
    """Runs until it is told to end."""

    def __init__(self) -> None:
        self.runs, self.go, self.is_over = (threading.Event() for _ in range(3))

    def __call__(self) -> None:
        self.runs.set()
        self.go.wait(MOST_S)
        self.is_over.set()

    def end(self) -> None:
        self.go.set()
        assert self.is_over.wait(MOST_S)


def with_a_thread(waiting: Waiting) -> None:
    threading.current_thread()  # from now on Python has a Thread for it, which knows nothing
    try:
        waiting()
    finally:
        vars(threading)["_active"].pop(threading.get_ident(), None)  # kept for ever until 3.13


BEGIN: dict[str, Callable[[Any, Waiting], object]] = {
    "Thread": lambda shell, work: threading.Thread(target=work).start(),
    "_thread": lambda shell, work: _thread.start_new_thread(work, ()),
    "_thread that asked": lambda shell, work: _thread.start_new_thread(with_a_thread, (work,)),
    "ex": lambda shell, work: threading.Thread(target=shell.ex, args=("work()",)).start(),
    "run_cell": lambda shell, work: threading.Thread(
        target=shell.run_cell, args=("work()",)
    ).start(),
    "_thread and ex": lambda shell, work: _thread.start_new_thread(shell.ex, ("work()",)),
    "a job": lambda shell, work: BackgroundJobManager().new(work),
}


@pytest.mark.parametrize("begin", BEGIN.values(), ids=BEGIN)
def test_a_thread_counts_whoever_lends_it(
    session: Session, begin: Callable[[Any, Waiting], object]
) -> None:
    shell, work = session.shell, Waiting()
    known = Around.now(shell, is_first=False)
    session.namespace["work"], count = work, threading.active_count()
    begin(shell, work)
    try:
        assert work.runs.wait(MOST_S)
        assert look_beside(known) == ("another thread runs",)
        assert "another thread runs" in look_around(shell, known)
        if threading.active_count() > count:  # those of C alone are there without a Thread
            late = Around.now(shell, is_first=False)
            assert look_beside(late) == ("another thread runs",)
    finally:
        work.end()


def test_nothing_that_a_thread_had_at_that_moment_is_kept(session: Session) -> None:
    known, work, mine = Around.now(session.shell), Waiting(), [Waiting()]
    kept = weakref.ref(mine[0])

    def run() -> None:
        local = mine.pop()
        work()
        assert local

    thread = threading.Thread(target=run)
    gc.disable()
    try:
        thread.start()
        assert work.runs.wait(MOST_S)
        assert look_beside(known) == ("another thread runs",)
        work.end()
        thread.join(MOST_S)
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("asks", [True, False])
def test_a_thread_of_ours_does_not_count(session: Session, asks: bool) -> None:
    known, work = Around.now(session.shell), Waiting()
    with Beside(lambda: with_a_thread(work) if asks else work()):
        try:
            assert work.runs.wait(MOST_S)
            assert look_beside(known) == ()
        finally:
            work.end()


def test_a_handler_of_the_notebook_counts(session: Session) -> None:
    known = Around.now(session.shell)
    handle: Any = eval("lambda *_: None", {"__name__": "__main__"})
    before = signal.signal(signal.SIGALRM, handle)
    try:
        assert look_beside(known) == ("the notebook handles a signal",)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_watches_each_line_counts(session: Session) -> None:
    def watch(frame: FrameType, event: str, argument: object) -> None:
        return None

    known, before = Around.now(session.shell), sys.getprofile()
    sys.setprofile(watch)
    try:
        found = look_beside(known)
    finally:
        sys.setprofile(before)
    assert found == ("each line is watched",)
