"""Work beside a thread: its result, its error, and its end are those of the block."""

import threading

import pytest

from flow_kernel.records.beside import Beside


def test_it_runs_in_another_thread_and_gives_its_result() -> None:
    here = threading.get_ident()
    with Beside(threading.get_ident, name="t") as beside:
        pass
    assert beside.result() != here


def test_what_it_raises_is_raised_where_somebody_waits_for_it() -> None:
    with Beside(lambda: 1 // 0, name="t") as beside:
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

    with pytest.raises(KeyError), Beside(work, name="t"):
        fail()
    assert done.is_set()


def test_without_threads_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of threads cannot be reached here without harm to others."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Beside(threading.get_ident, name="t") as beside:
        assert beside.result() == threading.get_ident()
