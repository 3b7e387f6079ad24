"""An exception at any line of an append: the record is written, or was never numbered."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.scan import verify
from flow_kernel.settings import JournalSettings
from tests.records.journals import OTHER, SESSION, a_moment, note, seqs_of

_OURS = tuple(f"records/{name}.py" for name in ("journal", "logfile", "backlog", "codec"))
_MEMORY = Path("/dev/shm")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: these journals are closed, and so synced, often."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.mark.parametrize("moment", ["first", "ordinary", "rotation", "recovery", "neighbour"])
def test_an_interrupt_at_any_line_loses_and_doubles_nothing(place: Path, moment: str) -> None:
    """Raises KeyboardInterrupt at the first line run in an append, then the second, to the last."""
    at = 0
    settings = JournalSettings(rotate_bytes=500 if moment == "rotation" else 10**6)
    while True:
        at += 1
        home = Home(place / str(at) / ".flow")
        journal = Journal(home, SESSION, settings=settings)
        acknowledged = [note(journal, n) for n in range(0 if moment == "first" else 3)]
        if moment == "recovery":
            shutil.rmtree(home.root)
            home.root.write_text("in the way")
            a_moment()
            note(journal)
            note(journal)
            home.root.unlink()
        elif moment == "neighbour":
            other = Journal(home, OTHER)
            note(other)
            other.close()
        was_interrupted = _interrupted(at, journal, acknowledged)
        acknowledged += [note(journal, n) for n in range(3)]
        journal.close()

        # What was recorded before the recovery was deleted with the home.
        first = 4 if moment == "recovery" else 1
        assert seqs_of(home, SESSION) == list(range(first, journal.last_seq + 1)), at
        assert {seq for seq in acknowledged[first - 1 :] if seq} <= set(seqs_of(home)), at
        assert verify(home.log_files()).damaged == (), at
        if not was_interrupted:
            break
        shutil.rmtree(home.root)

    assert at > 25


def _interrupted(at: int, journal: Journal, acknowledged: list[int | None]) -> bool:
    # True when an append came to its `at`-th line in our code and was interrupted there.
    left = at

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left
        name = frame.f_code.co_filename
        if not name.endswith(_OURS):
            return None
        # `append` itself holds what CPython guards: no interrupt comes between `with`, `try` and
        # the first call, or inside `finally`.
        if event == "line" and not (
            name.endswith("journal.py") and frame.f_code.co_name == "append"
        ):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        acknowledged.append(note(journal, "hit"))
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
