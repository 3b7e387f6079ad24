"""Ids of plans and tasks, and how they become file names (pure).

Called by `home` for every path, by `session.identity` and by the command line.

A name that is already a safe file name stays itself, so logs are found by eye; any other becomes
`<slug>+<8 hex of its SHA-256>`. No safe name holds a plus, so two names never share a file.
"""

import hashlib
import re
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

ADHOC_TASK: Final = "T-0000"
DEFAULT_PLAN: Final = "local"

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}\Z")
_UNSAFE_RUN: Final = re.compile(r"[^A-Za-z0-9_-]+")
# Device names of Windows: a file of that name cannot be opened there, whatever its suffix.
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\Z", re.IGNORECASE)
_ID: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\s/\\]{1,200}\Z")
_TASK_ID: Final = re.compile(r"T-[0-9]{4,9}\Z")
_sha256: Final = hashlib.sha256


def safe_file_name(name: str) -> str:
    """A file name without separators, dots, leading dashes or control characters.

    Args:
        name: Any text; lone surrogates, NUL and 5 kB are fine.

    Returns:
        `name` itself when it is safe, else `<slug>+<8 hex of its SHA-256>`; at most 57 characters.
    """
    if _SAFE.match(name) and not _RESERVED.match(name):
        return name
    digest = _sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    slug = _UNSAFE_RUN.sub("-", name).strip("-")[:48].strip("-")
    return f"{slug}+{digest}"


def is_plan_id(text: str) -> bool:
    """True when `text` can name a plan: 1 to 200 characters, no blank, slash or control."""
    return _ID.match(text) is not None


def is_task_id(text: str) -> bool:
    """True when `text` has the form `T-0001` (four to nine digits)."""
    return _TASK_ID.match(text) is not None
