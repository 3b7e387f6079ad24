"""Where this process is, as texts that can be sent to another one.

Called by what starts workers and by `session.isolation`.
"""

import os
import sys


def directory() -> str:
    """The working directory; the root where it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 - a text
    except OSError:
        return "/"


def search_path() -> list[str]:
    """`sys.path`, where people put paths and other things that Python does not look at."""
    return [_text(entry) or directory() for entry in [*sys.path]]


def _text(entry: object) -> str:
    return os.fsdecode(entry) if isinstance(entry, bytes | os.PathLike) else str(entry)
