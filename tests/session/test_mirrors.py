"""Mirrors copy the logs one way: in the background, without harm, and again after a failure."""

import base64
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flow_kernel.apps.doctor import mirror_checks
from flow_kernel.records.home import Home
from flow_kernel.session import mirrors
from flow_kernel.session.mirror_thread import MirrorThread
from flow_kernel.session.open_home import flow_of
from tests.installed import offer
from tests.session.repairing import worked_home
from tests.store.stores import start

Taken = list[tuple[str, list[str]]]


class Listed:
    """Keeps what it was given, and refuses the logs that it was told to."""

    taken: ClassVar[Taken] = []
    refused: ClassVar[set[str]] = set()

    def __init__(self, home: Home) -> None:
        self.home = home

    def deliver(self, log: str, records: Iterable[Mapping[str, object]]) -> None:
        if log in self.refused:
            raise ConnectionError(f"no way to {log}")
        self.taken.append((log, [str(record["kind"]) for record in records]))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return worked_home(tmp_path)


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taken:
    """What the mirror `listed` of another package is given."""
    offer(tmp_path / "site", group=mirrors.GROUP, name="listed", value=f"{__name__}:Listed")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(Listed, "taken", [])
    monkeypatch.setattr(Listed, "refused", set())
    return Listed.taken


def test_a_mirror_takes_over_what_is_new_and_nothing_twice(home: Home, taken: Taken) -> None:
    assert [_run(home).delivered, _run(home).delivered] == [2, 2]
    assert [log for log, _ in taken] == ["local/T-0001", "local/T-0002"]
    assert taken[1][1] == ["task", "context", "context", "context"]

    flow = flow_of(home)
    flow.tag("T-0002", "late")
    flow.close()
    _run(home)
    assert [log for log, _ in taken][2:] == ["local/T-0002"]
    assert taken[2][1][-1] == "tag"


def test_what_a_mirror_refuses_comes_again_and_the_others_do_not_wait(
    home: Home, taken: Taken
) -> None:
    Listed.refused.add("local/T-0001")
    for failures in (1, 2):
        cursor = _run(home)
        assert cursor.failures == failures
        assert cursor.error == "ConnectionError: no way to local/T-0001"
    assert [log for log, _ in taken] == ["local/T-0002"]

    Listed.refused.clear()
    cursor = _run(home)
    assert (cursor.failures, cursor.error, cursor.delivered) == (0, "", 2)
    assert [log for log, _ in taken] == ["local/T-0002", "local/T-0001"]


def test_a_mirror_that_is_not_installed_is_a_failure_that_is_counted(home: Home) -> None:
    cursor = mirrors.run(home, "nobody", deadline=_deadline())
    assert cursor is not None
    assert cursor.error.startswith('NotFound: there is no mirror "nobody"')
    assert mirrors.names_of(home) == ["nobody"]


def test_a_damaged_cursor_begins_again(home: Home, taken: Taken) -> None:
    _run(home)
    (home.root / "mirrors" / "listed.json").write_bytes(b"{")
    _run(home)
    assert len(taken) == 4


def test_no_log_is_begun_after_the_deadline(home: Home, taken: Taken) -> None:
    mirrors.run(home, "listed", deadline=time.monotonic() - 1)
    assert taken == []


def test_two_processes_never_run_one_mirror_at_once(home: Home, taken: Taken) -> None:
    _run(home)
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.readline()"
    )
    other = start("-c", program, home.root / "mirrors" / ".listed.lock")
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert mirrors.run(home, "listed", deadline=_deadline()) is None
    other.communicate(b"\n", timeout=30)
    assert mirrors.run(home, "listed", deadline=_deadline()) is not None


def test_the_thread_ends_when_it_is_done_and_runs_a_last_time_at_the_end(
    home: Home, taken: Taken
) -> None:
    thread = MirrorThread(home, ["listed"], every_s=1000)
    thread.wake()
    flow = flow_of(home)
    flow.tag("T-0002", "late")
    flow.close()
    thread.wake()
    thread.close()
    assert taken[-1][1][-1] == "tag"


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path, taken: Taken) -> None:
    (tmp_path / "home").touch()
    thread = MirrorThread(Home(tmp_path / "home"), ["listed", "nobody"])
    thread.wake()
    thread.close()
    assert taken == []


def test_otlp_files_are_what_the_protocol_says(home: Home) -> None:
    """Read by the classes that are made of the protocol's own definition."""
    trace = pytest.importorskip("opentelemetry.proto.trace.v1.trace_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    mirrors.run(home, "otlp", deadline=_deadline())

    path = home.root / "mirrors" / "otlp" / "local" / "T-0001.json"
    data = json_format.Parse(_with_base64_ids(path.read_text()), trace.TracesData())

    (resource,) = data.resource_spans
    (scope,) = resource.scope_spans
    root, load, save = scope.spans
    assert (root.name, load.name, save.name) == ("task 1", "load", "save")
    assert len(root.trace_id) == 16
    assert {len(span.span_id) for span in scope.spans} == {8}
    assert load.parent_span_id == save.parent_span_id == root.span_id
    assert root.start_time_unix_nano <= root.end_time_unix_nano
    assert path.stat().st_mode & 0o777 == 0o600
    assert {event.name for event in root.events} == {"flow.context", "flow.tag", "flow.approval"}


def test_doctor_tells_of_a_mirror_that_fails(home: Home) -> None:
    for name in ("otlp", "nobody"):
        mirrors.run(home, name, deadline=_deadline())
    found = {check.name: (check.ok, check.detail) for check in mirror_checks(home)}
    assert found["mirror otlp"] == (True, "2 times a log was copied")
    assert found["mirror nobody"][0] is False
    assert "1 failure since, the last one: NotFound" in found["mirror nobody"][1]


def _with_base64_ids(text: str) -> str:
    """The ids in the form of general protobuf JSON; that of OTLP is hex."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64encode(bytes.fromhex(item)).decode()
            if key in ("traceId", "spanId", "parentSpanId")
            else changed(item)
            for key, item in value.items()
        }

    return json.dumps(changed(json.loads(text)))


def _run(home: Home) -> mirrors.Cursor:
    cursor = mirrors.run(home, "listed", deadline=_deadline())
    assert cursor is not None
    return cursor


def _deadline() -> float:
    return time.monotonic() + 60
