"""What the board tells of a worker's past: its own, or that of its name."""

from flow_kernel.records.home import Home
from flow_kernel.workers.lifecycle import State
from tests.session.isolation.test_board import Stub, board_of, home, tell

__all__ = ["home"]  # a fixture


def test_a_worker_whose_name_is_the_id_of_another_has_its_own_history(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub(worker_id="w1", name="w2"), Stub(worker_id="w2", name=None))
    board.note("w1", "idle", "begun")
    board.note("w2", "blocked", "deadlock")
    tell(board, Stub(worker_id="w2", name=None, state=State.DEAD))
    board.note("w1", "blocked", "gil_held")
    [line] = board.page.workers
    assert [reason for _, _, reason in line.history] == ["begun", "gil_held"]
