"""Points in time as people write them."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from flow_kernel.apps.when import parse_stamp, parse_when, stamp
from flow_kernel.errors import UsageError

NOW = datetime(2026, 11, 21, 14, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("3D", NOW - timedelta(days=3)),
        (" 2w ", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 11, 21, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:15", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2026-11-20T10:15:00Z", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)),
        ("2026-11-20T10:15:00+02:00", datetime(2026, 11, 20, 8, 15, tzinfo=UTC)),
    ],
)
def test_ages_days_and_iso_times_are_understood(text: str, expected: datetime) -> None:
    assert parse_when(text, NOW) == expected


def test_days_begin_at_local_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()

    assert stamp(parse_when("today", NOW)) == "2026-11-20T18:30:00.000Z"
    assert stamp(parse_when("2026-11-21T01:00", NOW)) == "2026-11-20T19:30:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "soon", "2x", "-3d", "3", "999999999w", "2026-13-01", "\u0661h", "d"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="try 2h, 3d, today"):
        parse_when(text, NOW)


def test_a_stamp_of_a_record_is_read_and_nonsense_is_none() -> None:
    assert parse_stamp("2026-11-21T01:02:03.456Z") == datetime(
        2026, 11, 21, 1, 2, 3, 456000, tzinfo=UTC
    )
    assert [parse_stamp(text) for text in ("yesterday", "", None, 3)] == [None] * 4
