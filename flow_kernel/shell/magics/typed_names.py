"""The line of a magic that names checkpoints, with its variables in place.

Used by the magics `%checkpoint` and `%rollback`, in the session and in a worker, in place of what
IPython does by itself: it evaluates what stands in braces or behind a dollar. A name may be a
stranger's, and who types it means the checkpoint.
"""

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from IPython.utils.text import DollarFormatter

from flow_kernel.errors import FlowError

_EVALUATED: Final = re.compile(r"[{}$]")
TAKE_NAMES: Final = ("show", "diff", "verify")
"""Verbs of `%checkpoint` that are followed by a name."""


def expanded(
    magic: str,
    line: str,
    local_ns: Mapping[str, object] | None,
    *,
    shell: Any,
    names: Callable[[], Collection[str]],
) -> str:
    """The line as IPython would expand it, unless it names a checkpoint as it stands.

    Args:
        magic: Its name; a checkpoint that is taken gets a new one, so nothing is looked for.
        line: What stands behind it.
        local_ns: The variables around the line; None where it is not one that somebody typed.
        shell: IPython's.
        names: Gives the names of all checkpoints.
    """
    if local_ns is None or not _EVALUATED.search(line):
        return line
    try:
        words = shlex.split(line)
        typed = {word for word in words if _EVALUATED.search(word)}
        if (magic == "rollback" or words[0] in TAKE_NAMES) and not typed.isdisjoint(names()):
            return line
    except FlowError:  # nobody can say which there are, and the magic will say why
        return line
    except ValueError:  # quotes of an expression
        pass
    try:
        return str(DollarFormatter().vformat(line, (), {**shell.user_ns, **local_ns}))
    except Exception:  # noqa: BLE001 - code of the user's; IPython leaves the line as it is, too
        return line
