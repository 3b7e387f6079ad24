"""The code of a step: read from its file, and compiled to see that it is Python.

Called by `spec` once for a definition. Scripts are compiled and never run; what a stored workflow
runs later is the text that was read here, whatever becomes of the file.
"""

import io
import os
import stat
import tokenize
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.workers.limits import shown
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.spec_fields import Problems
from flow_kernel.workflow.spec_step import Draft

MOST_BYTES_OF_CODE: Final = 10_000_000
MOST_BYTES_OF_A_NOTEBOOK: Final = 500_000_000


def read_sources(drafts: Iterable[Draft], directory: Path, problems: Problems) -> None:
    """Put the code into each step that has a file, and note what is no Python."""
    read: dict[tuple[str, StepType], tuple[str, str]] = {}
    compiled: dict[str, str] = {}
    with warnings.catch_warnings():
        # A doubtful escape is for the run to say, not for the check.
        warnings.simplefilter("ignore")
        for draft in drafts:
            if draft.file is not None:
                _read(draft, directory, read, problems)
            if draft.step_type is StepType.PYTHON_SCRIPT and draft.code is not None:
                # Many steps of one workflow are one script with other inputs.
                wrong = compiled.get(draft.code)
                if wrong is None:
                    wrong = compiled[draft.code] = wrong_with_python(draft.code)
                if wrong and draft.file is None:
                    problems.add(f"{draft.place}.code", wrong)
                elif wrong:
                    problems.add(
                        f"{draft.place}.file", f"{one_line(draft.file or '', 200)}, {wrong}"
                    )


def wrong_with_python(source: str) -> str:
    """Why a text is no Python, with its line; empty when it is. The caller silences warnings."""
    try:
        compile(source, "<step>", "exec", dont_inherit=True)
    except SyntaxError as error:
        if not error.lineno:
            # A zero byte; older interpreters raise ValueError for it.
            return "has a character that source cannot have"
        line = one_line(error.text or _line(source, error.lineno), 60)
        return f"line {error.lineno}: {error.msg}" + (f": {line}" if line else "")
    except (ValueError, OverflowError):
        return "has a character that source cannot have"
    except (MemoryError, RecursionError):
        return "is nested too deep to compile"
    return ""


def _line(source: str, number: int) -> str:
    """A line, from 1; the second half of the compiler does not give it."""
    return "".join(source.split("\n", number)[number - 1 : number])


def _read(
    draft: Draft,
    directory: Path,
    read: dict[tuple[str, StepType], tuple[str, str]],
    problems: Problems,
) -> None:
    written = draft.file or ""
    place = f"{draft.place}.file"
    # No links are followed: a script finds its neighbours where it was said to be.
    path = os.path.abspath(directory / written)  # noqa: PTH100  # Path has no such without links
    draft.file = path
    key = (path, draft.step_type)
    if key not in read:
        read[key] = _text_of(path, draft.step_type)
    code, wrong = read[key]
    if wrong:
        problems.add(place, f"{shown(written)} {wrong}")
        draft.code = None
    else:
        draft.code = code


def _text_of(path: str, kind: StepType) -> tuple[str, str]:
    """The text of a file, or why there is none. A notebook is looked at only."""
    is_notebook = kind is StepType.NOTEBOOK
    most = MOST_BYTES_OF_A_NOTEBOOK if is_notebook else MOST_BYTES_OF_CODE
    try:
        # A pipe or a device could be read without end, or never.
        found = os.stat(path)  # noqa: PTH116  # the path is text already
        if not stat.S_ISREG(found.st_mode):
            return "", f"is no file: {path}"
        if found.st_size > most:
            size = human_bytes(found.st_size)
            return "", f"has {size}, and may have {human_bytes(most)}"
        with Path(path).open("rb") as file:
            raw = file.read(0 if is_notebook else most)
    except FileNotFoundError:
        return "", f"is not there: {path}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path has a character that paths have not"
        return "", f"cannot be read: {reason}"
    if is_notebook:
        return "", ""
    return _decoded(raw, is_python=kind is StepType.PYTHON_SCRIPT)


def _decoded(raw: bytes, *, is_python: bool) -> tuple[str, str]:
    try:
        # Scripts may name their encoding in the first lines, as Python reads them.
        encoding = (
            tokenize.detect_encoding(io.BytesIO(raw).readline)[0] if is_python else "utf-8-sig"
        )
        text = raw.decode(encoding)
    except SyntaxError as error:
        return "", f"cannot be decoded: {error.msg}"
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        return "", f"is no {encoding}: line {line}, byte {column}"
    text = io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)
    return (text, "") if text.strip() else ("", "is empty")
