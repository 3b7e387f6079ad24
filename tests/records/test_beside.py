"""Work beside a thread: its result, its error, and its end are those of the block."""

import _thread
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

from flow_kernel.records.beside import Beside, GivenUp, Stop, both

MOST_S = 30.0


def test_it_runs_in_another_thread_and_gives_its_result() -> None:
    here = threading.get_ident()
    with Beside(threading.get_ident) as beside:
        pass
    assert beside.result() != here


def test_what_it_raises_is_raised_where_somebody_waits_for_it() -> None:
    with Beside(lambda: 1 // 0) as beside:
        pass
    with pytest.raises(ZeroDivisionError):
        beside.result()


def test_the_block_ends_after_it_even_with_an_error() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        done.set()

    def fail() -> None:
        go.set()
        raise KeyError("ours")

    with pytest.raises(KeyError), Beside(work):
        fail()
    assert done.is_set()


def refuse(*_: object) -> int:
    raise RuntimeError("can't start new thread")


def test_without_threads_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of threads cannot be reached here without harm to others."""
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    with Beside(threading.get_ident) as beside:
        assert beside.result() == threading.get_ident()


def test_a_trace_function_for_threads_that_fails_keeps_nothing_from_being_done() -> None:
    def fail(frame: FrameType, event: str, argument: object) -> None:
        raise ValueError("the user's")

    threading.settrace(fail)
    try:
        with Beside(threading.get_ident) as beside:
            pass
    finally:
        threading.settrace(None)
    assert beside.result() != threading.get_ident()


class Work:
    """Goes on until it is stopped; knows whether it has ended."""

    def __init__(self) -> None:
        self.stop = Stop()
        self.has_begun = threading.Event()
        self.has_ended = False

    def __call__(self) -> str:
        self.has_begun.set()
        try:
            while True:
                self.stop.check()
        finally:
            self.has_ended = True


def interrupt_in(function: object) -> None:
    """Interrupt the main thread once it is in something that waits for work beside it."""
    main = threading.main_thread().ident
    assert main is not None
    while not _is_in(function, main):
        pass
    signal.pthread_kill(main, signal.SIGINT)


def _is_in(function: object, thread: int) -> bool:
    frame: FrameType | None = sys._current_frames()[thread]
    while frame is not None and frame.f_code is not function.__code__:  # type: ignore[attr-defined]
        frame = frame.f_back
    return frame is not None


def test_an_interrupt_of_the_wait_is_raised_once_the_work_has_ended() -> None:
    work = Work()

    def run() -> str:
        interrupt_in(Beside._wait)
        return work()

    with pytest.raises(KeyboardInterrupt), Beside(run, stop=work.stop):
        pass
    assert work.has_ended


def test_an_interrupt_as_the_thread_is_begun_is_raised_once_the_work_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work()
    start = _thread.start_new_thread

    def begin(run: Callable[[], object], arguments: tuple[()]) -> int:
        ident = start(run, arguments)
        assert work.has_begun.wait(MOST_S)
        signal.raise_signal(signal.SIGINT)
        return ident

    monkeypatch.setattr(_thread, "start_new_thread", begin)
    with pytest.raises(KeyboardInterrupt), Beside(work, stop=work.stop):
        pytest.fail("the block was entered")
    assert work.has_ended


def test_an_interrupt_as_the_wait_begins_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No interrupt can be sent to one line; the first call stands for one that it comes to."""
    work, end = Work(), Beside.end
    first = iter([KeyboardInterrupt()])

    def interrupted(self: "Beside[str]") -> None:
        for interrupt in first:
            raise interrupt
        end(self)

    monkeypatch.setattr(Beside, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        both(work.has_begun.wait, work, stop=work.stop)
    assert work.has_ended


def test_what_an_interrupt_has_stopped_that_nobody_raises_is_done_again() -> None:
    told: list[int] = []
    work = Work()

    def run() -> str:
        if work.has_begun.is_set():
            return "done"
        interrupt_in(threading.Event.wait)  # as noted; before, it is for the handler alone
        return work()

    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        with Beside(run, stop=work.stop) as beside:
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert beside.result() == "done"
    assert told == [signal.SIGINT]


def test_where_one_of_both_fails_the_other_is_stopped() -> None:
    work = Work()

    def fail() -> None:
        assert work.has_begun.wait(MOST_S)
        raise KeyError("ours")

    with pytest.raises(KeyError):
        both(fail, work, stop=work.stop)
    assert work.has_ended


def test_both_results_come_back() -> None:
    here, other = both(threading.get_ident, threading.get_ident, stop=Stop())
    assert here == threading.get_ident() != other


def test_what_stops_work_stops_its_parts() -> None:
    outer = Stop()
    inner = Stop(outer)
    inner.check()
    outer.is_set = True
    for stop in (inner, outer):
        with pytest.raises(GivenUp):
            stop.check()
