"""How workers are made, as a person configures it: `c.WorkerPool.*`.

Read by `shell.kernel` and by the extension, with `c.FlowKernel.*`.
"""

from typing import Any

from traitlets import Dict, Float, Int, Unicode
from traitlets.config import Config, Configurable

from flow_kernel.settings import PoolSettings
from flow_kernel.workers.limits import bytes_of

_DEFAULT = PoolSettings()


class WorkerPool(Configurable):
    """The settings of `PoolSettings`, by the names that configurations use."""

    provisioner: Any = Unicode(
        _DEFAULT.provisioner,
        help="Starts workers; by its entry point in jupyter_client.kernel_provisioners.",
    ).tag(config=True)
    provisioner_config: Any = Dict(help="Handed to the provisioner of somebody else.").tag(
        config=True
    )
    python: Any = Unicode(
        _DEFAULT.python, help="What runs workers on another machine; empty: the path of ours."
    ).tag(config=True)
    spares: Any = Int(_DEFAULT.spares, min=0, help="How many workers are kept ready.").tag(
        config=True
    )
    max_workers: Any = Int(
        _DEFAULT.max_workers, min=1, help="How many workers there may be at a time; others wait."
    ).tag(config=True)
    max_processes: Any = Int(
        _DEFAULT.max_processes,
        min=0,
        help="Processes of one cell that says no --processes, before it is ended; 0: any number.",
    ).tag(config=True)
    memory_budget: Any = Unicode(
        help="Memory that is promised at a time to cells that say --memory, such as 8G;"
        " empty: 80 % of what is available."
    ).tag(config=True)
    start_timeout: Any = Float(
        _DEFAULT.start_timeout_s, min=0.1, help="Seconds that a worker may take to start."
    ).tag(config=True)
    lost_after: Any = Float(
        _DEFAULT.lost_after_s,
        min=0.0,
        help="Seconds that a worker on another machine goes on without its session.",
    ).tag(config=True)


def pool_settings(config: Config) -> PoolSettings:
    """What a configuration says of workers.

    Raises:
        TraitError: A value that makes no sense.
        UsageError: The budget is no amount of memory.
    """
    chosen = WorkerPool(config=config)
    return PoolSettings(
        provisioner=chosen.provisioner,
        provisioner_config=dict(chosen.provisioner_config),
        python=chosen.python,
        spares=chosen.spares,
        max_workers=chosen.max_workers,
        max_processes=chosen.max_processes,
        memory_budget_bytes=bytes_of(chosen.memory_budget) if chosen.memory_budget else 0,
        start_timeout_s=chosen.start_timeout,
        lost_after_s=chosen.lost_after,
    )
