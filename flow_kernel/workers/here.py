"""Where this process is, as texts that can be sent to another one.

Called by what starts workers and by `session.isolation`.
"""

import os
import sys


class Environment:
    """`os.environ` as a dict that nobody changes: the same one until something changes."""

    def __init__(self) -> None:
        self._raw: dict[object, object] | None = None
        self._texts: dict[str, str] = {}

    def now(self) -> dict[str, str]:
        """The variables."""
        raw = getattr(os.environ, "_data", None)  # to decode all of them takes 50 us
        if type(raw) is not dict:
            return dict(os.environ)
        if raw != self._raw:
            self._raw, self._texts = raw.copy(), dict(os.environ)
        return self._texts


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
