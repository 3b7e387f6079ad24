"""A kernel's log that makes no record which nobody takes.

Called by the applications of `shell.kernel` and `shell.worker.app` when they start.

traitlets gives the logger of an application the level DEBUG and its handler the level that was
asked for, so ipykernel makes four records a cell, with the whole message in them, that the handler
then drops. Here the handlers are asked first. Handlers that are added later, and levels that are
changed, count as they do in `logging`.
"""

import logging
from typing import Any

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class AskingLogger(logging.Logger):
    """Python's logger; a level is enabled where a handler takes it."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is Python's
        """Whether a record of that level would be seen anywhere."""
        return _is_taken(self, level) and super().isEnabledFor(level)


def ask_first(log: Any) -> None:
    """Have `log` ask its handlers; one of another class stays as it is."""
    if type(log) is logging.Logger:
        log.__class__ = AskingLogger


def _is_taken(logger: logging.Logger, level: int) -> bool:
    found: logging.Logger | None = logger
    has_handlers = False
    while found is not None:
        for handler in found.handlers:
            if handler.level <= level:
                return True
            has_handlers = True
        found = found.parent if found.propagate else None
    return not has_handlers  # then it is the last resort of `logging` that decides
