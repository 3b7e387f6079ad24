"""Repairs that may not be done, that are killed, and values that no log holds."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.errors import StoreError, StoreTooNew
from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.store_repair import repair_store
from tests.mounting import NAMESPACE, require_mounts
from tests.records.journals import run_python
from tests.session.repairing import (
    LATER,
    change_and_die,
    faults,
    files_of,
    repaired,
    state_of,
    worked_home,
)
from tests.store.stores import AT, START, WAIT_S, outputs_of, read_line, start

SECRET: Final = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return worked_home(tmp_path)


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A folder to mount on; skips where mounting is refused."""
    require_mounts(tmp_path)
    return tmp_path


# -- secrets -------------------------------------------------------------------------------------


def test_a_value_without_its_secret_is_listed_and_never_taken_for_the_value(home: Home) -> None:
    flow = flow_of(home)
    flow.update_task_context("T-0001", {"api": SECRET, "nul": "a\0b", "password": "hunter2 x"})
    flow.close()
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in home.log_files())
    whole = home.store_path.read_bytes()

    home.store_path.unlink()
    lost = repaired(home).lost
    assert {(item.where, item.name) for item in lost if item.what == "context"} == {
        ("local/T-0001", "api"),
        ("local/T-0001", "nul"),
        ("local/T-0001", "password"),
    }
    assert state_of(home)["context"]["local/T-0001"] == {"k": "three", "other": 1}

    home.store_path.write_bytes(b"X" + whole[1:])
    assert repaired(home, at=AT).lost == []
    assert state_of(home)["context"]["local/T-0001"] == {
        "api": SECRET,
        "k": "three",
        "nul": "a\0b",
        "other": 1,
        "password": "hunter2 x",
    }


# -- refused -------------------------------------------------------------------------------------


def test_a_store_that_is_in_use_is_not_touched(home: Home) -> None:
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('SELECT 1 FROM plan'); print('open', flush=True); sys.stdin.readline()"
    )
    other = start("-c", program, home.store_path)
    assert read_line(other) == b"open"
    home.store_path.write_bytes(b"X" + home.store_path.read_bytes()[1:])
    before = files_of(home)

    with pytest.raises(StoreError, match=rf"in use by process {other.pid}; nothing was changed"):
        repair_store(home, at=LATER)
    assert files_of(home) == before
    outputs_of([other], said=b"\n")
    repaired(home)


def test_a_store_of_a_newer_version_is_not_touched(home: Home) -> None:
    with closing(sqlite3.connect(home.store_path)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = files_of(home)
    with pytest.raises(StoreTooNew):
        repair_store(home, at=LATER)
    assert files_of(home) == before


def test_a_repair_on_a_full_disk_touches_nothing(mounts: Path) -> None:
    program = """
from flow_kernel.errors import StoreError
from flow_kernel.session.store_repair import repair_store
from tests.session.repairing import LATER, worked_home
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", root], check=True)
home = worked_home(root)
home.store_path.write_bytes(b"X" + home.store_path.read_bytes()[1:])
before = {path.name for path in home.root.iterdir()} | {"run"}
with (root / "ballast").open("wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
told = ""
try:
    repair_store(home, at=LATER)
except StoreError as error:
    told = str(error)
assert "No space left" in told or "full" in told, told
assert {path.name for path in home.root.iterdir()} == before
(root / "ballast").unlink()
assert repair_store(home, at=LATER).lost == []
"""
    run_python(START + program, mounts, under=NAMESPACE)


def test_a_home_without_tasks_needs_no_store(tmp_path: Path) -> None:
    home = Home(tmp_path / ".flow")
    assert faults(home) == []
    assert repair_store(home, at=LATER) is None
    assert not home.store_path.exists()


# -- killed --------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from flow_kernel.records.home import Home
from flow_kernel.session import store_repair
calls = 0
def counted(name):
    real = getattr(Path, name)
    def call(self, *arguments):
        global calls
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return real(self, *arguments)
    return call
for name in ("hardlink_to", "rename", "replace", "unlink"):
    setattr(Path, name, counted(name))
store_repair.repair_store(Home(Path(sys.argv[1])), at="2026-11-21T01:00:00.000Z")
"""


@pytest.mark.parametrize("steps", range(5))
def test_a_repair_that_is_killed_leaves_the_old_store_or_the_new_one(
    home: Home, steps: int
) -> None:
    """Before each of its steps in the file system; the next repair ends the work."""
    change_and_die(home)
    path = home.store_path
    path.write_bytes(b"X" + path.read_bytes()[1:])

    process = start("-c", _KILLED, home.root, steps)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode in (0, -signal.SIGKILL), errors
    repair_store(home, at=LATER)

    assert faults(home) == []
    assert state_of(home)["context"]["local/T-0001"]["late"] == 1
    assert not [file for file in home.root.iterdir() if file.is_dir() and "flow.db" in file.name]
