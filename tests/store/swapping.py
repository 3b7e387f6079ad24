"""Two states of a directory and the exchange of one for the other, also as programs of their own.

Called by `test_files_swap`.
"""

import os
import signal
import sys
from pathlib import Path

from flow_kernel.store.files.entries import Kept
from flow_kernel.store.files.snapshots import ChunkedFiles
from flow_kernel.store.files.swap import Swap
from flow_kernel.store.snapshots.segments import ChunkLost
from tests.store.git_shapes import write
from tests.store.test_git_snapshots import files


def before(top: Path) -> None:
    write(top / "changed", "old\n")
    write(top / "gone", "gone\n")
    write(top / "d/e/only", "only\n")
    write(top / "becomes", "a file\n")
    write(top / "tree/leaf", "leaf\n")
    (top / "link").symlink_to("changed")
    (top / "d").chmod(0o750)


def after(top: Path) -> None:
    write(top / "changed", "new\n")
    write(top / "made/of/new", "new\n")
    write(top / "becomes/a/tree", "in\n")
    write(top / "tree", "a file now\n")
    write(top / "many", bytes(range(256)) * 8192)
    (top / "link").symlink_to("elsewhere")


def taken(top: Path, segments: Path) -> tuple[ChunkedFiles, dict[str, Kept]]:
    chunked = ChunkedFiles(top, segments, owner="s")
    kept = chunked.keep(chunked.everything())
    return chunked, dict(chunked.contents(kept.document).kept)


def exchange(top: Path, chunked: ChunkedFiles, wanted: dict[str, Kept]) -> bool:
    """Make the files of `top` equal to others. Returns False when they are as before."""
    now = chunked.now(chunked.everything()).kept
    swap = Swap(top)
    try:
        swap.stage([one for one in wanted.values() if _differs(one, now)], chunked.read)
        swap.clear([path for path in now if path not in wanted])
        swap.place()
    except (OSError, ChunkLost):
        assert swap.undo()
        return False
    finally:
        swap.close()
    return True


def _differs(one: Kept, now: dict[str, Kept]) -> bool:
    there = now.get(one.path)
    return there is None or there.content != one.content


def full_disk(top: Path, work: Path) -> None:
    """In a directory that holds 2 MB."""
    write(work / "after/big", os.urandom(3_000_000))
    write(work / "after/changed", "new\n")
    _, wanted = taken(work / "after", work / "segments")
    write(top / "changed", "old\n")
    write(top / "gone", "gone\n")
    chunked, _ = taken(top, work / "segments")
    at_first = files(top)
    assert not exchange(top, chunked, wanted)
    assert files(top) == at_first


def another_file_system(inside: Path, work: Path) -> None:
    """In a directory with another file system in it."""
    top = inside.parent
    write(top / "here", "here\n")
    write(inside / "there", "there\n")
    write(inside / "d/gone", "gone\n")
    chunked, wanted = taken(top, work / "segments")
    at_first = files(top)
    write(inside / "there", "changed\n")
    write(inside / "later", "later\n")
    (inside / "d/gone").unlink()
    (inside / "d").rmdir()
    chunked.keep(chunked.everything())
    assert exchange(top, chunked, wanted)
    assert files(top) == at_first


def to_and_fro(top: Path, work: Path) -> None:
    """From one state to the other and back until somebody ends it."""
    chunked, one = taken(top, work / "segments")
    _, other = taken(work / "after", work / "segments")
    print("ready", flush=True)
    while True:
        for wanted in (other, one):
            assert exchange(top, chunked, wanted)


def interrupted(top: Path, work: Path, *, has_moved: bool) -> None:
    """Half of an exchange, and then nothing more until somebody ends it."""
    chunked, one = taken(top, work / "segments")
    _, other = taken(work / "after", work / "segments")
    swap = Swap(top)
    swap.stage(other.values(), chunked.read)
    if has_moved:
        swap.clear([path for path in one if path not in other])
    print("ready", flush=True)
    signal.pause()


def staged(top: Path, work: Path) -> None:
    """Until the tree would be changed."""
    interrupted(top, work, has_moved=False)


def moved(top: Path, work: Path) -> None:
    """Until files were taken away."""
    interrupted(top, work, has_moved=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
