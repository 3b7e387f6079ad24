"""The files of kept outputs: reads one and checks it, and deletes those that no log names.

Called by `session.reports` and `records.prune`; written by `records.kept_outputs`.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from flow_kernel.records.home import Home

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = re.compile(rb'"object":"([0-9a-f]{64})"')
_BLOCK_BYTES: Final = 1024 * 1024
_OVERLAP_BYTES: Final = 128  # more than a name with its key
_MOST_BYTES: Final = 32_000_000  # text grows a little when its secrets are taken out


class FoundOutput(NamedTuple):
    """What is in the file of a kept output.

    Attributes:
        data: Its bytes, which have the checksum that is its name; None when it has not.
        problem: Why there is none, in a word or two; empty when there is.
    """

    data: bytes | None
    problem: str


def read_output(home: Home, name: str) -> FoundOutput:
    """The output of that name, checked against it; whatever is wrong is said, never raised."""
    if not _NAME.fullmatch(name):
        return FoundOutput(None, "its name is damaged")
    try:
        data = _bytes_of(home.outputs_dir / name[:2] / name)
    except FileNotFoundError:
        return FoundOutput(None, "its file is missing")
    except OSError as error:
        return FoundOutput(None, f"its file cannot be read ({error.strerror})")
    if hashlib.sha256(data).hexdigest() != name:
        return FoundOutput(None, "its file is damaged")
    return FoundOutput(data, "")


def _bytes_of(path: Path) -> bytes:
    """The bytes of a file; none of what is no regular file."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
        is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read(_MOST_BYTES) if is_file else b""


def unnamed_outputs(home: Home, logs: Iterable[Path], older_s: float) -> dict[Path, int]:
    """Files of outputs that were last used before a moment and that none of `logs` names.

    A session makes a file young each time it displays the same again. Torn bytes beside a log count
    as part of it: `check --repair` may yet find a record there.

    Args:
        home: A home.
        logs: The log files that stay.
        older_s: Unix time.

    Returns:
        Their sizes in bytes.

    Raises:
        OSError: A log cannot be read: then nobody knows what it names.
    """
    old: dict[Path, int] = {}
    for path in sorted(home.outputs_dir.glob("*/*")):
        status = path.lstat()
        if status.st_mtime < older_s and stat.S_ISREG(status.st_mode):
            old[path] = status.st_size
    if old:
        named = set(_names(logs))
        old = {path: size for path, size in old.items() if path.name not in named}
    return old


def _names(logs: Iterable[Path]) -> Iterator[str]:
    for log in logs:
        for path in (log, log.with_name(f"{log.name}.torn")):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                rest = b""
                while block := file.read(_BLOCK_BYTES):
                    rest += block
                    yield from (match[1].decode() for match in _NAMED.finditer(rest))
                    rest = rest[-_OVERLAP_BYTES:]
