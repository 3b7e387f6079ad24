"""Quick turns last a moment longer than what is handled, by the loop of its thread."""

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from flow_kernel.records.quick_turns import QuickTurns
from flow_kernel.shell.channels.quick_answers import answered

THEIRS = 0.004


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(THEIRS)
    yield
    sys.setswitchinterval(before)


def now() -> float:
    return round(sys.getswitchinterval(), 6)


def seen_in_a_thread(hear: "type[_Heard]") -> list[float]:
    """The interval in the block, behind it, and once it was given back, in a loop of a channel."""
    heard = hear()
    thread = threading.Thread(target=lambda: asyncio.run(heard.press()))
    thread.start()
    thread.join(30)
    return heard.seen


class _Heard:
    def __init__(self) -> None:
        self.seen: list[float] = []

    async def press(self) -> None:
        given_back = asyncio.Event()

        class Turns(QuickTurns):
            """Says when it has ended."""

            def end(self, hold: object) -> None:
                super().end(hold)
                given_back.set()

        try:
            with answered(Turns()):
                self.seen.append(now())
                self.handle()
        except ValueError:
            pass
        self.seen.append(now())
        await asyncio.wait_for(given_back.wait(), 30)
        self.seen.append(now())

    def handle(self) -> None:
        """Nothing goes wrong."""


class _Failing(_Heard):
    def handle(self) -> None:
        raise ValueError


@pytest.mark.parametrize("hear", [_Heard, _Failing])
def test_a_cell_that_goes_on_behind_the_answer_still_has_quick_turns(hear: type[_Heard]) -> None:
    inside, behind, after = seen_in_a_thread(hear)

    assert (inside < 0.001, behind < 0.001, after) == (True, True, THEIRS)


def test_without_a_loop_they_end_with_the_block() -> None:
    def press() -> None:
        with answered(QuickTurns()):
            pass
        seen.append(now())

    seen: list[float] = []
    thread = threading.Thread(target=press)
    thread.start()
    thread.join(30)

    assert seen == [THEIRS]


def test_the_loop_of_the_main_thread_which_cells_keep_is_not_waited_for() -> None:
    async def press() -> float:
        with answered(QuickTurns()):
            pass
        return now()

    assert asyncio.run(press()) == THEIRS
