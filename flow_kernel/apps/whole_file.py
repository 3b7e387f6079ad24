"""A file that is written as a whole, or not at all.

Called by `replay` and `report`.
"""

import os
import tempfile
from pathlib import Path


def write_whole(target: Path, text: str) -> None:
    """Put `text` into `target`, which may exist: a reader sees the old file or the new one.

    Raises:
        OSError: The file system refuses; what was there is still there.
    """
    fd, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(draft).chmod(0o666 & ~umask)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
