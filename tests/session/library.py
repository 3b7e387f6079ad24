"""Functions of a library, which its module has under their names whatever decorated them."""

import contextlib
import functools
from collections.abc import Callable, Iterator


def traced(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def inner(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return inner


@contextlib.contextmanager
def open_thing() -> Iterator[int]:
    yield 1


class Thing:
    @traced
    def method(self) -> str:
        return "method"
