"""The time for looks at variables is that of the thread which looks."""

import time
from collections.abc import Callable, Iterator

import pytest

from flow_kernel.records.samples import sample_many
from flow_kernel.records.summaries import summarise_many

_BUDGET_US = 10_000


def _pause(seconds: float) -> None:
    """What a thread sees of it when others have the processor."""
    time.sleep(seconds)


def _work(seconds: float) -> None:
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


def _lists(between: Callable[[float], None], seconds: float) -> Iterator[tuple[str, object]]:
    for name in ("a", "b", "c"):
        yield name, [name]
        between(seconds)


@pytest.mark.parametrize(
    ("between", "seconds", "seen"),
    [
        (_pause, 0.03, ["a", "b", "c"]),
        (_pause, 0.3, ["a"]),
        (_work, 0.03, ["a"]),
    ],
    ids=["pauses", "a pause without end", "work"],
)
def test_what_other_programs_take_hides_no_variable_unless_it_is_too_much(
    between: Callable[[float], None], seconds: float, seen: list[str]
) -> None:
    samples = sample_many(_lists(between, seconds), budget_us=_BUDGET_US)
    summaries, left_out = summarise_many(_lists(between, seconds), limit=9, budget_us=_BUDGET_US)

    assert ([*samples], [*summaries], left_out) == (seen, seen, 3 - len(seen))
