"""One line about a value of a standard module that not every session loads (pure).

Called by `summaries` once such a module is loaded; `STANDARD` makes its functions by type.
"""

from collections.abc import Callable
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.libraries import UnfamiliarError, class_in, getter
from flow_kernel.records.summaries_builtins import Show, brief, line, number

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_DECIMAL_BYTES: Final = 256
_MAX_PATH_PARTS: Final = 12


def _datetime() -> dict[type, Show]:
    zone = class_in("datetime", "timezone")

    def moment(value: Any) -> str:
        tz = value.tzinfo
        if tz is None or type(tz) is zone:
            return str(value)
        # A zone of another class would be asked for its offset: code that is not ours to run.
        return f"{value.replace(tzinfo=None)} {brief(tz)}"

    shows: dict[str, Callable[[Any], str]] = {
        "date": str,
        "timedelta": str,
        "timezone": str,
        "datetime": moment,
        "time": moment,
    }
    return {
        class_in("datetime", name): line(f"datetime.{name}", show) for name, show in shows.items()
    }


def _decimal() -> dict[type, Show]:
    kind = class_in("decimal", "Decimal")
    sizeof, adjusted = getter(kind, "__sizeof__"), getter(kind, "adjusted")

    def show(value: object) -> str:
        if sizeof(value)() > _MAX_DECIMAL_BYTES:
            return f"Decimal with exponent {adjusted(value)()}"
        return str(value)

    return {kind: line("decimal.Decimal", show)}


def _fractions() -> dict[type, Show]:
    kind = class_in("fractions", "Fraction")
    above, below = getter(kind, "_numerator"), getter(kind, "_denominator")

    def show(value: object) -> str:
        top, bottom = above(value), below(value)
        if type(top) is not int or type(bottom) is not int:
            raise UnfamiliarError("Fraction")
        return f"{number(top)}/{number(bottom)}"

    return {kind: line("fractions.Fraction", show)}


def _pathlib() -> dict[type, Show]:
    kind = class_in("pathlib", "PosixPath")
    try:
        parts_of = getter(kind, "_raw_paths")
    except UnfamiliarError:  # Python 3.11
        parts_of = getter(kind, "_parts")

    def show(value: object) -> str:
        parts = parts_of(value)
        if type(parts) is not list or any(type(part) is not str for part in parts):
            raise UnfamiliarError("PosixPath")
        return "/".join(parts[:_MAX_PATH_PARTS]).replace("//", "/") or "."

    return {kind: line("pathlib.PosixPath", show)}


STANDARD: Final[dict[str, Callable[[], dict[type, Show]]]] = {
    "datetime": _datetime,
    "decimal": _decimal,
    "fractions": _fractions,
    "pathlib": _pathlib,
}
"""What makes the functions of a module; each raises `UnfamiliarError` while it cannot."""
