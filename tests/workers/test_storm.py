"""A storm of processes stands still while it is counted, and goes on where it may."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow_kernel.workers.storm import Storm, held
from flow_kernel.workers.tree import Usage
from tests.workers.trees import Program, new_tag, until

pytestmark = pytest.mark.skipif(
    not Path("/proc/loadavg").exists(), reason="this system does not say how many tasks it has"
)
MANY = 150
STORM = f"""
os.setsid()
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
signal.alarm(60)
fork(lambda: apart(report))
while signal.sigwait({{signal.SIGUSR1}}):
    for _ in range({MANY}): fork()
    tell(0)
"""
MOST_WAVES = 10
SUSPENDED = """
os.setsid()
tell(fork(), fork(apart))
rest()
"""


def state_of(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat[stat.rfind(")") + 2]


@contextmanager
def grown(program: Program, storm: Storm) -> Iterator[tuple[int, Usage]]:
    """How many waves there were until they stand still, and what is counted then.

    The number of tasks is that of the whole system, where others end some in the same moment: then
    it takes one wave more.
    """
    with storm.watched():
        pass  # from now on it is known how many there were
    for waves in range(1, MOST_WAVES):
        os.kill(program.pid, signal.SIGUSR1)
        program.number()
        with storm.watched() as usage:
            if usage is not None:
                yield waves, usage
                return
    raise AssertionError("nobody has counted them")


def is_counted(storm: Storm) -> bool:
    with storm.watched() as usage:
        return usage is not None


def test_hundreds_more_stand_still_while_they_are_counted_and_then_go_on() -> None:
    with Program(STORM) as program:
        script = program.number()
        storm = Storm(program.pid, None)

        with grown(program, storm) as (waves, usage):
            # What is told to stop does so at its next step.
            until(lambda: {state_of(pid) for pid in usage.pids} == {"T"})
        assert usage.processes == waves * MANY + 2
        until(lambda: "T" not in {state_of(program.pid), state_of(script)})
        # Counted once; others on this machine may begin a storm of their own meanwhile.
        until(lambda: not is_counted(storm))


def test_what_ends_in_a_storm_while_it_stands_still_is_gone() -> None:
    with Program(STORM) as program:
        program.number()
        storm = Storm(program.pid, new_tag())

        with grown(program, storm):
            os.killpg(program.pid, signal.SIGKILL)
        until(lambda: program.process.poll() is not None)


@pytest.mark.parametrize("at", [0, 1], ids=["in its group", "in one of its own"])
def test_what_somebody_has_stopped_before_does_not_go_on(at: int) -> None:
    with Program(SUSPENDED) as program:
        pids = [*map(int, program.line().split())]
        suspended, other = pids[at], pids[1 - at]
        until(lambda: os.getpgid(pids[1]) == pids[1])
        os.kill(suspended, signal.SIGSTOP)
        until(lambda: state_of(suspended) == "T")

        with held(program.pid):
            until(lambda: {state_of(pid) for pid in (program.pid, *pids)} == {"T"})
        until(lambda: "T" not in {state_of(program.pid), state_of(other)})
        until(lambda: state_of(suspended) == "T")  # at its next step
