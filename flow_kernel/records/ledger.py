"""Which numbers of which sessions were pruned: the file `.flow/log/.pruned`.

Called by `prune` before it deletes, and by `verdict` to tell what was pruned from what was lost.
"""

import os
from collections.abc import Iterable
from typing import Final

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.codec import LineDamaged, decode, encode
from flow_kernel.records.home import Home
from flow_kernel.records.lines import open_log, raw_lines
from flow_kernel.records.runs import is_number

_NAME: Final = ".pruned"
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


def note_pruned(home: Home, runs: Iterable[tuple[str, int, int]]) -> None:
    """Add runs of numbers (session, first, last); on the disk when this returns.

    Raises:
        StoreError: The home cannot be written.
    """
    path = home.log_dir / _NAME
    notes = [
        encode({"v": 1, "session": session, "first": first, "last": last})
        for session, first, last in runs
    ]
    if not notes:
        return
    try:
        with os.fdopen(os.open(path, _APPEND, 0o600), "wb") as file:
            file.write(b"".join(b"%b\n" % note for note in notes))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}); nothing was pruned") from error


def pruned_numbers(home: Home) -> dict[str, list[tuple[int, int]]]:
    """First and last of each run of numbers whose records were pruned, by session.

    Raises:
        StoreError: The file cannot be read.
    """
    runs: dict[str, list[tuple[int, int]]] = {}
    try:
        file = open_log(home.log_dir / _NAME)
    except NotFound:
        return runs
    with file:
        for _, raw, _ in raw_lines(file, 0):
            try:
                note = decode(raw)
            except LineDamaged:
                continue
            session, first, last = note.get("session"), note.get("first"), note.get("last")
            if type(session) is str and is_number(first) and is_number(last):
                runs.setdefault(session, []).append((first, last))
    return runs
