"""When a progress bar is drawn, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import UsageError
from flow_kernel.session.progress import Meter, Progress
from flow_kernel.session.steps import Step, StepWays
from flow_kernel.store.contract import StepRow


def test_of_many_reports_ten_a_second_are_shown_and_always_the_first_and_the_last() -> None:
    meter = Meter("load")

    shown = [frame for i in range(1, 129) if (frame := meter.report(i, 128, i / 64))]

    assert [frame.done for frame in shown] == [1, *range(8, 128, 7), 128]
    assert shown[-1].is_over


@pytest.mark.parametrize(
    ("done", "elapsed_s", "note"),
    [
        (0, 0.0, "0/8 · 0 %"),
        (2, 3.0, "2/8 · 25 % · 9.0 s left"),
        (8, 12.0, "8/8 · 100 % · 12.0 s"),
        (9, 12.0, "9/8 · 100 % · 12.0 s"),
    ],
)
def test_the_note_says_how_much_and_how_long(done: float, elapsed_s: float, note: str) -> None:
    progress = Progress(name="load", done=done, total=8, elapsed_s=elapsed_s, is_over=done >= 8)

    assert progress.note() == note


@given(done=st.floats(-10, 110), width=st.integers(1, 60), has_blocks=st.booleans())
def test_a_bar_has_its_width_whatever_is_done(done: float, width: int, has_blocks: bool) -> None:
    progress = Progress(name="", done=done, total=100, elapsed_s=1)

    assert len(progress.bar(width, has_blocks=has_blocks)) == width


@pytest.mark.parametrize("report", [(1, 0), (1, -1), ("a", 3), (float("nan"), 3), (1, None)])
def test_what_is_no_progress_is_refused_with_one_sentence(report: tuple[object, object]) -> None:
    row = StepRow(plan_id="local", task_id="T-0001", number=1, name="load")
    ways = StepWays(log=print, artifact=print, describe=str, show=lambda _number, _progress: None)
    step = Step(row, ways)

    with pytest.raises(UsageError, match="takes two numbers"):
        step.progress(*report)  # type: ignore[arg-type]  # that is the test
