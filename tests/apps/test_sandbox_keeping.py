"""What the sandbox keeps of tasks that have ended, and what makes room for what."""

import json
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.apps.sandbox.spools import LEASE_BYTES, Spools
from flow_kernel.apps.sandbox.stream import TaskStream

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
    assert [each.is_closed for each in (running, read, first, second)] == [False] * 2 + [True, False]
    _say(running, 10)
    running.end("task_complete", "w", exitCode=0)
    assert [each.is_closed for each in (running, read, first, second)] == [False] * 2 + [True] * 2
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
