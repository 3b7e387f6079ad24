"""Workflows out of files and objects.

Called by `jupyter flow run`, by `%workflow run` and by `workflow.run` for programs.

A file is JSON or TOML, by its suffix; with another suffix it is whichever it can be. It is read
whole and strictly: a key that is there twice, NaN, half a character and bytes that are no UTF-8 are
told with the line, as each of them would silently become something else.
"""

import io
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from flow_kernel.errors import NotFound, UsageError, WorkflowInvalid
from flow_kernel.records.plain import human_bytes
from flow_kernel.workers.limits import shown
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.spec import parse
from flow_kernel.workflow.spec_task import steps_of_task

__all__ = ["from_object", "json_of", "load", "steps_of_task"]

MOST_BYTES: Final = 64_000_000

_FIRST_SIGN: Final = re.compile(r"\s*(.?)")


class _Malformed(Exception):
    """What is wrong with the text of a file."""


def load(path: Path) -> Workflow:
    """The workflow of a file; names of scripts in it are relative to its directory.

    Raises:
        NotFound: There is no such file.
        WorkflowInvalid: It cannot be read, or the workflow has problems.
    """
    name = str(path)
    readers = {".json": (_json,), ".toml": (_toml,)}.get(path.suffix.lower())
    try:
        text = _text(_bytes_of(path))
        document = _document(text, readers or _guessed(text))
    except FileNotFoundError:
        raise NotFound(f"there is no file {shown(name)}", hint="nothing was run") from None
    except _Malformed as error:
        said = f"{name}: 1 problem in the workflow; nothing was run"
        raise WorkflowInvalid(said, problems=(str(error),)) from None
    return parse(document, directory=path.absolute().parent, source=name)


def json_of(path: Path) -> Any:
    """What a file of JSON holds, read as strictly as a workflow.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return _json(_text(_bytes_of(path)))
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except _Malformed as error:
        raise UsageError(f"{path}: {error}") from None


def from_object(value: object, directory: Path) -> Workflow:
    """The workflow of an object of a program.

    Args:
        value: A `Workflow`, a mapping as `spec.parse` takes it, or the path of a file.
        directory: What the names of scripts in a mapping, and a path, are relative to.

    Raises:
        NotFound: There is no such file.
        UsageError: It is none of these.
        WorkflowInvalid: The workflow has problems.
    """
    if isinstance(value, Workflow):
        return value
    if isinstance(value, Mapping):
        return parse(value, directory=directory)
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and path:
            return load(directory / path)
    raise UsageError(
        f"{shown(value)} is no workflow", hint="give a mapping, the path of a file or a Workflow"
    )


def _bytes_of(path: Path) -> bytes:
    try:
        found = path.stat()
        # A pipe or a device could be read without end, or never.
        if stat.S_ISREG(found.st_mode) and found.st_size <= MOST_BYTES:
            return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _Malformed(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise _Malformed("the path has a character that paths have not") from None
    if not stat.S_ISREG(found.st_mode):
        raise _Malformed("is no file")
    raise _Malformed(f"has {human_bytes(found.st_size)}, and may have {human_bytes(MOST_BYTES)}")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The mark at the beginning of a file is not counted in its position.
        start = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)
        line = raw.count(b"\n", 0, start) + 1
        column = start - raw.rfind(b"\n", 0, start)
        raise _Malformed(f"line {line}, byte {column}: is no UTF-8") from None


def _document(text: str, readers: tuple[Callable[[str], Any], ...]) -> Any:
    for reader in readers[:-1]:
        try:
            return reader(text)
        except _Malformed:
            continue
    return readers[-1](text)


def _guessed(text: str) -> tuple[Callable[[str], Any], ...]:
    """Readers to try; the last one tells what is wrong."""
    match = _FIRST_SIGN.match(text)
    return (_toml, _json) if match and match[1] in "{[" else (_json, _toml)


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _Malformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _Malformed("is nested too deep") from None
    except ValueError:
        # Python does not read more than 4,300 digits.
        raise _Malformed("has a number with too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for n, key in enumerate(keys) if key in keys[:n])
        near = next((f" of the step {shown(found[k])}" for k in ("id", "name") if k in found), "")
        raise _Malformed(f"the key {shown(twice)}{near} is there twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Malformed(f"{name} is no number that JSON has")


def _toml(text: str) -> Any:
    try:
        # Line ends of Windows are those of TOML as well, a single carriage return is not.
        return tomllib.load(io.BytesIO(text.encode()))
    except tomllib.TOMLDecodeError as error:
        raise _Malformed(f"{error}") from None
    except RecursionError:
        raise _Malformed("is nested too deep") from None
    except ValueError:
        raise _Malformed("has a number or a date that cannot be read") from None
