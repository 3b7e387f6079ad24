"""`jupyter flow workers`: what people and programs see of the workers of all sessions."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.isolation.board import Board
from flow_kernel.workers.lifecycle import State
from tests.apps.running import Cli

_NAMES = (
    "worker_id name state kind pid task_id cpu_pct rss_bytes uptime_s restarts heartbeat_at detail"
)


@pytest.fixture
def pid() -> Iterator[int]:
    """A process that stands for a worker."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "work" / ".flow")
    home.ensure()
    return home


def worker(worker_id: str, name: str | None, pid: int, state: State = State.IDLE) -> Any:
    """What a board reads of a worker; a real one needs a kernel."""
    return SimpleNamespace(
        worker_id=worker_id, name=name, state=state, kind="zygote", pid=pid, restarts=1,
        is_far=False, started_s=time.monotonic(), heartbeat_s=time.time(), doing=None,
    )  # fmt: skip


def tell(home: Home, *workers: Any, session: str = "ab" * 16) -> None:
    board = Board(home.workers_path(session), session=session, place=lambda: "local/T-0001")
    for one in workers:
        board.change(one)


def test_workers_are_listed_for_people(cli: Cli, home: Home, pid: int) -> None:
    tell(home, worker("w1", "train", pid, State.BUSY), worker("w2", None, pid))

    done = cli("workers")

    assert (done.code, done.err) == (0, "")
    head, first, second = [line.split() for line in done.lines[1:]]
    assert head == ["id", "name", "state", "task", "kind", "pid", "cpu", "memory", "up", "restarts"]
    assert first[:6] == ["w1", "train", "busy", "local/T-0001", "zygote", str(pid)]
    assert second[:5] == ["w2", "(spare)", "idle", "zygote", str(pid)]


def test_workers_are_listed_for_programs(cli: Cli, home: Home, pid: int) -> None:
    tell(home, worker("w1", "train", pid, State.BUSY), worker("w2", None, pid))

    document = cli("workers", "--json").document

    assert document["next"] is None
    assert [[*item] for item in document["items"]] == [_NAMES.split()] * 2
    first, second = document["items"]
    assert (first["task_id"], second["task_id"], second["name"]) == ("local/T-0001", None, None)
    assert first["rss_bytes"] > 1_000_000
    assert cli("workers", "train", "--json").document["worker_id"] == "w1"


def test_health_is_one_document_and_an_exit_code(cli: Cli, home: Home, pid: int) -> None:
    assert cli("workers", "--health").document == {
        "ok": True, "workers": 0, "queue": 0, "memory_bytes": 0,
    }  # fmt: skip
    tell(home, worker("w1", "train", pid), worker("w2", "stuck", pid, State.BLOCKED))

    done = cli("workers", "--health")

    assert done.code == 1
    assert {**done.document, "memory_bytes": 0} == {
        "ok": False, "workers": 2, "queue": 0, "memory_bytes": 0,
    }  # fmt: skip
    assert done.document["memory_bytes"] > 2_000_000
    assert cli("workers", "w1", "--health").code == 0


def test_one_worker_is_shown_with_all_that_is_known(cli: Cli, home: Home, pid: int) -> None:
    tell(home, worker("w1", "train", pid, State.BUSY))

    done = cli("workers", "train")

    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "worker w1 train"
    told = dict(line.strip().split(maxsplit=1) for line in done.lines[1:])
    assert (told["state"], told["task"], told["restarts"]) == ("busy", "local/T-0001", "1")
    assert told["session"] == "ab" * 16


def test_workers_of_several_sessions_stand_side_by_side(cli: Cli, home: Home, pid: int) -> None:
    tell(home, worker("w1", "default", pid))
    tell(home, worker("w1", "default", pid), session="cd" * 16)

    head, *rows = [line.split() for line in cli("workers").lines[1:]]
    done = cli("workers", "w1", "--json")

    assert (head[-1], sorted(row[-1] for row in rows)) == ("session", ["abababab", "cdcdcdcd"])
    assert done.code == 2
    assert "abababab/w1" in done.document["error"]["hint"]
    assert cli("workers", "cdcdcdcd/w1").code == 0


def test_no_workers_are_one_sentence_and_an_empty_list(cli: Cli, home: Home) -> None:
    assert cli("workers").out == "no workers: an isolated cell starts the first one\n"
    assert cli("workers", "--json").document == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["w9"], "there is no worker"),
        (["--json", "--health"], "not allowed with"),
        (["w1", "w2"], "unrecognized arguments"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(
    cli: Cli, home: Home, arguments: list[str], said: str
) -> None:
    done = cli("workers", *arguments)

    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_name_does_nothing_to_the_terminal(cli: Cli, home: Home, pid: int) -> None:
    tell(home, worker("w1", "\x1b[2Jtrain\n\u202e", pid))

    for words in (["workers"], ["workers", "w1"]):
        assert "\x1b" not in cli(*words).out
        assert "\u202e" not in cli(*words).out


def test_looking_at_workers_loads_no_kernel(home: Home, pid: int) -> None:
    tell(home, worker("w1", "train", pid))
    program = (
        "import sys; from flow_kernel.apps.cli import main; main(['workers']);"
        "print(sorted({'IPython', 'ipykernel', 'jupyter_client', 'zmq'} & {*sys.modules}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )

    assert "train" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
