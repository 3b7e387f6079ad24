"""Steps are held to their limits, end whole, and tell why they ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from flow_kernel.workers.limits import Limits
from flow_kernel.workers.steps.contract import StepEnd
from flow_kernel.workers.steps.host import StepHost
from flow_kernel.workers.steps.spawned import Spawned
from tests.workers.steps.scripts import Runs, Steps
from tests.workers.trees import ROOT, all_gone, until

_LEAVES = """
import os, sys, time
def leave():
    if os.fork() == 0:
        if DAEMON:
            os.setsid()
            if os.fork():
                os._exit(0)
        if BARE:
            command = [sys.executable, "-I", "-c", "import time; time.sleep(60)"]
            os.execve(command[0], command, {})
        time.sleep(60)
        os._exit(0)
leave()
if DAEMON:
    os.wait()
if not ENDS:
    print("waits", file=sys.stderr, flush=True)
    time.sleep(60)
"""


def leaves(*, daemon: bool, bare: bool = False, ends: bool = True) -> str:
    return f"DAEMON, BARE, ENDS = {daemon}, {bare}, {ends}\n{_LEAVES}"


@pytest.fixture(scope="module", params=["forked", "spare", "spawned"])
def steps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Steps]:
    kinds: dict[str, Runs] = {
        "forked": StepHost(),
        "spare": StepHost(spares=1),
        "spawned": Spawned(reason="as asked for"),
    }
    with asyncio.Runner() as runner:
        runs = kinds[request.param]
        spares = int(request.param == "spare")
        yield Steps(runner, runs, tmp_path_factory.mktemp("steps"), spares)
        runner.run(runs.close())


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    """One that is forked, whichever way."""
    host = StepHost()
    with asyncio.Runner() as runner:
        yield Steps(runner, host, tmp_path_factory.mktemp("steps"))
        runner.run(host.close())


def _told(end: StepEnd) -> tuple[int, str | None]:
    return end.returncode, None if end.death is None else end.death.reason


def test_a_step_ends_with_all_that_is_known_of_it(steps: Steps) -> None:
    end, said = steps.run(steps.job("import sys; print('out'); print('err', file=sys.stderr)"))

    is_forked = isinstance(steps.runs, StepHost)
    assert said == "err\n"
    assert replace(end, peak_rss_bytes=None, cpu_s=None, elapsed_s=0.0) == StepEnd(
        returncode=0, stdout=b"out\n", stdout_bytes=4, peak_rss_bytes=None, cpu_s=None,
        elapsed_s=0.0, death=None, block=None, left_behind=0,
        how="fork" if is_forked else "spawn", how_reason="" if is_forked else "as asked for",
    )  # fmt: skip
    assert 0 < end.elapsed_s < 10
    assert not is_forked or (end.peak_rss_bytes or 0) > 5_000_000


def test_what_a_step_says_is_heard_while_it_runs(steps: Steps) -> None:
    async def hear() -> bytes:
        pieces: list[bytes] = []
        heard = asyncio.Event()
        task = asyncio.ensure_future(
            steps.runs.run(
                steps.job("import sys, time\nsys.stderr.write('now\\n')\ntime.sleep(60)"),
                lambda data: (pieces.append(data), heard.set()),  # type: ignore[arg-type,return-value,func-returns-value]
            )
        )
        await heard.wait()
        task.cancel()
        await asyncio.wait([task])
        return b"".join(pieces)

    assert steps.wait(hear()) == b"now\n"


def test_a_program_is_run_as_it_is(steps: Steps) -> None:
    end, said = steps.run(steps.program("bash", "-c", "echo $((6 * 7)); echo no >&2; exit 5"))

    assert (end.returncode, end.stdout, said, end.how) == (5, b"42\n", "no\n", "spawn")


def test_a_step_that_takes_too_long_is_killed(steps: Steps) -> None:
    source = "import sys, time\nprint(1, flush=True)\nprint(file=sys.stderr)\ntime.sleep(60)"
    job = steps.job(source, limits=Limits(timeout_s=15.0))

    end = steps.wait(steps.runs.run(job, lambda _data: steps.leap(15.0)))

    assert (_told(end), end.stdout) == ((-9, "timeout"), b"1\n")
    assert end.death is not None
    assert end.death.sentence.startswith("the step died: it ran longer than 15 s")


def test_a_step_that_takes_too_much_memory_is_killed(steps: Steps) -> None:
    source = "import time\nx = [b'x' * 1000000 for _ in range(400)]\ntime.sleep(60)"

    end, _ = steps.run(steps.job(source, limits=Limits(memory_bytes=200_000_000, timeout_s=20)))

    assert _told(end) == (-9, "memory_limit")


def test_a_step_that_computes_too_long_is_killed(steps: Steps) -> None:
    source = "x = 0\nwhile True:\n    x += 1"

    end, _ = steps.run(steps.job(source, limits=Limits(cpu_s=0.3, timeout_s=20)))

    assert _told(end) == (-9, "timeout")


def test_a_step_that_starts_too_many_processes_is_killed(steps: Steps) -> None:
    source = "import os, time\nfor _ in range(6):\n    os.fork() or time.sleep(60)\ntime.sleep(60)"

    end, _ = steps.run(steps.job(source, limits=Limits(processes=4, timeout_s=20)))

    assert _told(end) == (-9, "killed")
    assert end.death is not None
    assert "more than 4 processes" in end.death.sentence


def test_a_step_that_writes_without_end_is_killed_and_what_it_may_say_is_kept(
    steps: Steps,
) -> None:
    source = "import sys\nwhile True:\n    sys.stdout.write('x' * 65536)"

    end, _ = steps.run(steps.job(source, limits=Limits(output_bytes=1_000_000, timeout_s=20)))

    assert (_told(end), end.stdout) == ((-9, "killed"), b"x" * 1_000_000)
    assert end.death is not None
    assert "more than 1.0 MB of output" in end.death.sentence


def test_ten_megabytes_of_output_arrive_whole(steps: Steps) -> None:
    end, _ = steps.run(steps.job("print('0123456789' * 1000000)"))

    assert (end.stdout, end.stdout_bytes) == (b"0123456789" * 1_000_000 + b"\n", 10_000_001)


def test_a_fault_is_told_with_its_line(hosted: Steps) -> None:
    end, said = hosted.run(hosted.job("import os\n\nos.kill(os.getpid(), 11)\n"))

    assert _told(end) == (-11, "segfault")
    assert end.death is not None
    assert "the last line running was line 3 of the script" in end.death.sentence
    assert "Segmentation fault" in said


def test_a_kill_from_outside_is_told(steps: Steps) -> None:
    end, _ = steps.run(steps.job("import os; os.kill(os.getpid(), 9)"))

    assert _told(end) == (-9, "killed")


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_what_a_step_leaves_behind_is_killed_and_counted(
    hosted: Steps, daemon: bool, bare: bool
) -> None:
    end, _ = hosted.run(hosted.job(leaves(daemon=daemon, bare=bare)))

    assert (end.returncode, end.left_behind, _below(hosted)) == (0, 1, [])


def test_a_daemon_of_one_step_is_no_other_ones(hosted: Steps) -> None:
    async def run() -> tuple[int, int]:
        keeps = hosted.job("import sys; sys.stdin.read()\n" + leaves(daemon=True, ends=False))
        waits, first = asyncio.Event(), hosted.runs
        one = asyncio.ensure_future(first.run(keeps, lambda _data: waits.set()))
        await waits.wait()
        short = await first.run(hosted.job("print(1)"), lambda _data: None)
        during = len(_below(hosted))
        one.cancel()
        await asyncio.wait([one])
        return short.left_behind, during

    assert (hosted.wait(run()), _below(hosted)) == ((0, 2), [])


def test_a_step_that_is_cancelled_is_gone_with_all_its_processes(steps: Steps) -> None:
    async def run() -> tuple[bool, bool]:
        waits = asyncio.Event()
        job = steps.job(leaves(daemon=True, ends=False))
        task = asyncio.ensure_future(steps.runs.run(job, lambda _data: waits.set()))
        await waits.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), waits.is_set()

    assert steps.wait(run()) == (True, True)
    # What somebody else adopts is theirs to reap.
    until(lambda: _below(steps) == [])


def test_an_error_of_who_hears_a_step_ends_it_and_is_theirs(steps: Steps) -> None:
    def refuse(_data: bytes) -> None:
        raise ValueError("not heard")

    source = "import sys, time\nprint(1, file=sys.stderr)\ntime.sleep(60)"
    with pytest.raises(ValueError, match="not heard"):
        steps.wait(steps.runs.run(steps.job(source), refuse))


def test_many_steps_at_one_time_get_their_own_output(steps: Steps) -> None:
    async def run() -> list[bytes]:
        job = steps.job("import sys; print(sys.argv[1])")
        jobs = [replace(job, argv=(job.argv[0], str(number))) for number in range(20)]
        ends = await asyncio.gather(*(steps.runs.run(each, lambda _data: None) for each in jobs))
        return [end.stdout for end in ends]

    assert steps.wait(run()) == [f"{number}\n".encode() for number in range(20)]


def test_hundreds_of_orders_at_once_find_their_way(hosted: Steps) -> None:
    async def run() -> set[bytes]:
        job = hosted.job("import os; print(len(os.environ['LARGE']))", env={"LARGE": "x" * 50_000})
        jobs = [hosted.runs.run(job, lambda _data: None) for _ in range(200)]
        return {end.stdout for end in await asyncio.gather(*jobs)}

    assert hosted.wait(run()) == {b"50000\n"}


def test_a_host_that_is_stopped_keeps_no_step_beyond_its_time(hosted: Steps) -> None:
    host = hosted.runs
    assert isinstance(host, StepHost)

    async def run() -> StepEnd:
        waits = asyncio.Event()
        source = "import sys, time\nprint(1, file=sys.stderr)\ntime.sleep(60)"
        job = hosted.job(source, limits=Limits(timeout_s=15.0))
        task = asyncio.ensure_future(host.run(job, lambda _data: waits.set()))
        await waits.wait()
        os.kill(host.pid or 0, signal.SIGSTOP)
        hosted.leap(15.0)
        return await task

    assert _told(hosted.wait(run())) == (-9, "timeout")


def test_an_environment_and_a_source_of_megabytes_reach_a_step(steps: Steps) -> None:
    source = f"import os\nx = {'y' * 1_000_000!r}\nprint(len(x), len(os.environ['BIG']))"

    end, said = steps.run(steps.job(source, env={"BIG": "z" * 100_000}))

    assert (end.stdout, said) == (b"1000000 100000\n", "")


def test_a_directory_that_is_gone_is_told(hosted: Steps) -> None:
    end, said = hosted.run(replace(hosted.job("print(1)"), cwd="/no/such/directory"))

    assert (end.returncode, end.stdout) == (1, b"")
    assert said == (
        "the step cannot be started: [Errno 2] No such file or directory: '/no/such/directory'\n"
    )


def test_a_program_that_is_not_there_is_told_as_a_shell_does(hosted: Steps) -> None:
    end, said = hosted.run(hosted.program("no-such-program"))

    assert (end.returncode, said) == (127, "no-such-program: No such file or directory\n")


def test_the_death_of_the_host_is_told_and_the_next_step_has_another(hosted: Steps) -> None:
    host = hosted.runs
    assert isinstance(host, StepHost)

    async def run() -> StepEnd:
        waits = asyncio.Event()
        job = hosted.job(leaves(daemon=True, ends=False))
        task = asyncio.ensure_future(host.run(job, lambda _data: waits.set()))
        await waits.wait()
        os.kill(host.pid or 0, signal.SIGKILL)
        return await task

    end = hosted.wait(run())
    after, _ = hosted.run(hosted.job("print(1)"))

    assert (_told(end), end.left_behind) == ((-9, "lost"), 1)
    assert after.stdout == b"1\n"


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, os, sys
from tests.workers.steps.scripts import Steps
from flow_kernel.workers.steps.host import StepHost
from pathlib import Path

async def main():
    host = StepHost(spares=1)
    steps = Steps(None, host, Path({str(tmp_path)!r}))
    job = steps.job({leaves(daemon=True, ends=False)!r})
    told = lambda data: print(host.pid, flush=True)
    await host.run(job, told)

asyncio.run(main())
"""
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    host = psutil.Process(int(owner.stdout.readline()))
    until(lambda: len(host.children(recursive=True)) >= 3)  # the step, its daemon, a spare
    family = [host.pid, *(each.pid for each in host.children(recursive=True))]

    owner.kill()
    owner.wait()
    owner.stdout.close()

    until(lambda: all_gone(*family))


def test_a_module_that_starts_a_thread_writes_or_ends_its_process_is_not_loaded_ahead(
    tmp_path: Path,
) -> None:
    names = [f"tests.workers.steps.unfit.{kind}" for kind in ("thread", "writes", "exits", "fine")]
    host = StepHost(preload=names)
    with asyncio.Runner() as runner:
        steps = Steps(runner, host, tmp_path)
        end, _ = steps.run(steps.job("import sys, json; print(json.dumps('json' in sys.modules))"))
        runner.run(host.close())

    assert (json.loads(end.stdout), host.unfit) == (
        True,
        {
            names[0]: "its import starts threads",
            names[1]: "its import writes something",
            names[2]: "its import ends the process",
        },
    )
    assert end.how_reason == "; ".join(
        f"{name} is not imported ahead: {why}" for name, why in host.unfit.items()
    )


def test_an_import_that_does_not_end_holds_up_no_step(tmp_path: Path) -> None:
    name = "tests.workers.steps.unfit.hangs"
    host = StepHost(preload=[name], import_s=15.0)
    hear = host._hear

    def heard(message: dict[str, Any]) -> None:
        hear(message)
        if message["op"] == "importing":
            steps.leap(15.0)

    host._hear = heard  # type: ignore[method-assign]
    with asyncio.Runner() as runner:
        steps = Steps(runner, host, tmp_path)
        end, _ = steps.run(steps.job("print(1)"))
        runner.run(host.close())

    assert (end.stdout, host.unfit) == (b"1\n", {name: "its import has not ended within 15 s"})


def _below(steps: Steps) -> list[str]:
    """What lives below the host, without its spares; below this process where there is none."""
    pid = steps.runs.pid if isinstance(steps.runs, StepHost) else None
    found = []
    for each in psutil.Process(pid or os.getpid()).children(recursive=True):
        try:
            text = " ".join(each.cmdline())
            is_spare = steps.spares > 0 and each.ppid() == pid
            is_stranger = pid is None and "flow-step-" not in text
            if each.status() != psutil.STATUS_ZOMBIE and not is_spare and not is_stranger:
                found.append(text)
        except psutil.Error:
            continue
    return found
