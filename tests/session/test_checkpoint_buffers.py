"""Only buffers that our own code takes are left to it; those of others come as bytes."""

import pickle
from typing import Any

import numpy as np
import pytest

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.saving import save


class Wrapped:
    """Gives its array to pickle as a buffer, in a way of its own."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return np.frombuffer, (pickle.PickleBuffer(self.array), self.array.dtype)


def filled_in(value: object) -> list[bool]:
    """Of each buffer of a value, whether it is left to what takes it."""
    (group,) = save({"value": value}, anchors_of({}, {})).groups
    return [number in group.filled_in for number in range(len(group.buffers))]


@pytest.mark.parametrize("dtype", ["V1", [("flag", "?")], "u1"])
@pytest.mark.parametrize(
    "laid_out",
    [
        Wrapped,
        # Neither row by row nor column by column: numpy's own way.
        lambda array: array.reshape(4, 5, 6).transpose(1, 0, 2).copy(order="K"),
    ],
)
def test_a_buffer_of_others_is_not_left_to_us_whatever_its_type(dtype: Any, laid_out: Any) -> None:
    assert filled_in(laid_out(np.zeros(120, dtype))) == [False]


@pytest.mark.parametrize("dtype", ["f8", "V1", [("flag", "?")], "M8[s]", "U3", ">i4"])
def test_the_memory_of_an_array_is_left_to_us(dtype: Any) -> None:
    assert filled_in(np.zeros(120, dtype)) == [True]
    assert filled_in(np.zeros((10, 12), dtype, order="F")) == [True]
    assert filled_in(np.zeros(0, dtype)) == [True]
