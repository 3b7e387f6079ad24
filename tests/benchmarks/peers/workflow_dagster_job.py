"""The chain as a job of Dagster, in a module that each process of a step can import.

Used by `workflow_dagster.py`.
"""

from typing import Any

import dagster
import workflow_work


def made(length: int, nap_s: float, trace: str) -> dagster.JobDefinition:
    """A chain of so many steps."""

    @dagster.op
    def zero() -> int:
        return 0

    @dagster.op
    def inc(n: int) -> int:
        return workflow_work.inc(n, nap_s, trace)

    @dagster.graph
    def chain() -> None:
        n = zero()
        for at in range(length):
            n = inc.alias(f"s{at}")(n)

    return chain.to_job()


def reconstructed(length: int, nap_s: float, trace: str) -> Any:
    """The way in which Dagster is told to make it anew in each process."""
    module, name = __name__, made.__name__
    return dagster.build_reconstructable_job(module, name, (length, nap_s, trace), {})
