"""Steps in sub-kernels that were started ahead: what a script displays is seen while it runs.

Made by `registry`, found as `kernel`. Each attempt has a worker to itself, and another one is made
ready meanwhile. Commands and notebooks are programs, as everywhere.
"""

from dataclasses import replace

from flow_kernel.workflow.executors.contract import Context, Log, Order, Outcome
from flow_kernel.workflow.executors.kernel_runs import Kernels
from flow_kernel.workflow.executors.local import ForkExecutor
from flow_kernel.workflow.model import StepType


class KernelExecutor(ForkExecutor):
    """See the module.

    With `on_display` among the options of its context, that is called in the thread of the loop
    with the content of each message that displays something: `{"data", "metadata", …}`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._runs = Kernels(
            context.files,
            env=context.env,
            spares=context.workers,
            on_display=context.options.get("on_display", _nowhere),
        )

    async def run(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end; see `contract.Executor`."""
        outcome = await super().run(order, log)
        is_script = order.step_type == StepType.PYTHON_SCRIPT
        return replace(outcome, how="kernel") if is_script else outcome


def _nowhere(content: object) -> None:
    """Nobody is there to see it."""
