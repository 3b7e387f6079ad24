"""What the sandbox keeps of tasks that have ended, and what makes room for what."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from flow_kernel.apps.sandbox.engine import Engine
from flow_kernel.apps.sandbox.past import PastTasks
from flow_kernel.apps.sandbox.settings import SandboxSettings
from flow_kernel.apps.sandbox.spools import LEASE_BYTES, Spools
from flow_kernel.apps.sandbox.stream import TaskStream
from flow_kernel.apps.sandbox.task import Owner, Task
from flow_kernel.apps.sandbox.wire import Execute, Refused
from flow_kernel.records.home import Home
from flow_kernel.settings import PoolSettings
from tests.sandboxes import wait_for

_SIZE: Final = 10_000


def _stream(spools: Spools, name: str, mb: float) -> TaskStream:
    """A stream that has said so much."""
    stream = TaskStream(name, directory=spools.directory, most_bytes=1 << 30, spools=spools)
    _say(stream, mb)
    return stream


def _say(stream: TaskStream, mb: float) -> None:
    for _ in range(int(mb * (1 << 20) / _SIZE)):
        stream.append("task_output", "w", stream="stdout", output="x" * _SIZE)


def test_a_reader_of_a_stream_that_is_not_kept_any_more_is_told(tmp_path: Path) -> None:
    stream = TaskStream("t", directory=tmp_path, most_bytes=1 << 30)
    _say(stream, 0.05)
    stream.end("task_complete", "w", exitCode=0)
    assert len(stream.read(1, 1 << 30)) == stream.last_seq
    stream.close()

    for seq in (1, stream.last_seq + 1):
        with pytest.raises(OSError, match="not kept any more"):
            stream.read(seq, 1 << 30)


def test_where_the_files_are_too_large_the_task_that_ended_first_and_is_not_read_goes(
    tmp_path: Path,
) -> None:
    spools = Spools(tmp_path, most_bytes=8 * LEASE_BYTES, reserve_bytes=0)
    running, read, first, second = (
        _stream(spools, name, 1.5) for name in ("running", "read", "first", "second")
    )
    read.followers = 1
    for each in (read, first, second):
        each.end("task_complete", "w", exitCode=0)

    _say(running, 1)
    assert (first.is_closed, second.is_closed) == (True, False)
    _say(running, 10)
    running.end("task_complete", "w", exitCode=0)
    assert (running.is_closed, read.is_closed, second.is_closed) == (False, False, True)
    assert running.dropped_bytes > 0
    kept: list[int] = []
    while frames := running.read(len(kept) + 1, 1 << 30):
        kept += [json.loads(each)["seq"] for each in frames]
    assert kept == [*range(1, running.last_seq + 1)]

    for each in (running, read, second):
        each.close()
    again = _stream(spools, "again", 7)
    assert again.dropped_bytes == 0
    again.close()


def test_a_disk_that_is_nearly_full_is_not_filled(tmp_path: Path) -> None:
    stream = _stream(Spools(tmp_path, most_bytes=1 << 40, reserve_bytes=1 << 60), "t", 1)

    assert stream.is_in_memory(1)
    assert stream.dropped_bytes > 500_000
    stream.close()


def test_the_ids_of_past_tasks_are_remembered_for_a_time_and_up_to_a_number_of_each_user() -> None:
    now_s = [0.0]
    past = PastTasks(2, keep_s=10, now_s=lambda: now_s[0])

    for name in ("a", "b", "a", "c"):
        past.add("ada", name)
    past.add("bob", "b")
    assert [past.has("ada", name) for name in "abc"] == [True, False, True]
    now_s[0] = 5
    past.add("ada", "d")
    now_s[0] = 11

    assert [past.has("ada", name) for name in "acd"] == [False, False, True]
    assert not past.has("bob", "b")
    now_s[0] = 20
    assert not past.has("ada", "d")
    assert past._users == {}


def test_an_order_that_comes_again_when_its_task_is_not_kept_any_more_runs_nothing(
    tmp_path: Path,
) -> None:
    few = SandboxSettings(kept_tasks=1, remembered_tasks=2, pool=PoolSettings(spares=0))
    engine = Engine(Home(tmp_path / "home"), root=tmp_path, settings=few)

    def runs(task_id: str, user: str = "ada") -> None:
        order = Execute(id=None, task_id=task_id, source=f"echo {task_id} >> ran", is_command=True)
        task = engine.begin(order, Owner(name=user), tmp_path)
        wait_for(lambda: task.stream.has_ended)

    try:
        for name in ("once", "two", "three"):
            runs(name)
        with pytest.raises(Refused, match="is not kept any more; nothing was run") as again:
            runs("once")
        runs("once", "bob")
        runs("four")
        runs("five")
        runs("once")  # two others are remembered by now
    finally:
        engine.close()

    assert (again.value.reason, again.value.task_id) == ("forgotten", "once")
    assert (tmp_path / "ran").read_text().split() == [
        "once", "two", "three", "once", "four", "five", "once",
    ]  # fmt: skip


def test_a_session_that_cannot_be_opened_is_tried_again_and_each_user_keeps_tasks_of_his_own(
    tmp_path: Path,
) -> None:
    right = SandboxSettings(kept_tasks=1)
    engine = Engine(Home(tmp_path / "home"), root=tmp_path, settings=right)
    nothing: Any = None

    def ran(user: str, task_id: str) -> Task:
        order = Execute(id=None, task_id=task_id, source="true", is_command=True)
        task = engine.begin(order, Owner(name=user), tmp_path)
        wait_for(lambda: task.stream.has_ended)
        return task

    try:
        engine.settings = replace(right, pool=PoolSettings(spares=nothing))  # it cannot be opened
        read = ran("ada", "read")
        read.stream.followers = 1
        tasks = [read, *(ran(user, name) for user in ("ada", "bob") for name in ("old", "new"))]
        failed = [json.loads(each.stream.read(1, 1)[0])["reason"] for each in (read, tasks[-1])]
        engine.settings = right
        last = json.loads(ran("cyd", "last").stream.read(2, 1)[0])
        kept = [not each.stream.is_closed for each in tasks]
    finally:
        engine.close()

    assert failed == ["error", "error"]
    assert (last["type"], last["exitCode"]) == ("task_complete", 0)
    assert kept == [True, False, True, False, True]
