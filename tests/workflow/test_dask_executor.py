"""Steps on Dask: lost workers, lost runners, clusters of somebody else."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.states import StepState
from tests.ends import END_S, opened, still_alive
from tests.workflow.attempts import Attempts, begin_what_dask_keeps, lives, made

SAYS_ITS_PID = "import os, sys\nprint(os.getpid(), file=sys.stderr, flush=True)\n"
FOR_EVER = f"{SAYS_ITS_PID}import time\ntime.sleep(60)"
RUNNER = """
import asyncio, sys
from pathlib import Path
from tests.workflow.attempts import made

with asyncio.Runner() as runner:
    steps = made(runner, sys.argv[1], Path(sys.argv[2]))
    steps.run(sys.argv[3], lambda text: print(text, flush=True))
"""
GONE_S = 20.0


pytestmark = pytest.mark.apart


@pytest.fixture(scope="session", autouse=True)
def dask_keeps_what_it_keeps() -> None:
    begin_what_dask_keeps()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def steps(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Attempts]:
    """On a cluster of two workers that is the run's own."""
    steps = made(runner, "dask", tmp_path)
    yield steps
    steps.wait(steps.executor.close())


@pytest.fixture(scope="module")
def lasting(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempts]:
    """The same, for all tests that leave its workers as they are: a cluster costs three seconds."""
    steps = made(runner, "dask", tmp_path_factory.mktemp("lasting"))
    yield steps
    steps.wait(steps.executor.close())


@asynccontextmanager
async def _cluster(**more: Any) -> AsyncIterator[str]:
    """The address of a cluster that is somebody else's."""
    from distributed import LocalCluster

    said: dict[str, Any] = {
        "n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1", "memory_limit": 0,
        "dashboard_address": "127.0.0.1:0", "asynchronous": True,
    }  # fmt: skip
    async with LocalCluster(**said | more) as cluster:
        yield cluster.scheduler_address


def _dask_worker_of(pid: int) -> psutil.Process:
    """The child of this process that a step is somewhere below."""
    return next(each for each in psutil.Process(pid).parents() if each.ppid() == os.getpid())


def test_a_step_whose_worker_is_killed_runs_again_on_another_one(
    steps: Attempts, tmp_path: Path
) -> None:
    mark = tmp_path / "was here"
    source = (
        f"import pathlib, time\nmark = pathlib.Path({str(mark)!r})\n"
        f"is_first = not mark.exists()\nmark.touch()\n{SAYS_ITS_PID}"
        "if is_first:\n    time.sleep(60)\nprint('done')"
    )
    pids: list[int] = []
    killed: list[int] = []

    def log(text: str) -> None:
        if not text.strip().isdigit():
            return
        pids.append(int(text))
        if len(pids) == 1:
            killed.append(_dask_worker_of(pids[0]).pid)
            os.kill(killed[0], signal.SIGKILL)

    outcome, said = steps.run(source, log)

    assert (outcome.state, outcome.stdout, outcome.how, len(pids)) == (
        StepState.OK, b"done\n", "dask", 2,
    )  # fmt: skip
    assert "flow: the Dask worker was lost; the step runs again on another one\n" in said
    # The step ends by a signal of the system, a moment after its worker.
    left = [process for pid in (*killed, pids[0]) for process in opened(pid)]
    assert still_alive(left, END_S) == []


def test_a_step_that_loses_every_worker_is_an_error_in_the_end(steps: Attempts) -> None:
    pids: list[int] = []

    def log(text: str) -> None:
        if text.strip().isdigit():
            pids.append(int(text))
            os.kill(_dask_worker_of(pids[-1]).pid, signal.SIGKILL)

    outcome, _ = steps.run(FOR_EVER, log)

    assert outcome.error is not None
    assert (outcome.state, outcome.error, len(pids)) == (
        StepState.ERROR,
        {
            "type": "WorkerDied",
            "message": "the step died: the Dask workers that ran it were lost, 4 in a row",
            "reason": "lost",
        },
        4,
    )


def test_many_steps_at_once_lose_nothing_when_a_worker_is_killed(steps: Attempts) -> None:
    killed: list[int] = []

    def log(data: bytes) -> None:
        if not killed and data.strip().isdigit():
            killed.append(_dask_worker_of(int(data)).pid)
            os.kill(killed[0], signal.SIGKILL)

    async def all_of_them() -> list[Any]:
        await steps.executor.run(steps.order("pass"), log)
        first = steps.executor.run(
            steps.order(f"{SAYS_ITS_PID}import time\ntime.sleep(0.2)\nprint(-1)"), log
        )
        others = [
            steps.executor.run(steps.order(f"print({number})"), lambda _: None)
            for number in range(30)
        ]
        return await asyncio.gather(first, *others)

    outcomes = steps.wait(all_of_them())

    assert [(each.state, int(each.stdout)) for each in outcomes] == [
        (StepState.OK, number) for number in range(-1, 30)
    ]


def test_a_runner_that_is_killed_leaves_no_step_on_a_cluster_of_somebody_else(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def work() -> bool:
        async with _cluster() as address:
            program = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RUNNER, f"dask={address}", str(tmp_path), FOR_EVER,
                stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
            )  # fmt: skip
            assert program.stdout is not None
            step = psutil.Process(int(await program.stdout.readline()))
            program.kill()
            await program.wait()
            await asyncio.to_thread(still_alive, [step], GONE_S)
            return lives(step.pid)

    assert runner.run(work()) is False


def test_on_a_cluster_of_somebody_else_steps_have_the_environment_of_its_workers(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> tuple[Attempts, Any]:
        monkeypatch.setenv("IN_THE_CLUSTER", "1")
        async with _cluster() as address:
            monkeypatch.delenv("IN_THE_CLUSTER")
            monkeypatch.setenv("IN_THE_RUNNER", "1")
            steps = _made_here(runner, f"dask={address}", tmp_path)
            order = steps.order("import os\nprint(sorted(x for x in os.environ if 'IN_THE' in x))")
            try:
                return steps, await steps.executor.run(order, lambda _: None)
            finally:
                await steps.executor.close()

    _, outcome = runner.run(work())

    assert (outcome.state, outcome.stdout) == (StepState.OK, b"['IN_THE_CLUSTER']\n")


def test_resources_are_those_that_the_cluster_declares_and_others_are_told(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def work() -> list[str]:
        said = []
        for declared in ({"CPU": 2, "memory": 1e9}, {"CPU": 2}, {}):
            async with _cluster(resources=declared) as address:
                steps = _made_here(runner, f"dask={address}", tmp_path / str(len(declared)))
                limits = Limits(timeout_s=20.0, memory_bytes=500_000_000)
                order = replace(steps.order("print(1)"), cpu=1.0, limits=limits)
                try:
                    said.append((await steps.executor.run(order, lambda _: None)).how_reason)
                finally:
                    await steps.executor.close()
        return said

    assert runner.run(work()) == [
        "",
        "the cluster declares no resource memory: not minded there",
        "the cluster declares no resource cpu and memory: not minded there",
    ]


def test_a_directory_that_is_not_there_is_told_and_the_step_runs_elsewhere(
    lasting: Attempts,
) -> None:
    order = replace(lasting.order("print(1)"), directory="/nowhere/at/all")

    outcome, _ = lasting.run(order)

    assert (outcome.state, outcome.stdout) == (StepState.OK, b"1\n")
    assert outcome.how_reason.startswith("there is no /nowhere/at/all on ")


def test_a_cluster_that_is_not_there_is_one_sentence(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    steps = made(runner, "dask=nonsense://1", tmp_path)

    with pytest.raises(IsolationUnavailable, match="no Dask cluster could be reached or made"):
        steps.run("print(1)")


def test_a_flood_of_stderr_is_cut_and_its_end_is_told(lasting: Attempts) -> None:
    outcome, said = lasting.run(
        "import sys\nfor i in range(200_000): print('x' * 99, file=sys.stderr)\n"
        "print('the end', file=sys.stderr)"
    )

    assert (outcome.state, said.endswith("the end\n"), len(said) < 20_000_000) == (
        StepState.OK, True, True,
    )  # fmt: skip


def _made_here(runner: asyncio.Runner, name: str, directory: Path) -> Attempts:
    """An executor, where a loop runs already."""
    from flow_kernel.workflow.executors.contract import Context
    from flow_kernel.workflow.registry import Executors

    files = directory / "files"
    files.mkdir(parents=True)
    context = Context(run_id="R-0001", files=files, workers=2, env=dict(os.environ))
    return Attempts(runner, Executors(context).get(name), directory)
