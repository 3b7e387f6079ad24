"""What a worker may take of the machine, and how people write that down (pure).

Read by `shell.isolated.routing` from the marks of a cell; the pool holds a worker to them.

    bytes    2G, 512M, 800k: powers of ten; 1.5GiB, 64Mi: powers of two; a number: bytes
    seconds  30, 0.5, 90s, 10m, 1h, 2d; a number: seconds

Upper and lower case mean the same. What no machine can hold to is refused, not cut: a limit that is
silently another one is worse than none.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.errors import UsageError
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.plain import human_bytes, one_line

globals()["__builtins__"] = FROZEN_BUILTINS

LEAST_MEMORY_BYTES: Final = 64_000_000
"""Less than an interpreter with a few libraries takes: no cell could run in it."""

_MOST_BYTES: Final = 2**60
_MOST_S: Final = 10 * 366 * 86400
# The most that Linux has ids for.
_MOST_PROCESSES: Final = 2**22
_MOST_CORES: Final = 2**16
_REQUIREMENTS_HINT: Final = 'e.g. {"cpu": 2, "memory": "2G", "disk": "10G"}'
_PREFIXES: Final = "kmgtp"
_UNITS_BYTES: Final = {
    "": 1,
    "b": 1,
    **{f"{p}{b}": 1000**i for i, p in enumerate(_PREFIXES, 1) for b in ("", "b")},
    **{f"{p}i{b}": 1024**i for i, p in enumerate(_PREFIXES, 1) for b in ("", "b")},
}
_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AMOUNT: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?[ ]?([a-z]*)\Z")
_MOST_CHARS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run in a worker may take; None where there is no limit."""

    timeout_s: float | None = None
    """From the start of the cell to its end, by the clock on the wall."""
    memory_bytes: int | None = None
    """Of the whole tree of the worker."""
    cpu_s: float | None = None
    """Computing time of the whole tree."""
    processes: int | None = None
    """Most processes in the tree, the worker among them."""
    output_bytes: int | None = None
    """What the cell may print."""
    storm: int | None = None
    """Most processes where nothing was said of them: more can only be a mistake."""

    @property
    def most_processes(self) -> int | None:
        """What holds of them."""
        return self.processes or self.storm


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What has to be there before one run begins, and is promised to it until its end; 0 for none.

    A promise, and no limit: nobody counts what the run takes. Memory is held to by `Limits` alone.
    """

    cores: float = 0.0
    """Processors."""
    memory_bytes: int = 0
    disk_bytes: int = 0
    """Free on the disk of the working directory."""

    def __str__(self) -> str:
        """For people."""
        told = []
        if self.cores:
            told.append("1 processor" if self.cores == 1 else f"{self.cores:g} processors")
        if self.memory_bytes:
            told.append(f"{human_bytes(self.memory_bytes)} of memory")
        if self.disk_bytes:
            told.append(f"{human_bytes(self.disk_bytes)} on the disk")
        return " and ".join(told)


def requirements_of(value: object) -> Requirements:
    """`{"cpu": 2, "memory": "2G", "disk": "10G"}`; each key may be left out.

    Raises:
        UsageError: It is no such object.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{shown(value)} is no object", hint=_REQUIREMENTS_HINT)
    readers = {"cpu": cores_of, "memory": bytes_of, "disk": bytes_of}
    unknown = next((key for key in value if key not in readers), None)
    if unknown is not None:
        raise UsageError(f"{shown(unknown)} is no requirement", hint=_REQUIREMENTS_HINT)
    said: dict[str, Any] = {}
    for key, each in value.items():
        try:
            said[key] = readers[key](each)
        except UsageError as error:
            raise UsageError(f"{key}: {error.message}", hint=error.hint) from None
    return Requirements(
        cores=said.get("cpu", 0.0),
        memory_bytes=said.get("memory", 0),
        disk_bytes=said.get("disk", 0),
    )


def cores_of(value: object) -> float:
    """A number of processors, as text or as a number; half of one is some.

    Raises:
        UsageError: It is no number, not more than nothing, or more than any machine has.
    """
    amount = _amount(value, {"": 1})
    if amount is None or not 0 < amount <= _MOST_CORES:
        raise UsageError(f"{shown(value)} is no number of processors", hint="try 2")
    return float(amount)


def bytes_of(value: object, *, least: int = 1) -> int:
    """`2G`, `512M`, `1.5GiB`, `800k` or a number, in bytes.

    Args:
        value: Text, or a number of bytes; what is less than a byte falls away.
        least: Fewer make no sense.

    Raises:
        UsageError: It is no such amount, it is less than `least`, or more than 2**60.
    """
    amount = _amount(value, _UNITS_BYTES)
    example = "try 2G, 512M or 1.5GiB"
    if amount is None:
        raise UsageError(f"{shown(value)} is no number of bytes", hint=example)
    if amount < least:
        raise UsageError(f"{shown(value)} is less than {human_bytes(least)}", hint=example)
    if amount > _MOST_BYTES:
        raise UsageError(f"{shown(value)} is more than any machine has", hint=example)
    return int(amount)


def seconds_of(value: object) -> float:
    """`30`, `0.5`, `90s`, `10m`, `1h`, `2d` or a number, in seconds.

    Raises:
        UsageError: It is no duration, it is not longer than nothing, or longer than ten years.
    """
    amount = _amount(value, _UNITS_S)
    example = "try 30, 90s, 10m or 1h"
    if amount is None:
        raise UsageError(f"{shown(value)} is no duration", hint=example)
    if amount <= 0:
        raise UsageError(f"{shown(value)} leaves no time to run", hint=example)
    if amount > _MOST_S:
        raise UsageError(f"{shown(value)} is longer than ten years", hint=example)
    return float(amount)


def count_of(value: object) -> int:
    """A whole number of processes, as text or as a number.

    Raises:
        UsageError: It is no whole number, less than 1, or more than Linux has ids for.
    """
    amount = _amount(value, {"": 1})
    if amount is None or amount != int(amount):
        raise UsageError(f"{shown(value)} is no number of processes", hint="try 8")
    if not 1 <= amount <= _MOST_PROCESSES:
        raise UsageError(f"{shown(value)} is not between 1 and {_MOST_PROCESSES}", hint="try 8")
    return int(amount)


def shown(value: object) -> str:
    """A refused value as a message quotes it: one short line, whatever the value is."""
    if isinstance(value, str):
        return f'"{one_line(value, _MOST_CHARS)}"'
    if value is None or isinstance(value, bool | float):
        return {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    if isinstance(value, int):
        # Python refuses to write more than 4,300 digits.
        return str(value) if abs(value) < 10**_MOST_CHARS else "that number"
    return f"a {type(value).__name__}"


def _amount(value: object, units: Mapping[str, int]) -> int | float | None:
    """A finite number in the base unit; None when it is none."""
    if isinstance(value, str):
        return _written(value, units)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _written(text: str, units: Mapping[str, int]) -> int | float | None:
    text = text.strip().lower()
    match = _AMOUNT.match(text) if len(text) <= _MOST_CHARS else None
    if match is None or match[3] not in units:
        return None
    fraction = match[2] or ""
    scaled = int(match[1] + fraction) * units[match[3]]
    scale: int = 10 ** len(fraction)
    # Whole numbers stay exact, beyond 2**53 too.
    return scaled / scale if scaled % scale else scaled // scale
