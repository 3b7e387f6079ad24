"""Prefect with the server that it starts by itself.

Run by `workflow_peers.py` in an environment with Prefect; the argument is `default`, or `persist`
for tasks whose results are kept by their inputs, which is what a second run can take up.
"""

import sys
import uuid
from contextlib import ExitStack
from typing import Any, Final

import workflow_work
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from workflow_tool import serve

_PERSISTS: Final = sys.argv[1:] == ["persist"]
_MORE: Final[dict[str, Any]] = {"persist_result": True, "cache_policy": INPUTS} if _PERSISTS else {}


@task(**_MORE)
def inc(n: int, nap_s: float, trace: str, chain_id: str) -> int:
    return workflow_work.inc(n, nap_s, trace)


@flow
def chain(length: int, nap_s: float, trace: str, chain_id: str) -> int:
    n = 0
    for _ in range(length):
        n = inc(n, nap_s, trace, chain_id)
    return n


class Prefect:
    """See the module."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def begin(self) -> None:
        quiet = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_SERVER_ANALYTICS_ENABLED: False}
        self._stack.enter_context(temporary_settings(updates=quiet))
        self.chain(1)  # the server is started by the first flow

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        return chain(length, nap_s, trace, "killed" if trace else uuid.uuid4().hex)

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        return chain(length, nap_s, trace, "killed")

    def storage(self, length: int) -> None:
        del length

    def end(self) -> None:
        self._stack.close()


if __name__ == "__main__":
    serve(Prefect)
