"""The user's key, which tells checkpoints of one's own from foreign ones.

Called by `shelf`, through the assembly.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError

_BYTES: Final = 32


def user_key(path: Path) -> bytes:
    """The key in `path` (64 hex), made when there is none; two processes get the same.

    Raises:
        StoreError: It cannot be read or made, or is no key.
    """
    try:
        if not path.exists():
            _make(path)
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise StoreError(f"the key {path} cannot be used: {error}") from None
    if len(key) != _BYTES:
        raise StoreError(f"the key {path} cannot be used: it is not {_BYTES} bytes long")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:  # another process was faster; its key is ours
            pass
    finally:
        draft.unlink(missing_ok=True)
