"""How a workflow is run, as a value that is stored with the run (pure).

Made by `service` from what the user asked for; read by `runner`.
"""

import os
import sys
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import orjson

from flow_kernel.errors import UsageError

DEFAULT_OUTPUT_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """See the module.

    Attributes:
        executor: Where steps run that say nothing of it, as in `fork` or `dask=tcp://…`.
        workers: How many steps run at once; 0 for one on each processor.
        is_durable: True to have each finished step on the disk before the next begins.
        uses_cache: False to run steps that could take a kept result.
        keep_in: Where the files of steps are kept; empty to remove them.
        output_bytes: The most that a step may write to stdout.
        waits: True to wait for answers in place of parking the run.
    """

    executor: str = ""
    workers: int = 0
    is_durable: bool = False
    uses_cache: bool = True
    keep_in: str = ""
    output_bytes: int = DEFAULT_OUTPUT_BYTES
    waits: bool = False

    @property
    def places(self) -> int:
        """How many steps run at once."""
        return self.workers or processors()

    def executor_of(self, isolation: str) -> str:
        """What a step runs in.

        Args:
            isolation: What the step says; empty for nothing.
        """
        return isolation or self.executor or DEFAULT_EXECUTOR

    def as_json(self) -> str:
        """For the store.

        Raises:
            UsageError: A text is no UTF-8.
        """
        try:
            return orjson.dumps(asdict(self)).decode()
        except orjson.JSONEncodeError:
            said = next(value for value in (self.keep_in, self.executor) if not _is_utf8(value))
            raise UsageError(f"{said[:200]!r} is no UTF-8; nothing was run") from None


def _is_utf8(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode()


DEFAULT_EXECUTOR: Final = "fork" if sys.platform.startswith("linux") else "subprocess"


def options_of(said: str) -> RunOptions:
    """Options as they are stored; what a later version has added is left out."""
    known: dict[str, Any] = orjson.loads(said)
    names = {each.name for each in fields(RunOptions)}
    return RunOptions(**{name: value for name, value in known.items() if name in names})


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
