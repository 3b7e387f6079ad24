"""What the board tells of the queue, and of a worker's past: its own, or that of its name."""

from flow_kernel.records.home import Home
from flow_kernel.session.isolation.worker_looks import read
from flow_kernel.workers.lifecycle import State
from tests.session.isolation.test_board import SESSION, Stub, board_of, home, tell

__all__ = ["home"]  # a fixture


def test_how_many_wait_is_told_as_well(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub())
    board.waits(2)

    assert read(home.workers_path(SESSION)) == board.page
    assert board.page.queue == 2


def test_what_was_noted_is_told_with_the_next_one_of_the_name_too(home: Home) -> None:
    board = board_of(home)
    first = Stub(name="a")
    tell(board, first)
    board.note("w1", "idle", "zygote")
    first.state = State.DEAD
    tell(board, first)
    board.note("w1", "dead", "segfault")
    tell(board, Stub(worker_id="w2", name="a"))
    board.note("w2", "idle", "zygote")

    [line] = board.page.workers
    assert read(home.workers_path(SESSION)) == board.page
    assert [noted[1:] for noted in line.history] == [
        ("idle", "zygote"), ("dead", "segfault"), ("idle", "zygote"),
    ]  # fmt: skip


def test_a_worker_whose_name_is_the_id_of_another_has_its_own_history(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub(worker_id="w1", name="w2"), Stub(worker_id="w2", name=None))
    board.note("w1", "idle", "begun")
    board.note("w2", "blocked", "deadlock")
    tell(board, Stub(worker_id="w2", name=None, state=State.DEAD))
    board.note("w1", "blocked", "gil_held")
    [line] = board.page.workers
    assert [reason for _, _, reason in line.history] == ["begun", "gil_held"]
