"""Files of a task: named, looked at when it ends, and never a reason for it not to end."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.artifacts import Artifact, artifacts_of
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    monkeypatch.chdir(tmp_path)
    flow = flow_of(Home(tmp_path / ".flow"), author="ann")
    flow.start_task("Make")
    yield flow
    flow.close()


def _found(flow: Flow) -> list[Artifact]:
    return artifacts_of(flow.finish_task("T-0001").context)


def test_a_file_is_named_in_its_project_and_measured_at_the_end(flow: Flow, tmp_path: Path) -> None:
    made = tmp_path / "out" / "a.csv"
    made.parent.mkdir()
    made.write_bytes(b"early")
    flow.add_artifact("T-0001", "out/a.csv")
    flow.add_artifact("T-0001", made)
    made.write_bytes(b"late")

    digest = hashlib.sha256(b"late").hexdigest()
    assert _found(flow) == [Artifact(path="out/a.csv", bytes=4, sha256=digest)]


def test_a_database_that_the_session_has_open_is_measured_and_keeps_its_locks(flow: Flow) -> None:
    with closing(sqlite3.connect("mine.db", isolation_level=None)) as database:
        database.execute("create table t (x)")
        database.execute("begin immediate")
        flow.add_artifact("T-0001", "mine.db")
        (found,) = _found(flow)
        other = "import sqlite3; sqlite3.connect('mine.db', timeout=0).execute('begin immediate')"
        done = subprocess.run(
            [sys.executable, "-c", other], capture_output=True, text=True, check=False
        )

    digest = hashlib.sha256(Path("mine.db").read_bytes()).hexdigest()
    assert (found.problem, found.sha256) == ("", digest)
    assert "database is locked" in done.stderr


def test_what_is_no_file_is_said_and_stops_nothing(flow: Flow, tmp_path: Path) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    for path in ("pipe", "folder", "loop", "gone", "/dev/zero"):
        flow.add_artifact("T-0001", path)

    assert {item.path: item.problem for item in _found(flow)} == {
        "pipe": "no regular file",
        "folder": "no regular file",
        "loop": "cannot be read",
        "gone": "missing",
        "/dev/zero": "no regular file",
    }


@pytest.mark.parametrize("path", ["", "a\0b", None, 7, "a\udcff", object()])
def test_what_is_no_path_is_refused(flow: Flow, path: str) -> None:
    with pytest.raises(UsageError, match="an artifact is a path"):
        flow.add_artifact("T-0001", path)

    assert flow.get_task_context("T-0001") == {}


def test_a_context_key_of_the_users_own_is_not_overwritten(flow: Flow) -> None:
    flow.update_task_context("T-0001", {"artifacts": {"mine": 1}})

    with pytest.raises(UsageError, match="holds dict, not a list"):
        flow.add_artifact("T-0001", "a")
    assert flow.finish_task("T-0001").context == {"artifacts": {"mine": 1}}
    with pytest.raises(NotFound):
        flow.add_artifact("T-0002", "a")


def test_paths_that_were_set_by_hand_are_measured_too(flow: Flow) -> None:
    Path("a").write_bytes(b"")
    flow.update_task_context("T-0001", {"artifacts": ["a", 5, {"path": 3}]})

    (found,) = _found(flow)

    assert (found.path, found.bytes) == ("a", 0)


def test_a_task_that_goes_on_is_measured_again(flow: Flow) -> None:
    flow.add_artifact("T-0001", "a")
    assert [item.problem for item in _found(flow)] == ["missing"]
    Path("a").write_bytes(b"12")
    flow.reopen_task("T-0001")
    flow.add_artifact("T-0001", "b")

    assert [(item.path, item.bytes) for item in _found(flow)] == [("a", 2), ("b", None)]
