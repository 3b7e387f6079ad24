"""A step that certainly does not go on is ended, and where it stood is told."""

import asyncio

import pytest

from flow_kernel.workers.limits import Limits
from flow_kernel.workers.steps import looks
from flow_kernel.workers.steps.contract import StepEnd
from flow_kernel.workers.steps.host import StepHost
from tests.workers.steps.scripts import Steps

_DEADLOCK = """
import threading
first, second = threading.Lock(), threading.Lock()
both = threading.Barrier(2)

def take(one, other):
    with one:
        both.wait()
        with other:
            pass

threading.Thread(target=take, args=(second, first), daemon=True).start()
take(first, second)
"""


STUCK = {
    "loop": "while 1:\n    pass\n",
    "deadlock": _DEADLOCK,
    "stopped": "import os\nos.kill(os.getpid(), 19)\n",
}
HONEST = {
    "sleeps": "import time; time.sleep(3.5)",
    "waits for a program": "import subprocess; subprocess.run(['sleep', '3.5'])",
    "computes": "import time\nx, until = 0, time.monotonic() + 3.5\n"
    "while time.monotonic() < until: x += 1",
    "pauses": "import signal\nwoken = []\n"
    "signal.signal(signal.SIGALRM, lambda number, _: woken.append(number))\n"
    "signal.setitimer(signal.ITIMER_REAL, 2.5)\nsignal.pause()\nassert woken == [14]",
    "waits for a thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(3.5,)).start()",
}
SLOW = "import time\n\ndef wait():\n    time.sleep(60)\n\nwait()\n"


@pytest.fixture(scope="module")
def ends_of_both(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, tuple[StepEnd, bytes]]]:
    """All at one time, without a spare and with one: each waits for seconds."""

    async def run_all(host: StepHost) -> dict[str, tuple[StepEnd, bytes]]:
        sources = {**STUCK, **HONEST, "slow": SLOW}
        said: dict[str, list[bytes]] = {name: [] for name in sources}
        runs = []
        for name, source in sources.items():
            steps = Steps(runner, host, tmp_path_factory.mktemp(name.replace(" ", "_")))
            limits = Limits(timeout_s=2.0 if name == "slow" else 15.0)
            runs.append(host.run(steps.job(source, limits=limits), said[name].append))
        ended = await asyncio.gather(*runs)
        await host.close()
        return {name: (end, b"".join(said[name])) for name, end in zip(sources, ended, strict=True)}

    async def run_both() -> list[dict[str, tuple[StepEnd, bytes]]]:
        return await asyncio.gather(*(run_all(StepHost(spares=spares)) for spares in (0, 1)))

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        # Nine others want the processors as well while it loads what looks at it.
        patch.setattr(looks, "_LAST_LOOK_S", 10.0)
        return runner.run(run_both())


@pytest.fixture(params=[0, 1])
def ends(
    request: pytest.FixtureRequest, ends_of_both: list[dict[str, tuple[StepEnd, bytes]]]
) -> dict[str, tuple[StepEnd, bytes]]:
    return ends_of_both[request.param]


@pytest.mark.parametrize(
    ("name", "found", "line"),
    [
        ("loop", ("infinite_loop", "repeats"), "line 1 of the script: while 1:"),
        ("deadlock", ("unknown", "deadlock"), "line 9 of the script, in take: with other:"),
        ("stopped", ("unknown", "stopped"), None),
    ],
)
def test_a_step_that_does_not_go_on_is_ended_and_told_with_its_line(
    ends: dict[str, tuple[StepEnd, bytes]], name: str, found: tuple[str, str], line: str | None
) -> None:
    end, _ = ends[name]

    assert end.block is not None
    assert (end.block["reason"], end.block["detail"], end.block["confidence"]) == (
        *found, "certain",
    )  # fmt: skip
    assert next(iter(end.block["stack"]), None) == line
    assert end.death is not None
    assert (end.returncode, end.death.reason) == (-9, "killed")
    assert end.death.sentence.startswith("the step died: killed because it did not go on")


def test_the_line_at_which_a_step_was_killed_is_told(
    ends: dict[str, tuple[StepEnd, bytes]],
) -> None:
    end, _ = ends["slow"]

    assert end.block is None
    assert end.death is not None
    assert end.death.sentence.split("; ")[:2] == [
        "the step died: it ran longer than 2 s",
        "the last line running was line 4 of the script, in wait: time.sleep(60)",
    ]


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_is_left_alone(ends: dict[str, tuple[StepEnd, bytes]], name: str) -> None:
    end, said = ends[name]

    assert (end.returncode, said, end.block, end.death) == (0, b"", None, None)
