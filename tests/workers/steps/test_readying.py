"""What a process that forks steps begins with, and what it loads while nobody waits."""

import asyncio
import os
import socket
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import psutil
import pytest

from flow_kernel.workers import glimpses, sweep
from flow_kernel.workers.steps import marking, seen, words
from flow_kernel.workers.steps.host import StepHost
from tests.workers.steps.scripts import Steps
from tests.workers.trees import all_gone, until

_SLOW = ("dataclasses", "enum", "json", "pathlib", "re", "signal", "socket", "typing")


class _Kind(StrEnum):
    PLAIN = "plain"


def test_a_host_begins_without_the_modules_that_take_longer_than_all_that_it_needs() -> None:
    program = (
        "import sys, flow_kernel.workers.steps.host_process;"
        f"print([name for name in {_SLOW!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=False)

    assert (done.stdout, done.stderr) == (b"[]\n", b"")


def test_what_a_host_knows_of_modules_that_it_loads_later_is_what_they_say() -> None:
    known = (seen.SLOT_BYTES, marking.TAG_NAME)

    assert known == (glimpses.NBYTES, sweep.TAG_NAME)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"op": "run", "argv": ("a", "b")}, {"op": "run", "argv": ("a", "b")}),
        (
            {"op": "run", "cwd": "a\udcffb", "id": 2**40},
            {"op": "run", "cwd": "a\udcffb", "id": 2**40},
        ),
        ({"op": "run", "source": "é" * 500_000}, {"op": "run", "source": "é" * 500_000}),
        ({"op": "run", "set": {"A": _Kind.PLAIN}}, {"op": "run", "set": {"A": "plain"}}),
    ],
    ids=["plain", "odd", "long", "of an enum"],
)
def test_words_arrive_as_they_were_said_with_their_descriptors(
    said: dict[str, object], heard: dict[str, object]
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with ours, theirs:
        words.send(ours, said, [writing, reading])
        message, fds = words.receive(theirs)
    os.write(fds[0], b"through")
    through = os.read(fds[1], 100)
    inherits = [os.get_inheritable(fd) for fd in fds]
    for fd in (*fds, reading, writing):
        os.close(fd)

    assert (message, through, inherits) == (heard, b"through", [False, False])


@pytest.mark.parametrize("data", [b"{", b"\xe9\x01\x00\x00\x00", b"N", b"\0"])
def test_what_is_no_word_is_refused_and_its_descriptors_are_closed(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = len(os.listdir("/proc/self/fd"))
    with ours, theirs:
        socket.send_fds(ours, [data], [ours.fileno()])
        with pytest.raises(ValueError, match=r"."):
            words.receive(theirs)
        after = len(os.listdir("/proc/self/fd"))

    assert after == before


def test_an_owner_that_is_gone_is_no_word() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs:
        assert words.receive(theirs) == (None, [])


@pytest.mark.parametrize("name", ["enum", "dis", "shutil"])
def test_the_first_step_finds_what_lies_beside_it_before_the_host_has_loaded_that(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("VALUE = 1")
    with asyncio.Runner() as runner:
        steps = Steps(runner, StepHost(), tmp_path)
        end, said = steps.run(steps.job(f"import {name}\nprint({name}.VALUE)"))
        runner.run(steps.runs.close())

    assert (end.stdout, said) == (b"1\n", "")


def test_a_step_that_leaves_a_daemon_before_the_host_has_loaded_what_ends_it_leaves_nothing(
    tmp_path: Path,
) -> None:
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    os.close(1), os.close(2)\n"
        "    time.sleep(60)\n"
        "print(os.getpid(), flush=True)"
    )
    with asyncio.Runner() as runner:
        steps = Steps(runner, StepHost(), tmp_path)
        end, said = steps.run(steps.job(source))
        runner.run(steps.runs.close())

    assert (end.returncode, end.left_behind, said) == (0, 1, "")


def test_spares_end_with_the_host_that_has_forked_them(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        host = StepHost(spares=2)
        steps = Steps(runner, host, tmp_path)
        steps.run(steps.job("pass"))
        process = psutil.Process(host.pid)
        until(lambda: len(process.children()) == 2)
        family = [process.pid, *(each.pid for each in process.children())]
        runner.run(host.close())

    until(lambda: all_gone(*family))
    assert len(family) == 3
