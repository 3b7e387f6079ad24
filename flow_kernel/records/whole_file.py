"""A file that is written as a whole, or not at all.

Called by `jupyter flow replay` and `report`, and by `%flow report`.
"""

import os
from pathlib import Path


def write_whole(target: Path, text: str) -> None:
    """Put `text` into `target`, which may exist: a reader sees the old file or the new one.

    Raises:
        OSError: The file system refuses; what was there is still there.
    """
    draft = target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}")
    # With the rights that any new file has here; a kernel cannot change its umask to learn it.
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
