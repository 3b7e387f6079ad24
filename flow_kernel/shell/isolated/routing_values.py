"""What people write as values of marks, read (pure).

Called by `routing`.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from keyword import iskeyword
from typing import Final, Literal
from unicodedata import normalize

from flow_kernel.errors import UsageError
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.workers.limits import (
    LEAST_MEMORY_BYTES,
    bytes_of,
    count_of,
    requirements_of,
    seconds_of,
    shown,
)

globals()["__builtins__"] = FROZEN_BUILTINS

Inputs = tuple[str, ...] | Literal["auto", "none"]
"""Names that are copied to the worker; `auto`: those that the cell reads."""

# IPython's own, as `session.isolation.inputs` leaves them out where it chooses.
_SHELLS: Final = frozenset({"In", "Out", "get_ipython", "exit", "quit"})
_WORKER: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")
_MOST_PRIORITY: Final = 100


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(f"{shown(value)} is neither true nor false")


def _worker(value: object) -> str:
    if isinstance(value, str) and _WORKER.match(value):
        return value
    raise UsageError(
        f"{shown(value)} is no name of a worker",
        hint="at most 40 letters, digits, dots, dashes and underscores, e.g. w1",
    )


def _priority(value: object) -> int:
    """A whole number between -100 and 100; the greater one is served first."""
    number: int | None = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError):
            number = int(value)
    if number is None or abs(number) > _MOST_PRIORITY:
        raise UsageError(f"{shown(value)} is no number from -100 to 100", hint="try 10")
    return number


def _inputs(value: object) -> Inputs:
    word = value.strip() if isinstance(value, str) else ""
    if word == "auto":
        return "auto"
    return "none" if word == "none" else _names(value) or "none"


def _names(value: object) -> tuple[str, ...]:
    """Names of variables, each once, in the form in which Python keeps them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        raise UsageError(f"{shown(value)} is no list of names", hint="e.g. a,b")
    return tuple(dict.fromkeys(map(_name, names)))


def _name(value: object) -> str:
    name = normalize("NFKC", value.strip()) if isinstance(value, str) else ""
    if not name.isidentifier() or iskeyword(name):
        raise UsageError(f"{shown(value)} is no name of a variable", hint="e.g. a,b")
    if name in _SHELLS or name[:2] == "__" == name[-2:]:
        raise UsageError(f"{shown(value)} belongs to the shell", hint="it stays where it is")
    return name


KEYS: Final[dict[str, tuple[str, Callable[[object], object]]]] = {
    "isolated": ("isolated", _truth),
    "worker": ("worker", _worker),
    "fresh": ("fresh", _truth),
    "in": ("inputs", _inputs),
    "out": ("outputs", _names),
    "timeout": ("timeout_s", seconds_of),
    "memory": ("memory_bytes", partial(bytes_of, least=LEAST_MEMORY_BYTES)),
    "cpu": ("cpu_s", seconds_of),
    "processes": ("processes", count_of),
    "output": ("output_bytes", bytes_of),
    "fork": ("fork", _truth),
    "shell": ("shell", _truth),
    "bg": ("background", _truth),
    "priority": ("priority", _priority),
    "idempotent": ("idempotent", _truth),
    "requirements": ("needs", requirements_of),
}
"""Keys as people write them: the field of `Marks` that each is, and what reads its value."""
