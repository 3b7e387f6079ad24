"""Points in time and ages as people write them (pure).

Called by `log --since` and `prune --older`.

    2026-11-21   2026-11-21T14:05   2026-11-21T14:05:00Z   today   yesterday   90s 30m 2h 3d 2w
"""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from flow_kernel.errors import UsageError

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE: Final = re.compile(r"(\d{1,9})\s*([smhdw])\Z", re.ASCII)


def parse_when(text: str, now: datetime) -> datetime:
    """The point in time that `text` means.

    Args:
        text: An age counted back from `now`, a day word, or ISO 8601; without a zone it is local.
        now: The present, with its zone.

    Returns:
        The time in UTC.

    Raises:
        UsageError: `text` is none of these, or lies outside the calendar.
    """
    word = text.strip()
    try:
        if match := _AGE.match(word.lower()):
            return now.astimezone(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        if word.lower() in ("today", "yesterday"):
            day = now.astimezone().date() - timedelta(days=word.lower() == "yesterday")
            return datetime.combine(day, time.min).astimezone(UTC)
        # A time without a zone is local: that is what astimezone assumes.
        return datetime.fromisoformat(word).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f'"{text}" is no point in time',
            hint="try 2h, 3d, today, yesterday or 2026-11-21T14:05",
        ) from None


def stamp(when: datetime) -> str:
    """`when` as records write it, so that texts compare like times."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_stamp(text: object) -> datetime | None:
    """The time in a record's `timestamp`, or None where it has another form."""
    if not isinstance(text, str):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
