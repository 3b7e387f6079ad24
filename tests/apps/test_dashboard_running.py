"""Which cells the dashboard says run now: those that have begun in sessions that live."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_kernel.apps.server.running import MOST_CELLS, RunningCells
from flow_kernel.records import lease
from flow_kernel.records.home import Home
from tests.apps.sample_log import SampleLog
from tests.sandboxes import wait_for

PROGRAM = """
import sys
from pathlib import Path
from flow_kernel.records import lease
lease.take(Path(sys.argv[1]), session=sys.argv[2], plan_id='local', task_id='T-0001',
           started_at='2026-03-02T09:30:00.000Z', notebook='')
print('here', flush=True)
sys.stdin.read()
"""
SESSION = "a" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.ensure()
    return home


@pytest.fixture
def live(home: Home) -> Callable[[str], None]:
    """A session lives, in this process."""

    def begin(session: str = SESSION) -> None:
        lease.take(
            home.run_dir,
            session=session,
            plan_id="local",
            task_id="T-0001",
            started_at="2026-03-02T09:30:00.000Z",
            notebook="",
        )

    return begin


def texts(cells: RunningCells) -> list[object] | None:
    found = cells.news()
    return None if found is None else [row["text"] for row in found]


def test_what_began_and_has_not_ended_is_found_at_the_ends_of_logs(
    home: Home, live: Callable[[], None]
) -> None:
    live()
    log, other = SampleLog(home.root), SampleLog(home.root, session=SESSION, task="T-0002")
    log.cell("over")
    elsewhere = log.start("began_here()")
    other.end(elsewhere)  # a cell that has begun another task
    log.start("slow()")
    SampleLog(home.root, session="b" * 32, task="T-0003").start("its session has ended")
    cells = RunningCells(home)
    cells.find()

    assert texts(cells) == ["slow()"]
    assert texts(cells) is None


def test_what_is_found_and_then_told_once_more_counts_once(
    home: Home, live: Callable[[], None]
) -> None:
    live()
    log = SampleLog(home.root)
    began = log.start("slow()")
    cells = RunningCells(home)
    cells.find()
    cells.follow([began])
    assert texts(cells) == ["slow()"]
    cells.follow([log.end(began), log.death()])

    assert texts(cells) == []


def test_what_is_damaged_or_cut_hides_nothing(home: Home, live: Callable[[], None]) -> None:
    live()
    log = SampleLog(home.root)
    log.put("cell", code="x" * 3 * 2**20, span_id="long")
    log.raw(b'{"v":1,"kind":"cell_started","session":"' + SESSION.encode() + b'", torn\n')
    log.start("slow()")
    log.raw(b'{"v":1,"kind":"cell","session":"')
    cells = RunningCells(home)
    cells.find()

    assert texts(cells) == ["slow()"]


def test_a_flood_of_beginnings_is_bounded(home: Home, live: Callable[[], None]) -> None:
    live()
    log = SampleLog(home.root)
    cells = RunningCells(home)
    cells.follow(log.start(f"n = {number}") for number in range(MOST_CELLS + 5))

    assert texts(cells) == [f"n = {number}" for number in range(5, MOST_CELLS + 5)]


def test_a_session_that_was_killed_runs_nothing(home: Home) -> None:
    peer = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home.run_dir), SESSION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.fspath(Path(__file__).parents[2]),
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    with peer, peer.stdin, peer.stdout:
        assert peer.stdout.readline() == b"here\n"
        SampleLog(home.root).start("slow()")
        cells = RunningCells(home)
        cells.find()
        assert texts(cells) == ["slow()"]
        peer.kill()
        peer.wait()
        wait_for(lambda: texts(cells) == [])
