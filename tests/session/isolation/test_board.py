"""The board tells any process of the workers of a session, and never half of it."""

import functools
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.process import start_time, this_process
from flow_kernel.session.isolation.board import Board, WorkerLine, parse
from flow_kernel.session.isolation.worker_looks import Looks, WorkerView, find, read
from flow_kernel.session.isolation.worker_text import cells_of, document_of, health_of
from flow_kernel.workers.lifecycle import State

SESSION = "ab" * 16
CHANGES = 300


@dataclass
class Stub:
    """What the board reads of a worker; a real one needs a kernel."""

    worker_id: str = "w1"
    name: str | None = "default"
    state: State = State.IDLE
    kind: str = "zygote"
    is_far: bool = False
    pid: int = field(default_factory=os.getpid)
    restarts: int = 0
    started_s: float = field(default_factory=time.monotonic)
    heartbeat_s: float = 1_700_000_000.25
    doing: str | None = None


def board_of(home: Home, session: str = SESSION) -> Board:
    home.ensure()
    return Board(home.workers_path(session), session=session, place=lambda: "local/T-0007")


def tell(board: Board, *workers: Any) -> None:
    for worker in workers:
        board.change(worker)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".flow")


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing until it is ended."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_page_tells_each_worker_with_its_process_and_its_task(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub(), Stub(worker_id="w2", name=None))
    tell(board, Stub(state=State.BUSY, restarts=2))

    page = read(home.workers_path(SESSION))

    assert page == board.page
    first, second = page.workers
    assert first == WorkerLine(
        worker_id="w1",
        name="default",
        state="busy",
        kind="zygote",
        pid=os.getpid(),
        process_start=start_time(os.getpid()) or "",
        task_id="local/T-0007",
        started_at=first.started_at,
        restarts=2,
        heartbeat_at="2023-11-14T22:13:20.250Z",
    )
    assert (second.name, second.state, second.task_id) == (None, "idle", None)
    assert (page.session, page.process) == (SESSION, this_process())


def test_a_cell_keeps_its_task_while_it_runs(home: Home) -> None:
    tasks = iter(["local/T-0001", "local/T-0002"])
    home.ensure()
    board = Board(home.workers_path(SESSION), session=SESSION, place=lambda: next(tasks))

    found = []
    for state in (State.BUSY, State.BLOCKED, State.BUSY, State.IDLE, State.BUSY):
        tell(board, Stub(state=state))
        found.append(board.page.workers[0].task_id)

    assert found == ["local/T-0001"] * 3 + [None, "local/T-0002"]


def test_the_file_is_private_and_written_over_in_place(home: Home) -> None:
    board, path = board_of(home), home.workers_path(SESSION)
    tell(board, *(Stub(worker_id=f"w{number}") for number in range(9)))
    before = path.stat()

    tell(board, *(Stub(worker_id=f"w{number}", state=State.DEAD) for number in range(1, 9)))

    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o600
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert [line.worker_id for line in parse(path.read_bytes()).workers] == ["w0"]  # type: ignore[union-attr]  # it is whole
    assert json.loads(path.read_bytes())["v"] == 2


def test_a_worker_that_is_dead_is_told_of_no_more_and_who_waits_for_that_hears_it(
    home: Home,
) -> None:
    board, worker = board_of(home), Stub()
    tell(board, worker)
    assert not board.wait_until_gone("w1", 0)
    worker.state = State.DEAD

    thread = threading.Thread(target=tell, args=(board, worker))
    thread.start()

    assert board.wait_until_gone("w1", 10)
    thread.join()
    assert board.page.workers == ()


def test_a_closed_board_leaves_no_file_and_makes_none(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub())

    board.close()
    tell(board, Stub())

    assert [*home.run_dir.iterdir()] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_of_the_session_neither_writes_nor_removes_its_page(home: Home) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from tests.session.isolation.test_board import *\n"
        "home = Home(pathlib.Path(sys.argv[1]))\n"
        "board = board_of(home)\n"
        "tell(board, Stub())\n"
        "if not os.fork():\n"
        "    tell(board, Stub(worker_id='w2'))\n"
        "    board.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )

    subprocess.run([sys.executable, "-c", program, str(home.root)], check=True, timeout=50)

    page = read(home.workers_path(SESSION))
    assert page is not None
    assert [line.worker_id for line in page.workers] == ["w1"]


def test_a_disk_that_refuses_costs_the_session_nothing(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.workers"
    board = Board(path, session=SESSION, place=lambda: "local/T-0000")

    tell(board, Stub())
    board.close()

    assert [line.worker_id for line in board.page.workers] == ["w1"]


def test_who_reads_while_others_write_reads_whole_pages(home: Home) -> None:
    board, path = board_of(home), home.workers_path(SESSION)
    tell(board, *(Stub(worker_id=f"w{number}") for number in range(40)))

    def write(numbers: range) -> None:
        for count in range(CHANGES):
            number = numbers[count % len(numbers)]
            state = State.BUSY if count % 3 else State.IDLE
            tell(board, Stub(worker_id=f"w{number}", name="n" * (count % 40), state=state))

    threads = [threading.Thread(target=write, args=(range(n, 40, 4),)) for n in range(4)]
    for thread in threads:
        thread.start()
    pages = [read(path)]
    while any(thread.is_alive() for thread in threads):
        pages.append(read(path))

    assert {None if page is None else len(page.workers) for page in pages} == {40}
    assert read(path) == board.page


@given(st.integers(0, 700), st.binary(min_size=1, max_size=8), st.booleans())
def test_damaged_bytes_are_no_page(at: int, piece: bytes, is_cut: bool) -> None:
    whole = _whole()
    damaged = whole[:at] if is_cut else whole[:at] + piece + whole[at + len(piece) :]

    page = parse(damaged)

    assert page is None or page == parse(whole)


def test_the_halves_of_two_pages_are_none(home: Home) -> None:
    board, path = board_of(home), home.workers_path(SESSION)
    tell(board, Stub(state=State.IDLE, name="a"))
    old = path.read_bytes()
    tell(board, Stub(state=State.BUSY, name="b"))
    new = path.read_bytes()

    mixed = [parse(new[:at] + old[at:]) for at in range(1, len(new))]

    assert [page for page in mixed if page not in (None, parse(old), parse(new))] == []


def test_a_worker_is_seen_with_what_it_uses(home: Home, sleeper: "subprocess.Popen[bytes]") -> None:
    tell(board_of(home), Stub(pid=sleeper.pid, state=State.BUSY))
    looks = Looks()

    first, *_ = looks.at_home(home)
    (second,) = looks.at_home(home)

    assert first.line == second.line
    assert (first.session, first.line.pid) == (SESSION, sleeper.pid)
    assert first.rss_bytes is not None
    assert first.rss_bytes > 1_000_000
    assert first.cpu_pct is not None
    assert first.cpu_pct >= 0
    assert second.uptime_s >= first.uptime_s >= 0


def test_a_process_that_took_the_pid_of_a_worker_is_none(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub(), Stub(worker_id="w2"))
    lines = board.page.workers
    reused = replace(board.page, workers=(replace(lines[0], process_start="1"), lines[1]))

    assert [view.line.worker_id for view in Looks().at_page(reused)] == ["w2"]


@pytest.mark.parametrize("change", [{"start_time": "1"}, {"boot_id": "another"}])
def test_what_a_session_that_is_gone_has_left_is_not_shown(
    home: Home, change: dict[str, str]
) -> None:
    board = board_of(home)
    tell(board, Stub())
    page = replace(board.page, process=replace(board.page.process, **change))

    assert Looks().at_page(page) == []


def test_workers_of_another_machine_are_shown_without_what_they_use(home: Home) -> None:
    board = board_of(home)
    tell(board, Stub())
    far = replace(board.page, process=replace(board.page.process, host="far"))

    (view,) = Looks().at_page(far)

    assert (view.rss_bytes, view.cpu_pct) == (None, None)
    assert cells_of(view)[6:8] == ["", ""]


def test_files_that_are_no_pages_are_passed_over(home: Home) -> None:
    tell(board_of(home), Stub())
    (home.run_dir / "empty.workers").touch()
    (home.run_dir / "other.workers").write_text('{"v": 1}')

    assert [view.line.worker_id for view in Looks().at_home(home)] == ["w1"]
    assert Looks().at_home(Home(home.root / "nowhere")) == []


def view(worker_id: str, name: str | None, session: str = SESSION, **line: Any) -> WorkerView:
    return WorkerView(
        session=session,
        line=WorkerLine(
            worker_id=worker_id,
            name=name,
            state=line.get("state", "idle"),
            kind="zygote",
            pid=7,
            process_start="1",
            task_id=None,
            started_at="2026-11-21T01:02:03.456Z",
            restarts=0,
            heartbeat_at="2026-11-21T01:02:03.456Z",
        ),
        cpu_pct=12.3,
        rss_bytes=line.get("rss_bytes", 1_500_000),
        uptime_s=61.0,
    )


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("w1", "w1"),
        ("train", "w1"),
        ("w2", "w2"),  # an id goes before the name of another
        (f"{SESSION}/w1", "w1"),
        ("abab/train", "w1"),
    ],
)
def test_a_worker_is_found_by_its_id_or_its_name(word: str, found: str) -> None:
    views = [view("w1", "train"), view("w3", "w2"), view("w2", None)]

    assert find(views, word).line.worker_id == found


@pytest.mark.parametrize("word", ["w9", "", "cd/w1", "\x1b[2Jw1"])
def test_a_worker_that_is_not_there_is_said_with_those_that_are(word: str) -> None:
    with pytest.raises(NotFound, match=r"there are w1, w2") as caught:
        find([view("w1", "a"), view("w2", None)], word)
    assert "\x1b" not in str(caught.value)


def test_one_that_several_sessions_have_is_to_be_named_with_its_session() -> None:
    views = [view("w1", "default"), view("w1", "default", session="cd" * 16)]

    with pytest.raises(UsageError, match="try abababab/w1, cdcdcdcd/w1"):
        find(views, "default")
    assert find(views, "cdcdcdcd/w1") is views[1]


def test_documents_have_the_fields_that_programs_rely_on() -> None:
    assert document_of(view("w1", "train")) == {
        "worker_id": "w1",
        "name": "train",
        "state": "idle",
        "detail": None,
        "kind": "zygote",
        "pid": 7,
        "task_id": None,
        "cpu_pct": 12.3,
        "rss_bytes": 1_500_000,
        "uptime_s": 61.0,
        "restarts": 0,
        "heartbeat_at": "2026-11-21T01:02:03.456Z",
    }


@pytest.mark.parametrize(
    ("states", "ok"), [([], True), (["idle", "busy"], True), (["idle", "blocked"], False)]
)
def test_health_counts_workers_and_memory(states: list[str], ok: bool) -> None:
    views = [view(f"w{n}", None, state=state, rss_bytes=10) for n, state in enumerate(states)]

    assert health_of(views, 3) == {
        "ok": ok,
        "workers": len(states),
        "queue": 3,
        "memory_bytes": 10 * len(states),
    }


@functools.cache
def _whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".flow")
        tell(board_of(home), Stub(), Stub(worker_id="w2"))
        return home.workers_path(SESSION).read_bytes()
