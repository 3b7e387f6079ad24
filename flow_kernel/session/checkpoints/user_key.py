"""The user's key, which tells checkpoints of one's own from foreign ones.

Called by `shelf`, through the assembly, and by `jupyter flow key`, which takes it elsewhere.
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.errors import NotFound, StoreError, UsageError

_BYTES: Final = 32
_MOST_CHARS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A key that is the user's now.

    Attributes:
        fingerprint: Of it.
        kept: Where the key before it lies; None where there was none, or the same.
    """

    fingerprint: str
    kept: Path | None


def user_key(path: Path) -> bytes:
    """The key in `path` (64 hex), made when there is none; two processes get the same.

    Raises:
        StoreError: It cannot be read or made, or is no key.
    """
    try:
        if not path.exists():
            with suppress(FileExistsError):  # another process was faster; its key is ours
                _put(path, secrets.token_bytes(_BYTES), os.link)
        return _read(path)
    except (OSError, ValueError) as error:
        raise StoreError(f"the key {path} cannot be used: {error}") from None


def fingerprint(key: bytes) -> str:
    """16 hex by which people compare keys; tells nothing of the key."""
    return hashlib.sha256(b"flow key " + key).hexdigest()[:16]


def export_key(path: Path, target: Path, *, replace: bool = False) -> str:
    """Copy the key to a file that its owner alone can read; returns the fingerprint.

    Args:
        path: Of the key; made when there is none.
        target: Of the copy.
        replace: True to replace a file that is there.

    Raises:
        UsageError: There is such a file; it was not touched.
        StoreError: The key cannot be read, or the copy not written.
    """
    key = user_key(path)
    try:
        _put(target, key, _rename if replace else os.link)
    except FileExistsError:
        raise UsageError(f"{target} is there already", hint="to replace it: --force") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from None
    return fingerprint(key)


def import_key(path: Path, source: Path, *, replace: bool = False) -> Imported:
    """Make the key in a file the user's own.

    Args:
        path: Of the user's key.
        source: Written by `export_key`.
        replace: True to replace a key that is there; it is kept beside the new one.

    Raises:
        NotFound: There is no such file.
        UsageError: It holds no key, or there is another key; nothing was changed.
        StoreError: The key cannot be written.
    """
    try:
        key = _read(source)
    except FileNotFoundError:
        raise NotFound(f"there is no file {source}") from None
    except (OSError, ValueError):
        raise UsageError(f"{source} holds no key", hint="jupyter flow key export FILE") from None
    kept: Path | None = None
    try:
        if path.exists():
            before = path.read_bytes()
            if before.strip() == key.hex().encode():
                return Imported(fingerprint=fingerprint(key), kept=None)
            if not replace:
                raise UsageError(
                    "there is another key already; checkpoints that it has signed would be foreign",
                    hint="to replace it, and to keep it beside the new one: --force",
                )
            kept = _free_name(path)
            os.link(path, kept)
        _put(path, key, _rename)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from None
    return Imported(fingerprint=fingerprint(key), kept=kept)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        text = file.read(_MOST_CHARS).decode("ascii").strip()
    key = bytes.fromhex(text)
    if len(key) != _BYTES:
        raise ValueError(f"it is not {_BYTES} bytes long")
    return key


def _free_name(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return found


def _put(path: Path, key: bytes, publish: Callable[[Path, Path], None]) -> None:
    """Write a key as a whole; 0600 from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _rename(draft: Path, path: Path) -> None:
    draft.replace(path)
