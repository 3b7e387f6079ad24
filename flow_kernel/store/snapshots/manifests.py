"""What a checkpoint consists of: signed JSON, one file each.

Called by `session.checkpoints` and, without loading anything else, by the command line.

    line 1   the head: what lists show
    line 2   the body: variables, groups and anchors, which most readers never need
    line 3   {"mac":"…","crc":"…"}

The mac is HMAC-SHA256 with the user's key over the first two lines. A manifest that is not signed
with it can be listed, shown and compared, because JSON runs no code; whether it may be restored is
not decided here. The crc (CRC-32 of all before `,"crc":`) tells a damaged manifest from a foreign
one. Format 1 was one line of head and body together with the mac at its end; it is still read.
"""

import hmac
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots.files import sync_directory, write_all
from flow_kernel.store.snapshots.frame import digest_of

FORMAT: Final = 2
SUFFIX: Final = ".json"
BODY: Final = ("variables", "groups", "anchors", "statuses", "loose")
"""What the second line holds; the head has how many variables there are."""
_ADDED: Final = ("counts", "body_hash")
"""What the head holds beside that."""
_READ_BYTES: Final = 1 << 16
_MAC_CHARS: Final = 64
_CRC_CHARS: Final = 8
_MAC_KEY: Final = b'{"mac":"'
_CRC_KEY: Final = b'","crc":"'
_END: Final = b'"}\n'
_CRC_FROM: Final = len(_CRC_KEY) - 1 + _CRC_CHARS + len(_END)
_TAIL_BYTES: Final = len(_MAC_KEY) + _MAC_CHARS + len(_CRC_KEY) + _CRC_CHARS + len(_END)
_MAC_KEY_1: Final = b',"mac":"'
_TAIL_BYTES_1: Final = len(_MAC_KEY_1) + _MAC_CHARS + len(_END)


class ManifestDamaged(ValueError):
    """The bytes are no manifest; the message says why."""


class ManifestTooNew(ManifestDamaged):
    """A newer version wrote it, and nobody here knows what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """A manifest as it was read.

    Attributes:
        head: Its first line.
        body: Its second, for `read_body`; what that says, for the first format.
        is_signed: True when this user has signed it.
    """

    head: dict[str, Any]
    body: bytes | dict[str, Any]
    is_signed: bool

    def whole(self) -> dict[str, Any]:
        """Head and body together, as `seal` took them."""
        head = {key: value for key, value in self.head.items() if key not in _ADDED}
        return {**head, **read_body(self.head, self.body)}


def seal(manifest: Mapping[str, Any], key: bytes) -> bytes:
    """The bytes of a manifest, signed.

    Args:
        manifest: JSON: head and body together.
        key: The user's.
    """
    head, body = _parted(manifest)
    second = orjson.dumps(body)
    first = orjson.dumps({**head, "body_hash": digest_of(second).hex()}) + b"\n"
    told = first + second + b"\n" + _MAC_KEY + _mac(first, key) + b'"'
    return told + _CRC_KEY[1:] + b"%08x" % zlib.crc32(told) + _END


def unseal(data: bytes, key: bytes) -> Unsealed:
    """A manifest, and whether this user has signed it.

    Raises:
        ManifestDamaged: It is none.
        ManifestTooNew: It is of a format that is not known here.
    """
    end = data.find(b"\n") + 1 or len(data)
    head = _json(data[:end])
    number = head.get("format")
    if number == 1 and end == len(data):
        return _unsealed_1(head, data, key)
    if not _has_crc(data):
        raise ManifestDamaged("fails its checksum")
    if type(number) is not int or number != FORMAT:
        if type(number) is int and number > FORMAT:
            raise ManifestTooNew(f"was made by a newer version (format {number})")
        raise ManifestDamaged(f"is no manifest of format {FORMAT}")
    mac = _MAC_KEY + _mac(data[:end], key)
    is_signed = hmac.compare_digest(data[-_TAIL_BYTES : -_TAIL_BYTES + len(mac)], mac)
    return Unsealed(head=head, body=data[end : -_TAIL_BYTES - 1], is_signed=is_signed)


def read_body(head: Mapping[str, Any], body: bytes | dict[str, Any]) -> dict[str, Any]:
    """The body of a manifest, proven to be the one that its head names.

    Args:
        head: Of the same manifest.
        body: As it was unsealed.

    Raises:
        ManifestDamaged: It is another one.
    """
    if isinstance(body, dict):
        return body
    if digest_of(body).hex() != head.get("body_hash"):
        raise ManifestDamaged("names other variables than were signed")
    return _json(body)


def upgrade(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of an older format, as one of today (pure).

    Args:
        manifest: Head and body together, of any format that was ever written.
    """
    return {**manifest, "format": FORMAT}


def manifests_in(where: Path) -> set[str]:
    """The ids of the checkpoints in a directory, which need not exist."""
    try:
        with os.scandir(where) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return set()
    return {name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX)}


def read_manifest(path: str) -> bytes:
    """The bytes of a file; half the time that `Path.read_bytes` takes.

    Raises:
        OSError: It cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        data = os.read(fd, _READ_BYTES)
        while len(data) % _READ_BYTES == 0 and (more := os.read(fd, _READ_BYTES)):
            data += more
    finally:
        os.close(fd)
    return data


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
        try:
            sync_directory(where)
        except OSError:
            path.unlink(missing_ok=True)  # nobody is told of it, so it must not be found
            raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # the disk has said what is wrong with it
            draft.unlink()
    return path


def _parted(manifest: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and body."""
    head = {key: value for key, value in manifest.items() if key not in (*BODY, *_ADDED)}
    body = {key: manifest[key] for key in BODY if key in manifest}
    return {**head, "counts": {"variables": len(body.get("variables", ()))}}, body


def _unsealed_1(found: dict[str, Any], data: bytes, key: bytes) -> Unsealed:
    body, tail = data[:-_TAIL_BYTES_1], data[-_TAIL_BYTES_1:]
    expected = _MAC_KEY_1 + _mac(body, key) + _END
    found.pop("mac", None)
    parts = _parted(upgrade(found))
    return Unsealed(head=parts[0], body=parts[1], is_signed=hmac.compare_digest(tail, expected))


def _has_crc(data: bytes) -> bool:
    """True for a manifest that is as it was written, from format 2 on."""
    told, tail = data[:-_CRC_FROM], data[-_CRC_FROM:]
    return tail == _CRC_KEY[1:] + b"%08x" % zlib.crc32(told) + _END


def _json(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ManifestDamaged(f"is no JSON: {error}") from None
    if type(found) is not dict:
        raise ManifestDamaged("is no JSON object")
    return found


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256").hex().encode()
