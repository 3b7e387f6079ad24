"""`repr` that stops once it is long enough, for the containers of Python itself (pure).

Used by `session.looks`: a list of ten million numbers is not written out for its first page.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

_DEEP: Final = 40
_BRACKETS: Final[dict[type, tuple[str, str]]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def bounded_repr(value: object, chars: int) -> str:
    """`repr(value)`, or the beginning of it, which is longer than `chars` then.

    What is no list, tuple, set, dict or text itself, or lies in one and is none, says of itself
    what it says.
    """
    pieces: list[str] = []
    length = 0
    for piece in _pieces(value, chars, ()):
        pieces.append(piece)
        length += len(piece)
        if length > chars:
            break
    return "".join(pieces)


def _pieces(value: object, chars: int, around: tuple[int, ...]) -> Iterator[str]:
    kind = type(value)
    if kind in (str, bytes, bytearray):
        yield repr(value[: chars + 1])  # type: ignore[index]  # a text
        return
    found = _BRACKETS.get(kind)
    if found is None:
        yield repr(value)
        return
    begin, end = found
    if id(value) in around or len(around) >= _DEEP:
        yield f"{begin}...{end}"
        return
    count = len(value)  # type: ignore[arg-type]  # a container
    if not count and kind in (set, frozenset):
        yield f"{kind.__name__}()"
        return
    yield begin
    yield from _items(value, chars, (*around, id(value)))  # type: ignore[arg-type]  # as above
    yield f",{end}" if kind is tuple and count == 1 else end


def _items(value: Iterable[object], chars: int, around: tuple[int, ...]) -> Iterator[str]:
    # An item takes a character at least: more of them cannot be shown.
    for number, item in enumerate(islice(value, chars + 1)):
        if number:
            yield ", "
        yield from _pieces(item, chars, around)
        if type(value) is dict:
            yield ": "
            yield from _pieces(value[item], chars, around)
