"""Keeps what cells displayed as files that are named by their content, below the home.

Called by `session.sealing` just before a record is written, in the thread that runs the cell.

    .flow/objects/outputs/<first 2 hex>/<sha256 of the file's bytes>

Images are kept decoded, text without its secrets. A file is written under another name and renamed,
not synced: after a power cut one may be damaged, which its name shows to whoever reads it.
"""

import binascii
import hashlib
import os
from collections.abc import Callable
from typing import Final

from flow_kernel.records.codec import clean_text
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.home import Home, make_directory, make_home
from flow_kernel.records.output import HeldOutput, Redact

globals()["__builtins__"] = FROZEN_BUILTINS

IMAGES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
"""How the bytes of an image begin, by its type."""
_sha256: Final = hashlib.sha256
_decode_base64: Final = binascii.a2b_base64
_open: Final = os.open
_write: Final = os.write
_close: Final = os.close
_stat: Final = os.stat
_utime: Final = os.utime
_rename: Final = os.rename
_unlink: Final = os.unlink
_urandom: Final = os.urandom
_NEW_FILE: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


class OutputKeeper:
    """Writes the displays of one session.

    Args:
        home: Where the objects lie; made anew when a cell deletes it.
        budget_bytes: Most bytes written in this session.
        redact: Takes secrets out of text.
        on_trouble: Told in one sentence when the disk refuses, and when the budget is used up.
    """

    __slots__ = ("_is_refused", "_on_trouble", "_redact", "_root", "dropped", "room_bytes")

    def __init__(
        self,
        home: Home,
        *,
        budget_bytes: int,
        redact: Redact,
        on_trouble: Callable[[str], None],
    ) -> None:
        self._root = str(home.root.absolute())
        self._redact = redact
        self._on_trouble = on_trouble
        self._is_refused = False
        self.room_bytes: int = budget_bytes
        """What may still be written."""
        self.dropped: int = 0
        """How many displays were not kept because of the disk or the budget."""

    def keep(self, held: list[HeldOutput]) -> int:
        """Write each display and name it as `object` in its entry; never raises on a bad disk.

        Returns:
            How many secrets were taken out.
        """
        redacted = 0
        for entry, payload in held:
            try:
                data, count = self._content(str(entry["mime"]), payload)
                name = self._put(data)
            except ValueError:
                continue  # no image: no client could show it
            except OSError as error:
                self.dropped += 1
                if not self._is_refused:
                    self._is_refused = True
                    self._tell(f"cannot keep outputs in {self._root} ({error.strerror or error})")
                continue
            if name is not None:
                self._is_refused = False
                entry["object"] = name
                redacted += count
        return redacted

    def _content(self, mime: str, payload: str | bytes) -> tuple[bytes, int]:
        """The bytes of the file, and the number of secrets that are no more in them."""
        if mime in IMAGES:
            data = payload if type(payload) is bytes else _decode_base64(payload)
            if not data.startswith(IMAGES[mime]):
                raise ValueError("no image")
            return data, 0
        text = payload.decode("utf-8", "replace") if type(payload) is bytes else payload
        clean, count = self._redact(clean_text(text))  # type: ignore[arg-type]  # never bytes here
        return clean.encode("utf-8", "replace"), count

    def _put(self, data: bytes) -> str | None:
        """The name of the file that holds `data`; None when the budget is used up."""
        name = _sha256(data).hexdigest()
        folder = f"{self._root}/objects/outputs/{name[:2]}"
        path = f"{folder}/{name}"
        if _is_there(path, len(data)):
            return name
        if len(data) > self.room_bytes:
            if not self.dropped:
                self._tell("outputs of this session use up their budget; further ones are counted")
            self.dropped += 1
            return None
        draft = f"{folder}/.{name[:16]}.{_urandom(8).hex()}"
        try:
            fd = _open(draft, _NEW_FILE, 0o600)
        except FileNotFoundError:
            self._make_folder(folder)
            fd = _open(draft, _NEW_FILE, 0o600)
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[_write(fd, rest) :]
            finally:
                _close(fd)
            _rename(draft, path)
        except BaseException:
            _unlink(draft)
            raise
        self.room_bytes -= len(data)
        return name

    def _make_folder(self, folder: str) -> None:
        make_home(self._root)
        for parent in ("/objects", "/objects/outputs"):
            make_directory(self._root + parent, 0o700)
        make_directory(folder, 0o700)

    def _tell(self, sentence: str) -> None:
        try:
            self._on_trouble(sentence)
        except Exception:  # noqa: BLE001 - telling of trouble is no reason to break a cell
            pass


def _is_there(path: str, size: int) -> bool:
    """True when the object is on disk; it then counts as young, so that no pruning takes it."""
    try:
        if _stat(path).st_size != size:
            return False
        _utime(path)
    except OSError:
        return False
    return True
