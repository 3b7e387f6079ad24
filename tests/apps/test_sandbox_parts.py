"""The parts of the sandbox without a server: messages, streams, names of workers, workspaces."""

import asyncio
import json
import math
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from traitlets import TraitError
from traitlets.config import Config

from flow_kernel.apps.sandbox import wire
from flow_kernel.apps.sandbox.connection import Connection, _news
from flow_kernel.apps.sandbox.engine import Engine
from flow_kernel.apps.sandbox.extension import FlowSandboxApp
from flow_kernel.apps.sandbox.names import SHELLS, Names
from flow_kernel.apps.sandbox.settings import SandboxSettings
from flow_kernel.apps.sandbox.stream import RING_BYTES, TaskStream
from flow_kernel.apps.sandbox.task import Owner, Task
from flow_kernel.apps.sandbox.wire import Execute, Refused
from flow_kernel.apps.sandbox.workspace import needs_at, workspace_of
from flow_kernel.errors import KernelGone, UsageError
from flow_kernel.records.home import Home
from flow_kernel.sandbox import connect
from flow_kernel.workers.limits import Requirements
from tests import sandbox_page
from tests.sandbox_page import schemas
from tests.sandboxes import checked

_ODD: list[Any] = [None, True, 0, 1.5, 2.0, -1, "", "x", [], {}]
"""Of each type that JSON has, for each field."""
_PIECES: dict[str, st.SearchStrategy[Any]] = {
    name: st.one_of(piece, st.sampled_from(_ODD))
    for name, piece in {
        "id": st.text(max_size=130),
        "taskId": st.sampled_from(["t", "T-1.2:x", "a b", "x" * 129]),
        "command": st.just("true"),
        "code": st.just("1 + 1"),
        "workspace": st.sampled_from(["sub", "x" * 5000]),
        "worker": st.sampled_from(["w", "-w", "w w"]),
        "requirements": st.sampled_from([{"cpu": 1}, {"memory": "1G"}, {"gpu": 1}]),
        "priority": st.sampled_from([1000, 1001, 7.0]),
        "timeout": st.sampled_from([1, 5.5, 604_800_001, "5"]),
        "resumeFrom": st.sampled_from([7, 2**53, 2**53 + 1, "1"]),
        "input": st.just("yes"),
        "eof": st.sampled_from([False, "yes"]),
        "other": st.just(1),
    }.items()
}
_MESSAGES = st.sampled_from([*schemas("in"), "other", 5, None]).flatmap(
    lambda kind: st.fixed_dictionaries({"type": st.just(kind)}, optional=_PIECES)
)
"""Any fields of any types."""
_NEAR_MESSAGES = st.tuples(
    st.sampled_from(
        [
            {"type": "execute_command", "command": "true"},
            {"type": "execute_command", "code": "1 + 1"},
            {"type": "execute_command", "taskId": "t", "resumeFrom": 1},
            {"type": "terminate_task", "taskId": "t"},
            {"type": "send_input", "taskId": "t", "input": "x"},
            {"type": "send_input", "taskId": "t", "eof": True},
            {"type": "ping"},
            {"type": "getHealth"},
        ]
    ),
    st.sampled_from([*_PIECES]).flatmap(
        lambda name: _PIECES[name].map(lambda value: {name: value})
    ),
).map(lambda both: {**both[0], **both[1]})
"""Right ones but for one field."""


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(_MESSAGES, _NEAR_MESSAGES))
def test_a_message_is_taken_exactly_when_its_schema_takes_it(said: dict[str, Any]) -> None:
    schema = schemas("in").get(str(said["type"]))
    is_right = schema is not None and Draft7Validator(schema).is_valid(said)
    try:
        wire.read(json.dumps(said))
    except Refused:
        assert not is_right
    else:
        assert is_right


def test_what_a_message_leaves_out_has_the_values_of_the_page() -> None:
    assert wire.read('{"type": "execute_command", "command": "true"}') == Execute(
        id=None, source="true", is_command=True, timeout_s=300.0, priority=0,
        needs=Requirements(), worker=None, workspace="", task_id="", resume_from=None,
    )  # fmt: skip


def test_what_json_cannot_hold_is_left_out_of_a_message_which_is_sent() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    for data in ({"application/json": deep}, {"application/json": 2**70}):
        said = json.loads(wire.frame("task_output", "t", "w", 1, output="x\ud800", data=data))
        assert (said["output"], "data" in said) == ("x\\ud800", False)


def test_the_schemas_are_schemas_and_their_page_is_up_to_date() -> None:
    for folder in ("in", "out"):
        for name, schema in schemas(folder).items():
            Draft7Validator.check_schema(schema)
            assert schema["properties"]["type"]["const"] == name
    assert sandbox_page.PAGE.read_text("utf-8") == sandbox_page.page(), (
        "run: python -m tests.sandbox_page"
    )


def test_every_bound_of_the_sandbox_is_a_setting_with_its_meaning_that_takes_no_nonsense() -> None:
    traits = FlowSandboxApp.class_own_traits(config=True)
    bounds = {each.name: each.default for each in fields(SandboxSettings) if each.name != "pool"}

    assert {name: trait.default() for name, trait in traits.items()} == bounds
    assert [name for name, trait in traits.items() if not trait.help] == []
    for name, default in bounds.items():
        floats = [math.nan, math.inf] if isinstance(default, float) else [1.5]
        for value in (-1, "x", None, *floats):
            with pytest.raises(TraitError):
                FlowSandboxApp(config=Config(FlowSandboxApp={name: value}))


def test_the_sizes_and_times_that_the_page_names_are_those_of_the_code() -> None:
    page, bounds = sandbox_page.PAGE.read_text("utf-8").replace("\n", " "), SandboxSettings()

    assert [
        text
        for text in (
            f"a million characters ({wire.MOST_BYTES:,}), and a text in it half of that",
            f"at most {bounds.output_bytes >> 20} MB of output a task",
            f"the {bounds.kept_tasks} tasks that ended last",
            f"may have {bounds.spool_bytes >> 30} GB, and leave {bounds.reserve_bytes >> 20} MB",
            f"beyond its newest {RING_BYTES >> 10} kB",
            f"for a day, {bounds.remembered_tasks:,} of each user",
            f"in milliseconds; {wire.DEFAULT_TIMEOUT_MS} without one",
            f"Every {bounds.heartbeat_s:g} s on each connection",
        )
        if text not in page
    ] == []
    assert (bounds.keep_s, bounds.remember_s, wire.MOST_CHARS * 2) == (600, 86_400, wire.MOST_BYTES)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 20_000), max_size=60),
    st.integers(1, 70),
    st.sampled_from([1, 1000, 1 << 20]),
)
def test_a_stream_gives_back_from_any_number_on_what_it_got(
    sizes: list[int], first: int, most_bytes: int
) -> None:
    stream = TaskStream("t", directory=Path("/tmp"), most_bytes=1 << 30)
    for size in sizes:
        stream.append("task_output", "w1", stream="stdout", output="x" * size)
    found = []
    seq = first
    while frames := stream.read(seq, most_bytes):
        found += frames
        seq += len(frames)
    stream.close()

    said = [json.loads(each) for each in found]
    assert [each["seq"] for each in said] == [*range(first, len(sizes) + 1)]
    assert [len(each["output"]) for each in said] == sizes[first - 1 :]


def test_output_beyond_the_bound_is_dropped_and_counted_and_the_end_is_kept(
    tmp_path: Path,
) -> None:
    stream = TaskStream("t", directory=tmp_path, most_bytes=RING_BYTES)
    for _ in range(100):
        stream.append("task_output", "w1", stream="stdout", output="x" * 10_000)
    stream.end("task_complete", "w1", exitCode=0)
    kept = [json.loads(each) for each in stream.read(1, 1 << 30)]
    while more := stream.read(len(kept) + 1, 1 << 30):
        kept += [json.loads(each) for each in more]
    stream.close()

    assert [each["seq"] for each in kept] == [*range(1, stream.last_seq + 1)]
    assert kept[-1]["type"] == "task_complete"
    assert len(kept) < 40
    assert stream.dropped_bytes > 700_000


def test_a_disk_that_takes_nothing_costs_output_and_not_the_task(tmp_path: Path) -> None:
    stream = TaskStream("t", directory=tmp_path / "missing", most_bytes=1 << 30)
    for _ in range(100):
        stream.append("task_output", "w1", stream="stdout", output="x" * 10_000)
    stream.end("task_complete", "w1", exitCode=0)
    kept = [json.loads(each) for each in stream.read(1, 1 << 30)]

    assert kept[-1]["type"] == "task_complete"
    assert [each["seq"] for each in kept] == [*range(1, len(kept) + 1)]
    assert sum(len(each.get("output", "")) for each in kept) < 2 * RING_BYTES
    assert stream.dropped_bytes > 0


def test_a_stream_leaves_no_name_on_the_disk_and_wakes_whoever_waits(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    stream = TaskStream("t", directory=place, most_bytes=1 << 30)
    woken = threading.Event()
    stream.when_more(woken.set, 0)
    assert not woken.is_set()
    for _ in range(50):
        stream.append("task_output", "w1", stream="stdout", output="x" * 10_000)

    names = [*place.iterdir()]
    stream.close()

    assert woken.is_set()
    assert names == []


def test_who_waits_for_a_quiet_task_and_goes_leaves_nothing_there(tmp_path: Path) -> None:
    stream = TaskStream("t", directory=tmp_path, most_bytes=1 << 30)

    async def come_and_go() -> list[int]:
        counts = []
        for _ in range(3):
            waiting = [asyncio.create_task(_news(stream, 0)) for _ in range(100)]
            await asyncio.sleep(0)
            counts.append(len(stream._waiting))
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return counts

    assert asyncio.run(come_and_go()) == [100, 100, 100]
    assert stream._waiting == []


def test_what_is_typed_ahead_and_what_is_kept_of_an_ended_task_is_bounded(tmp_path: Path) -> None:
    task = Task(
        Execute(id=None, source="x" * wire.MOST_CHARS), task_id="t", owner=Owner(name="ada"),
        directory=tmp_path, worker=None, most_output_bytes=1,
        stream=TaskStream("t", directory=tmp_path, most_bytes=1),
    )  # fmt: skip
    half = "x" * (wire.MOST_CHARS // 2)
    taken = [task.type(text) for text in (half, half, "x", "", None)]
    many = [task.type("") for _ in range(100)]
    task.fail(KernelGone("no worker"))

    assert taken == [True, True, False, True, True]
    assert sum(many) == 60
    assert (task.order.source, task._cell.code, task._inputs.empty()) == ("", "", True)


def test_the_named_worker_that_was_idle_for_longest_makes_room_and_a_busy_one_does_not() -> None:
    ended: list[str] = []
    names = Names(2, keep_s=60, end=ended.append)
    place = Path("/p")
    a, b = names.named("a", "u", place), names.named("b", "u", place)
    with pytest.raises(Refused, match="2 workers with names are busy"):
        names.named("c", "u", place)
    names.give_back(b, is_well=True)
    names.give_back(a, is_well=False)
    names.named("c", "u", place)

    assert ended == [b]
    assert names.named("a", "u", place) == a


def test_the_same_name_of_another_user_or_workspace_is_another_worker() -> None:
    names = Names(10, keep_s=60, end=print)

    found = {
        names.named("w", user, Path(place)) for user in ("ada", "bob") for place in ("/p", "/q")
    }
    assert len(found) == 4


def test_a_worker_for_commands_is_used_again_unless_its_command_ended_badly() -> None:
    ended: list[str] = []
    names = Names(2, keep_s=60, end=ended.append)
    first = names.shell()
    others = [names.shell() for _ in range(SHELLS - 1)]

    assert names.shell() is None
    names.give_back(first, is_well=True)
    assert names.shell() == first
    names.give_back(first, is_well=False)
    assert ended == [first]
    assert names.shell() not in {first, *others, None}


def test_a_workspace_is_named_relative_to_the_root_or_whole(tmp_path: Path) -> None:
    root, home = tmp_path / "root", tmp_path / "home"
    for each in (root / "sub", home):
        each.mkdir(parents=True)
    bases = (root, home)

    assert workspace_of("", bases) == root
    assert workspace_of("sub/../sub", bases) == root / "sub"
    assert workspace_of(str(home), bases) == home
    for name in ("..", str(tmp_path), "sub/none", "~", "\0"):
        with pytest.raises(Refused):
            workspace_of(name, bases)


def test_the_disk_that_a_task_requires_is_that_of_its_workspace() -> None:
    here, elsewhere = Path.cwd(), Path("/dev/shm")
    little, much = Requirements(cores=1, disk_bytes=1), Requirements(disk_bytes=1 << 60)

    assert needs_at(here, much) == much
    assert needs_at(elsewhere, little) == Requirements(cores=1)
    with pytest.raises(Refused, match="on the disk of its workspace"):
        needs_at(elsewhere, much)


def test_an_address_that_is_none_and_a_server_that_is_not_there_are_told_apart() -> None:
    with pytest.raises(UsageError, match="is no address of a server"):
        connect("nonsense")
    with pytest.raises(KernelGone, match="no server answers"):
        connect("http://127.0.0.1:9", "x")


class _Broken(Engine):
    """One that fails in a way that nobody has thought of: none is known."""

    def find(self, task_id: str, owner: Owner) -> Task:
        raise LookupError(task_id)


def test_a_failure_that_nobody_has_thought_of_is_told_and_the_connection_lives_on(
    tmp_path: Path,
) -> None:
    heard: list[dict[str, Any]] = []

    async def take(data: bytes) -> None:
        heard.append(checked(json.loads(data)))

    async def talk() -> None:
        engine = _Broken(Home(tmp_path), root=tmp_path, settings=SandboxSettings())
        connection = Connection(engine, Owner(name="ada"), take, connections=lambda: 1)
        await connection.take('{"type": "terminate_task", "taskId": "t", "id": "m"}')
        await connection.take('{"type": "ping", "id": "p"}')
        connection.close()

    asyncio.run(talk())
    said = [{key: each.get(key) for key in ("type", "id", "taskId", "reason")} for each in heard]
    assert said == [
        {"type": "task_error", "id": "m", "taskId": "t", "reason": "error"},
        {"type": "pong", "id": "p", "taskId": None, "reason": None},
    ]
