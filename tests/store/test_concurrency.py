"""Real processes update the context of one task, side by side, and are killed at random moments."""

import random
import signal
import time
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
from tests.store.stores import (
    WAIT_S,
    Process,
    flow_on,
    outputs_of,
    read_line,
    start,
    verdict_of_sqlite,
)


def test_four_processes_with_500_updates_each_lose_nothing(tmp_path: Path) -> None:
    keys = [f"k{n}" for n in range(4)]
    with flow_on(tmp_path / ".flow") as flow:
        writers = [_writer(flow.home, key, 500, is_shared=True) for key in keys]
        said = outputs_of(writers, said=b"\n")
        assert [text.split() for text in said] == [[*map(str, range(500))]] * 4

        context = flow.get_task_context("T-0001")
        assert context.pop("shared") in {f"{key} 499" for key in keys}
        assert context == dict.fromkeys(keys, 499)
        for key in keys:
            history = flow.context_history("T-0001", key)
            assert [(value.value, value.author) for value in history] == [
                (n, key) for n in range(500)
            ]
        shared = flow.context_history("T-0001", "shared")
        assert sorted(str(value.value) for value in shared) == sorted(
            f"{key} {n}" for key in keys for n in range(500)
        )
        assert flow.store.check() == []


def test_a_writer_killed_at_any_moment_has_kept_what_was_acknowledged(tmp_path: Path) -> None:
    _kill(tmp_path, 12)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_1000_writers_killed_at_any_moment_have_kept_what_was_acknowledged(tmp_path: Path) -> None:
    _kill(tmp_path, 1000)


def _kill(tmp_path: Path, kills: int) -> None:
    """Each round kills one of two processes that write to one task; the other one goes on."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    with flow_on(tmp_path / ".flow") as flow:
        home = flow.home
    survivors: dict[str, int] = {}
    survivor, name = _running(home, "other"), "other"
    for n in range(kills):
        told = f"kill {n} of seed {seed}"
        victim = _running(home, f"k{n}")
        lines = [read_line(victim) for _ in range(chance.choice([1, 2, 50]))]
        deadline = time.monotonic() + chance.random() * 0.003
        while time.monotonic() < deadline:
            pass
        victim.send_signal(signal.SIGKILL)
        output, errors = victim.communicate(timeout=WAIT_S)
        last = int((b"\n".join([*lines, output])).split()[-1])
        assert (victim.returncode, errors) == (-signal.SIGKILL, b""), told

        flow = flow_of(home, author="reader")
        value = flow.get_task_context("T-0001")[f"k{n}"]
        history = flow.context_history("T-0001", f"k{n}")
        flow.store.close()
        # The last one may be committed, and the word of it not said.
        assert value in {last, last + 1}, told
        assert [item.value for item in history] == [*range(last + 1 + (value == last + 1))], told
        if n % 4 == 3:
            survivors[name] = _stopped(survivor)
            assert verdict_of_sqlite(home.store_path) == "ok", told
            survivor, name = _running(home, f"other {n}"), f"other {n}"
    survivors[name] = _stopped(survivor)

    flow = flow_of(home, author="reader")
    context = flow.get_task_context("T-0001")
    flow.close()
    for key, last in survivors.items():
        assert context[key] in {last, last + 1}, (key, seed)
    assert verdict_of_sqlite(home.store_path) == "ok"


def _writer(home: Home, key: str, count: int, *, is_shared: bool) -> Process:
    process = start("-m", "tests.store.writer", home.root, key, count, int(is_shared))
    assert read_line(process) == b"ready"
    return process


def _running(home: Home, key: str) -> Process:
    process = _writer(home, key, 0, is_shared=False)
    assert process.stdin is not None
    process.stdin.write(b"\n")
    return process


def _stopped(process: Process) -> int:
    """The last update that the process has acknowledged; it is killed then."""
    first = read_line(process)
    process.send_signal(signal.SIGKILL)
    output, errors = process.communicate(timeout=WAIT_S)
    assert errors == b""
    return int((first + b"\n" + output).split()[-1])
