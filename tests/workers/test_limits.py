"""Limits as people write them."""

import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.errors import UsageError
from flow_kernel.workers.limits import (
    LEAST_MEMORY_BYTES,
    bytes_of,
    count_of,
    seconds_of,
    shown,
)
from tests.records.journals import many

NO_AMOUNTS = ["", " ", "-1", "+1", "NaN", "Infinity", "1e3", "1_000", ".5", "5.", "1,5", "2 x",
              "\u0662", "1\n2", "9" * 41, "\ud800", "\x1b[31m", True, False, None, math.nan,
              math.inf, -math.inf, 1j, [2], {"a": 1}]  # fmt: skip

any_number = st.integers() | st.floats()
any_value = st.text(st.characters(codec=None)) | any_number | st.booleans() | st.none()


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("2G", 2_000_000_000),
        ("2g", 2_000_000_000),
        ("2 GB", 2_000_000_000),
        ("512M", 512_000_000),
        ("800k", 800_000),
        ("1.5GiB", 1_610_612_736),
        ("64Mi", 67_108_864),
        ("1T", 10**12),
        ("1.0000001k", 1000),
        ("9007199254740993", 2**53 + 1),
        ("1024PiB", 2**60),
        (" 7 b ", 7),
        (1, 1),
        (2.5e9, 2_500_000_000),
        (2**60, 2**60),
    ],
)
def test_bytes_are_read_in_powers_of_ten_and_with_an_i_of_two(written: object, count: int) -> None:
    assert bytes_of(written) == count


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("90s", 90.0),
        ("10m", 600.0),
        ("1.5 H", 5400.0),
        ("2d", 172_800.0),
        (40, 40.0),
        (0.25, 0.25),
    ],
)
def test_durations_are_read_in_seconds_unless_they_say_a_unit(
    written: object, seconds: float
) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize("written", NO_AMOUNTS)
def test_what_is_no_amount_is_refused(written: object) -> None:
    with pytest.raises(UsageError, match=r"is no number of bytes; try 2G, 512M or 1\.5GiB$"):
        bytes_of(written)
    with pytest.raises(UsageError, match=r"is no duration; try 30, 90s, 10m or 1h$"):
        seconds_of(written)
    with pytest.raises(UsageError, match=r"is no number of processes; try 8$"):
        count_of(written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (0, "0 is less than 1 B; try 2G, 512M or 1.5GiB"),
        (-5, "-5 is less than 1 B; try 2G, 512M or 1.5GiB"),
        ("0.001k", None),
        ("0.4", '"0.4" is less than 1 B; try 2G, 512M or 1.5GiB'),
        ("2000P", '"2000P" is more than any machine has; try 2G, 512M or 1.5GiB'),
        (10**60, "that number is more than any machine has; try 2G, 512M or 1.5GiB"),
        (1e300, "1e+300 is more than any machine has; try 2G, 512M or 1.5GiB"),
    ],
)
def test_bytes_that_no_machine_can_hold_to_are_refused(written: object, said: str | None) -> None:
    assert refusal(bytes_of, written) == said


def test_memory_below_what_an_interpreter_takes_is_refused() -> None:
    assert bytes_of("64M", least=LEAST_MEMORY_BYTES) == LEAST_MEMORY_BYTES
    with pytest.raises(UsageError, match=r'^"63M" is less than 64\.0 MB; try 2G'):
        bytes_of("63M", least=LEAST_MEMORY_BYTES)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0", '"0" leaves no time to run; try 30, 90s, 10m or 1h'),
        (-0.5, "-0.5 leaves no time to run; try 30, 90s, 10m or 1h"),
        ("4000d", '"4000d" is longer than ten years; try 30, 90s, 10m or 1h'),
        (10**60, "that number is longer than ten years; try 30, 90s, 10m or 1h"),
    ],
)
def test_durations_that_nobody_can_wait_for_are_refused(written: object, said: str) -> None:
    assert refusal(seconds_of, written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (1, None),
        ("4194304", None),
        (8.0, None),
        ("0", '"0" is not between 1 and 4194304; try 8'),
        (4194305, "4194305 is not between 1 and 4194304; try 8"),
        ("2.5", '"2.5" is no number of processes; try 8'),
        ("2k", '"2k" is no number of processes; try 8'),
    ],
)
def test_processes_are_a_whole_number_that_a_machine_has_ids_for(
    written: object, said: str | None
) -> None:
    assert refusal(count_of, written) == said


@many
@given(any_value)
@example("9" * 39 + "p")
@example(10**5000)
@example("0." + "0" * 37 + "1")
def test_whatever_is_read_is_a_limit_or_refused_in_one_line(written: object) -> None:
    for read, most in ((bytes_of, 2**60), (seconds_of, 10 * 366 * 86400), (count_of, 2**22)):
        said = refusal(read, written)
        assert 0 < read(written) <= most if said is None else len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", '"x"'),
        ("x" * 99, f'"{"x" * 39}…"'),
        ("a\nb\x1b[31m", '"a"'),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (-(10**40), "that number"),
        ([10**5000], "a list"),
    ],
)
def test_a_refused_value_is_quoted_in_one_short_line(value: object, said: str) -> None:
    assert shown(value) == said


def refusal(read: Callable[[object], float], written: object) -> str | None:
    """What is said against a value; None where it is read."""
    try:
        read(written)
    except UsageError as error:
        return str(error)
    return None
