"""What watchers of the dashboard are told: new records, changes of state, and never too much."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from flow_kernel.apps.server.live import Feed, Watcher
from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from tests.apps.sample_log import SampleLog
from tests.dashboard import DEADLINE_S, Listener, Served
from tests.sandboxes import wait_for

pytest.importorskip("jupyter_server")
pytestmark = pytest.mark.usefixtures("servers")

WATCHERS = 100


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    home = root / "work" / ".flow"
    home.mkdir(parents=True)
    log = SampleLog(home)
    for number in range(5):
        log.cell(f"old = {number}")
    with Served(root, home) as served:
        yield served


@pytest.fixture
def log(served: Served, request: pytest.FixtureRequest) -> SampleLog:
    """A log of its own, which begins while others watch."""
    number = abs(hash(request.node.name)) % 9000 + 1000
    return SampleLog(served.home, session=f"{number:032x}", task=f"T-{number}")


def until(listener: Listener, text: str) -> tuple[list[dict[str, object]], float]:
    """Rows up to the one that says `text`, and when it came."""
    rows: list[dict[str, object]] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        rows += listener.message().get("rows", [])
        if any(row["text"] == text for row in rows):
            return rows, time.monotonic()
    raise TimeoutError(text)


def test_a_watcher_is_told_of_new_records_alone_and_in_order(
    served: Served, log: SampleLog
) -> None:
    with served.listen() as listener:
        assert listener.message() == {}
        began = time.monotonic()
        for number in range(3):
            log.cell(f"new = {number}")
        rows, at = until(listener, "new = 2")

    assert [row["text"] for row in rows if row["kind"] == "cell"] == [
        "new = 0", "new = 1", "new = 2",
    ]  # fmt: skip
    assert {row["task_id"] for row in rows} == {log.task}
    assert at - began < 5


def test_a_hundred_watchers_at_once_are_all_told_without_an_error(
    served: Served, log: SampleLog
) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(served.listen()) for _ in range(WATCHERS)]
        assert [listener.status for listener in listeners] == [101] * WATCHERS
        assert [listener.message() for listener in listeners] == [{}] * WATCHERS
        log.cell("for all")
        told = [until(listener, "for all")[0] for listener in listeners]

    assert len(told) == WATCHERS
    assert "Traceback" not in served.said()


def test_at_most_four_messages_a_second_reach_one_watcher(served: Served, log: SampleLog) -> None:
    with served.listen() as listener:
        listener.message()
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.01):
                log.cell("flood")

        writer = threading.Thread(target=write)
        # Before the first is sent: what is read late would seem to have come at once.
        began = time.monotonic()
        writer.start()
        try:
            for _ in range(7):
                listener.message()
            took_s = time.monotonic() - began
        finally:
            stop.set()
            writer.join()

    assert took_s >= 6 * 0.25


def test_a_reader_that_falls_behind_is_told_to_reload_and_memory_stays_bounded(
    served: Served, log: SampleLog
) -> None:
    process = psutil.Process(served.process.pid)
    with served.listen(room=4096) as listener:
        listener.message()
        before = process.memory_info().rss
        for number in range(4000):
            log.put("late", stream="stdout", text=f"{number} {'x' * 180}", msg_id="m", span_id="s")
        deadline = time.monotonic() + DEADLINE_S
        while not listener.message().get("reload"):
            assert time.monotonic() < deadline
        rows: list[dict[str, object]] = []
        while not any(row["text"] == "after it" for row in rows):
            assert time.monotonic() < deadline
            log.cell("after it")  # a second message that says "reload" may stand for the first
            rows += listener.message()["rows"]
        grown = process.memory_info().rss - before

    assert len(rows) < 1000
    assert grown < 64 * 2**20


def test_a_client_that_vanishes_in_the_middle_leaves_the_others_and_the_server_alone(
    served: Served, log: SampleLog
) -> None:
    program = (
        "import os, signal, sys\n"
        "from tests.dashboard import Listener\n"
        "listener = Listener(int(sys.argv[1]), '/flow/api/live',"
        " {'Host': 'localhost:' + sys.argv[1], 'Authorization': 'token ' + sys.argv[2]})\n"
        "listener.message()\n"
        "print('here', flush=True)\n"
        "listener.message()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with served.listen() as listener:
        listener.message()
        peer = subprocess.Popen(
            [sys.executable, "-c", program, str(served.port), served.token],
            stdout=subprocess.PIPE,
        )
        assert peer.stdout is not None
        with peer.stdout:
            assert peer.stdout.readline() == b"here\n"
            log.cell("before")
            until(listener, "before")
            assert peer.wait(DEADLINE_S) == -signal.SIGKILL
        for number in range(20):
            log.cell(f"after {number}")
        until(listener, "after 19")

    assert "Traceback" not in served.said()


def test_sockets_that_never_finish_their_request_harm_nobody(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            half = stack.enter_context(socket.create_connection(("localhost", served.port)))
            half.sendall(b"GET /flow/api/live HTTP/1.1\r\nHost: loc")

        assert served.get("overview")["approvals"] == 0


def test_a_change_of_state_is_told_though_no_log_has_grown_yet(
    served: Served, log: SampleLog
) -> None:
    with served.listen() as listener:
        listener.message()
        flow = flow_of(Home(served.home), author="ann")
        try:
            flow.start_task("begun elsewhere")
            deadline = time.monotonic() + DEADLINE_S
            while not listener.message()["state"]:
                assert time.monotonic() < deadline
        finally:
            flow.close()

    assert [task["name"] for task in served.get("tasks")["items"]] == ["begun elsewhere"]


def test_what_a_watcher_sends_is_of_no_meaning(served: Served, log: SampleLog) -> None:
    with served.listen() as listener:
        listener.message()
        mask = os.urandom(4)
        for text in (b"{}", b"\xff" * 20, b'{"decision": "approve"}'):
            masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
            listener.socket.sendall(bytes([0x82, 0x80 | len(text)]) + mask + masked)
        log.cell("still told")
        until(listener, "still told")


def test_nobody_watches_means_that_nothing_is_looked_at(served: Served, tmp_path: Path) -> None:
    def names() -> int:
        return len(psutil.Process(served.process.pid).threads())

    served.get("overview")
    with served.listen() as listener:
        listener.message()
        watched = names()
    # Without a question meanwhile: its answer may take another thread.
    wait_for(lambda: names() < watched, DEADLINE_S)


def test_a_first_look_that_fails_is_tried_again_and_nobody_is_told_before_it_that_they_watch(
    tmp_path: Path,
) -> None:
    log = SampleLog(tmp_path)
    log.cell("old")
    looks = iter([RuntimeError("no memory"), RuntimeError("no memory")])

    def version() -> None:
        for trouble in looks:
            raise trouble

    async def watch() -> tuple[bool, dict[str, object], dict[str, object]]:
        feed = Feed(Home(tmp_path), version=version, sample=lambda: None)
        watcher = Watcher()
        feed.join(watcher)
        was_ready = watcher.is_ready.is_set()
        first = await asyncio.wait_for(watcher.message(), DEADLINE_S)
        assert watcher.is_ready.is_set()
        log.cell("new")
        second = await asyncio.wait_for(watcher.message(), DEADLINE_S)
        feed.leave(watcher)
        return was_ready, first, second

    threads = {*threading.enumerate()}
    was_ready, first, second = asyncio.run(watch())
    for thread in {*threading.enumerate()} - threads:
        thread.join(DEADLINE_S)

    assert not was_ready
    assert first == {"rows": [], "reload": True, "state": True, "workers": True, "running": []}
    assert (second["reload"], "'new'" in str(second["rows"])) == (False, True)
