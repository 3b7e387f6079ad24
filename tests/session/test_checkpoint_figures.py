"""Figures come back by themselves: pyplot's list of figures stays what it was."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib import font_manager

from tests.session.saved_values import saved_and_loaded


@pytest.fixture(autouse=True, scope="module")
def without_a_window() -> Iterator[None]:
    mpl.use("agg")
    yield
    font_manager._get_font.cache_clear()  # open files


def test_pyplot_does_not_notice_that_a_figure_was_saved_and_loaded() -> None:
    figure, axes = plt.subplots()
    [line] = axes.plot([1, 2], [3, 4])
    before = (plt.get_fignums(), plt.gcf() is figure)
    after, saved = saved_and_loaded({"figure": figure, "axes": axes, "line": line})
    assert saved.not_saved == []
    assert (plt.get_fignums(), plt.gcf() is figure) == before
    assert after["figure"].axes == [after["axes"]]
    assert after["axes"].lines[0] is after["line"]
    after["line"].set_ydata([9, 9])
    assert line.get_ydata().tolist() == [3, 4]
    after["figure"].canvas.draw()
    plt.close(figure)


def test_a_figure_that_came_back_can_be_drawn_and_written(tmp_path: object) -> None:
    figure = plt.figure()
    figure.add_subplot(projection="3d").plot([1], [2], [3])
    after, _ = saved_and_loaded({"figure": figure})
    plt.close(figure)
    after["figure"].savefig(f"{tmp_path}/figure.png")
