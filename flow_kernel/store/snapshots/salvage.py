"""Takes the damaged pieces out of segments, so that all the rest goes on being used.

Called by `session.checkpoints.checking` for `jupyter flow check --repair`.

    whole frames ─▶ a new segment, synced     damaged pieces ─▶ <segment>.torn, synced
    ─▶ the old segment is deleted

A kill at any moment leaves the old segment, or both, or the new one: nothing is lost and nothing
has to be tidied up.
"""

import os
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots.collect import held
from flow_kernel.store.snapshots.copying import FrameCopier
from flow_kernel.store.snapshots.files import SUFFIX, sync_directory, write_all
from flow_kernel.store.snapshots.scan import Found, Hole, Piece
from flow_kernel.store.snapshots.segments import Placed
from flow_kernel.store.snapshots.survey import judged

TORN: Final = ".torn"


def salvage(where: Path) -> list[Path]:
    """Set the damage of all segments aside. Returns the files that it lies in now.

    Args:
        where: The directory of segments.

    Raises:
        StoreError: Somebody is writing, or the disk refuses; nothing was lost.
    """
    if not where.exists():
        return []
    with held(where, is_alone=True) as is_held:
        if not is_held:
            raise StoreError(f"{where} is in use; nothing was repaired", hint="try again later")
        try:
            segments = sorted(where.glob(f"*{SUFFIX}"))
            return [_without_damage(where, path) for path in segments if _is_damaged(path)]
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"{where} cannot be repaired: {reason}; nothing was lost") from error


def set_aside(path: Path) -> Path:
    """Rename a file that is damaged as a whole; nothing is ever overwritten.

    Raises:
        StoreError: The disk refuses.
    """
    for number in range(1, 1000):
        aside = path.with_name(
            f"{path.name}{TORN}" if number == 1 else f"{path.name}.{number}{TORN}"
        )
        try:
            os.link(path, aside)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"{path} cannot be moved: {error.strerror or error}") from error
        path.unlink()
        sync_directory(path.parent)
        return aside
    raise StoreError(f"{path} cannot be moved: there are too many of its name already")


def _is_damaged(path: Path) -> bool:
    return any(why and not _is_torn(piece) for piece, why in judged(path))


def _is_torn(piece: Piece) -> bool:
    return isinstance(piece, Hole) and piece.is_torn


def _without_damage(where: Path, path: Path) -> Path:
    copier = FrameCopier(where)
    damaged = bytearray()
    data = path.read_bytes()
    try:
        for piece, why in judged(path):
            if why:
                damaged += data[piece.offset : piece.end]
            elif isinstance(piece, Found):
                copier.add(Placed(path=path, offset=piece.offset, header=piece.header))
        copier.sync()
    finally:
        copier.close()
    aside = path.with_name(path.name + TORN)
    fd = os.open(aside, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        write_all(fd, damaged)
        os.fsync(fd)
    finally:
        os.close(fd)
    path.unlink()
    sync_directory(where)
    return aside
