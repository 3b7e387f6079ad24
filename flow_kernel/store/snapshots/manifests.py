"""What a checkpoint consists of: a signed JSON document, one file each.

Called by `session.checkpoints` and, without loading anything else, by the command line.

The signature is HMAC-SHA256 with the user's key over the bytes before `,"mac":`. A manifest that is
not signed with it can be listed, shown and compared, because JSON runs no code; whether it may be
restored is not decided here.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots.files import sync_directory, write_all

FORMAT: Final = 1
_MAC_KEY: Final = b',"mac":"'
_MAC_CHARS: Final = 64
_TAIL_BYTES: Final = len(_MAC_KEY) + _MAC_CHARS + len(b'"}\n')
SUFFIX: Final = ".json"


class ManifestDamaged(ValueError):
    """The bytes are no manifest; the message says why."""


def seal(manifest: Mapping[str, object], key: bytes) -> bytes:
    """The bytes of a manifest, signed.

    Args:
        manifest: JSON; not empty, and without `mac`.
        key: The user's.
    """
    body = orjson.dumps(manifest)[:-1]
    return body + _MAC_KEY + _mac(body, key) + b'"}\n'


def unseal(data: bytes, key: bytes) -> tuple[dict[str, object], bool]:
    """A manifest, and whether this user has signed it.

    Raises:
        ManifestDamaged: It is none, or of a format that is not known here.
    """
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ManifestDamaged(f"is no JSON: {error}") from None
    if type(found) is not dict or found.get("format") != FORMAT:
        raise ManifestDamaged(f"is no manifest of format {FORMAT}")
    body, tail = data[:-_TAIL_BYTES], data[-_TAIL_BYTES:]
    expected = _MAC_KEY + _mac(body, key) + b'"}\n'
    found.pop("mac", None)
    return found, hmac.compare_digest(tail, expected)


def put(where: Path, checkpoint_id: str, data: bytes) -> Path:
    """Write a manifest as a whole: after this returns, the checkpoint exists, power loss or not.

    Raises:
        StoreError: The disk refuses, or there is one of this id; nothing was left behind.
    """
    path = where / f"{checkpoint_id}{SUFFIX}"
    draft = where / f".{checkpoint_id}.{os.getpid()}.draft"
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.link(draft, path)  # unlike a rename, it never replaces one
        sync_directory(where)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # the disk has said what is wrong with it
            draft.unlink()
    return path


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).hexdigest().encode()
