"""Makes a worker's process what the session's is: filters of warnings, figures, random numbers.

Called by `shell.worker.job` before a cell, with what has changed since the last one.
"""

import builtins
import random
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


def replay(job: Mapping[str, Any]) -> None:
    """Take over what `job` brings; what is not there stays as it is."""
    if "random" in job:
        version, words, gauss = job["random"]
        random.setstate((version, tuple(words), gauss))
    if "numpy_random" in job:
        with suppress(ImportError):
            from numpy import random as numpy_random  # where the session has it

            kind, keys, *rest = job["numpy_random"]
            numpy_random.set_state((kind, keys, *rest))
    if "inline" in job:
        with suppress(ImportError, AttributeError):
            from matplotlib_inline.config import InlineBackend  # where the session shows figures

            config = InlineBackend.instance()
            for name, value in job["inline"].items():
                setattr(config, name, set(value) if name == "figure_formats" else value)


def filter_warnings(job: Mapping[str, Any]) -> None:
    """Take over the filters; after all imports that a job brings, which set some of their own."""
    if "warnings" not in job:
        return
    warnings.resetwarnings()
    for action, message, category, module, line in reversed(job["warnings"]):
        kind = getattr(builtins, category, None)
        if isinstance(kind, type) and issubclass(kind, Warning):
            warnings.filterwarnings(action, message or "", kind, module or "", line)
