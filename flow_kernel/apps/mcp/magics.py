"""Lines of magics for what an agent wants, whatever its texts hold (pure).

Used by `working`. What has no meaning for IPython stands as a person would write it; else it is
handed to the magic as it is, because IPython evaluates what stands in braces or behind a dollar. So
is a long line: IPython looks for dollars in a time that grows with its square, 4 s for 20,000.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from flow_kernel.errors import UsageError

_PLAIN: Final = re.compile(r"[^{}$?;\\!]*\Z")
_LINE_CHARS: Final = 1000
RESERVED: Final = frozenset({"list", "show", "diff", "verify", "prune", "status", "tree"})


def magic(name: str, line: str) -> str:
    """The code that runs a magic with exactly this line."""
    # What is no blank and cannot be printed may be the end of a line to whoever splits the cell.
    is_plain = _PLAIN.match(line) and line.isprintable() and line == line.strip()
    if is_plain and len(line) <= _LINE_CHARS:
        return f"%{name} {line}".rstrip()
    return f"get_ipython().find_line_magic({name!r})({line!r})"


def task_start(name: str, about: str, steps: Sequence[str]) -> str:
    """Begin a task."""
    if any("," in step for step in steps):
        raise UsageError("the name of a step has no comma")
    words = [shlex.quote(name)]
    if about:
        words += ["--describe", shlex.quote(about)]
    if steps:
        words += ["--steps", shlex.quote(",".join(steps))]
    return magic("task", f"start {' '.join(words)}")


def task_text(verb: str, text: str) -> str:
    """A verb with a text: step, log, fail."""
    return magic("task", f'{verb} "{text}"' if text else verb)


def task_set(values: Mapping[str, object]) -> str:
    """Set keys of the context."""
    for key in values:
        if "=" in key or not key.strip():
            raise UsageError(f"{key[:40]!r} is no name of a key")
    pairs = (shlex.quote(f"{key}={json.dumps(value)}") for key, value in values.items())
    return magic("task", f"set {' '.join(pairs)}")


def checkpoint(name: str) -> str:
    """Keep variables and files."""
    if name in RESERVED or name.startswith("-"):
        raise UsageError(f"a checkpoint cannot be named {name[:40]!r}")
    return magic("checkpoint", f"{shlex.quote(name)} --wait" if name else "--wait")


def checkpoint_diff(name: str) -> str:
    """How a checkpoint differs from now."""
    return magic("checkpoint", f"diff {shlex.quote(name)}")


def rollback(to: str, what: str, *, is_dry: bool) -> str:
    """Go back, or say what that would change."""
    if to.startswith("--"):
        raise UsageError(f"{to[:40]!r} is no checkpoint")
    flags = ["--dry-run"] * is_dry + [f"--{what}"] * (what != "")
    return magic("rollback", " ".join([shlex.quote(to), *flags]))


def workflow(file: str, variables: Mapping[str, object]) -> str:
    """Run a workflow."""
    pairs = [
        f"--var {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in variables.items()
    ]
    return magic("workflow", " ".join(["run", shlex.quote(file), *pairs]))
