"""A storm of processes stands still while it is counted, and goes on where it may."""

import os
import signal
from pathlib import Path

import pytest

from flow_kernel.workers.storm import Storm, held
from tests.workers.trees import Program, new_tag, until

pytestmark = pytest.mark.skipif(
    not Path("/proc/loadavg").exists(), reason="this system does not say how many tasks it has"
)
MANY = 150
STORM = f"""
os.setsid()
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
tell(0)
signal.sigwait({{signal.SIGUSR1}})
for _ in range({MANY}): fork()
script = fork(apart)
tell(script)
rest()
"""
SUSPENDED = """
os.setsid()
tell(fork(), fork(apart))
rest()
"""


def state_of(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat[stat.rfind(")") + 2]


def counted(storm: Storm) -> tuple[int, set[str]] | None:
    """How many there were, and in which states, while they were counted."""
    with storm.watched() as usage:
        if usage is None:
            return None
        # What is told to stop does so at its next step.
        until(lambda: {state_of(pid) for pid in usage.pids} == {"T"})
        return usage.processes, {state_of(pid) for pid in usage.pids}


def test_hundreds_more_stand_still_while_they_are_counted_and_then_go_on() -> None:
    with Program(STORM) as program:
        program.number()
        storm = Storm(program.pid, None)
        counted(storm)
        os.kill(program.pid, signal.SIGUSR1)
        script = program.number()

        assert counted(storm) == (MANY + 2, {"T"})
        until(lambda: "T" not in {state_of(program.pid), state_of(script)})
        # Counted once; others on this machine may begin a storm of their own meanwhile.
        until(lambda: counted(storm) is None)


def test_what_ends_in_a_storm_while_it_stands_still_is_gone() -> None:
    with Program(STORM) as program:
        program.number()
        storm = Storm(program.pid, new_tag())
        counted(storm)
        os.kill(program.pid, signal.SIGUSR1)
        program.number()

        with storm.watched() as usage:
            assert usage is not None
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
