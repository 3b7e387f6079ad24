"""Steps in processes of this machine: forked from one that has imported what they need, or started.

Built by `workflow.registry` as `fork` and `subprocess`. A script is forked where that is safe;
commands, notebooks and scripts that ask for `subprocess` are programs with an interpreter of their
own. Either way they are children of a process that ends them when the runner is gone, however it
went.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

from flow_kernel.workers.here import directory, search_path
from flow_kernel.workers.steps.contract import StepJob
from flow_kernel.workers.steps.hosts import CAN_FORK, Hosts
from flow_kernel.workers.steps.spawned import Spawned
from flow_kernel.workflow.executors.contract import Context, Log, Order, Outcome
from flow_kernel.workflow.files import OPTION, StepFiles
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.outcome import outcome_of

_TAIL_BYTES: Final = 32_000


class SubprocessExecutor:
    """Each step is a program of its own."""

    forks = False

    def __init__(self, context: Context) -> None:
        self._context = context
        self._runs: Hosts | Spawned = Hosts() if CAN_FORK else Spawned(reason=_reason(self.forks))
        self._path = _fresh_path()

    async def run(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end; see `contract.Executor`."""
        files = StepFiles(order, self._context.files)
        tail = _Tail(log)
        try:
            end = await self._runs.run(self._job(order, files), tail)
        finally:
            files.close()
        if repeats := files.repeats():
            log(f"\nto repeat this step by hand: {repeats}\n".encode())
        job_id = f"{order.run_id}/{order.step_id}/{order.attempt}"
        return outcome_of(end, tail.text(), job_id=job_id)

    async def close(self) -> None:
        """End everything that is left."""
        await self._runs.close()

    def _job(self, order: Order, files: StepFiles) -> StepJob:
        if not (self.forks and CAN_FORK) or order.step_type != StepType.PYTHON_SCRIPT:
            return StepJob(
                source=None,
                argv=files.command(),
                env=_environment(self._context.env, order, files),
                cwd=order.directory,
                limits=order.limits,
            )
        return StepJob(
            source=order.source,
            argv=(order.filename, OPTION, files.variables),
            filename=order.filename,
            env={**self._context.env, "FLOW_VARIABLES_FILE": files.variables},
            cwd=order.directory,
            path=(order.beside, *self._path),
            limits=order.limits,
        )


class ForkExecutor(SubprocessExecutor):
    """Each script is a fork of a process that has imported what it imports."""

    forks = True


class _Tail:
    """Passes on what is written, and keeps the end of it."""

    def __init__(self, log: Log) -> None:
        self._log: Callable[[bytes], None] = log
        self._kept = bytearray()

    def __call__(self, data: bytes) -> None:
        self._log(data)
        self._kept += data
        if len(self._kept) > 2 * _TAIL_BYTES:
            del self._kept[:-_TAIL_BYTES]

    def text(self) -> str:
        """The end of it."""
        return self._kept[-_TAIL_BYTES:].decode("utf-8", "backslashreplace")


def _environment(env: Mapping[str, str], order: Order, files: StepFiles) -> dict[str, str]:
    said = {**env, "FLOW_VARIABLES_FILE": files.variables}
    if os.path.dirname(order.filename) != order.beside:  # noqa: PTH120 - texts, on the path of each step
        # A copy of the script is run, and finds what lies beside the definition.
        given = env.get("PYTHONPATH")
        said["PYTHONPATH"] = f"{order.beside}{os.pathsep}{given}" if given else order.beside
    return said


def _fresh_path() -> list[str]:
    """`sys.path` as an interpreter has it before a script puts its own directory first."""
    entries = search_path()
    own = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else ""  # noqa: PTH120 - texts
    if not sys.flags.safe_path and entries and entries[0] in (own, directory()):
        return entries[1:]
    return entries


def _reason(forks: bool) -> str:
    return "a fork is not safe on this system" if forks else ""
