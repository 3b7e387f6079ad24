"""A replay as a Python script in percent format (pure).

Called by `replay`.

    # %% [12] 2026-11-21T01:02:03.456Z · 41 ms

A script runs without IPython: magics are comments in it, and so is a whole cell that plain Python
does not read.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Final

from flow_kernel.apps.replay_cells import Replay, ReplayCell
from flow_kernel.apps.replay_notebook import header_lines
from flow_kernel.apps.tables import plain
from flow_kernel.records.plain import human_ms

_MAGIC: Final = re.compile(r"(\s*)([%!?].*|.*\?)\s*\Z")


def script(replay: Replay) -> str:
    """The text of the .py file."""
    parts = ["\n".join(_comment(["%% [markdown]", *header_lines(replay)]))]
    parts += ["\n".join([*_heading(cell), *_body(cell.code)]) for cell in replay.cells]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _heading(cell: ReplayCell) -> Iterator[str]:
    record = cell.record
    count, elapsed = record.get("execution_count"), record.get("elapsed_ms")
    title = f"%% [{count if isinstance(count, int) else ' '}] {record.get('timestamp')}"
    if isinstance(elapsed, int | float):
        title += f" · {human_ms(elapsed)}"
    yield from _comment([title])
    error = record.get("error")
    if cell.death is not None:
        yield from _comment([f"The kernel died here: {cell.death.get('reason')}"])
    elif isinstance(error, dict):
        value = f": {error.get('evalue')}" if error.get("evalue") else ""
        yield from _comment([f"Raised {error.get('ename')}{value}"])


def _body(code: str) -> Iterator[str]:
    code = code.replace("\r\n", "\n").rstrip("\n")
    if _is_python(code):
        yield code
        return
    lines = [_without_magic(line) for line in code.split("\n")]
    if _is_python("\n".join(lines)):
        yield from lines
        return
    yield "# Not plain Python (magics, await or a syntax error):"
    yield from (f"# {line}".rstrip() for line in re.split(r"\r\n|[\n\r\f\v\x85\u2028\u2029]", code))


def _without_magic(line: str) -> str:
    found = _MAGIC.match(line)
    if found is None or line.lstrip().startswith("#"):
        return line
    # Inside a block something must stand in the magic's place.
    return f"{found[1]}pass  # {found[2]}" if found[1] else f"# {found[2]}"


def _is_python(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(code, "<cell>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _comment(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"# {plain(line)}".rstrip()
