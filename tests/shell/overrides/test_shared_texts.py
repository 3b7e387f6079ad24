"""Equal texts are one object, and nothing is remembered for ever."""

from flow_kernel.shell.overrides.shared_texts import MOST, SharedTexts
from tests.promises import promise


def _made(text: str) -> str:
    return "".join(list(text))


@promise("memory.cell")
def test_equal_texts_become_one() -> None:
    texts = SharedTexts()
    first, second = _made("a = 1"), _made("a = 1")
    pair, same_pair = ("kind", first), ("kind", second)

    assert texts.same(first) is first
    assert texts.same(second) is first
    assert texts.same(pair) is pair
    assert texts.same(same_pair) is pair


@promise("memory.cell")
def test_a_text_of_a_class_of_its_own_is_not_asked() -> None:
    class Text(str):
        def __hash__(self) -> int:
            raise AssertionError("asked")

    given = Text("a = 1")
    assert SharedTexts().same(given) is given


@promise("memory.cell")
def test_no_more_are_remembered_than_of_late() -> None:
    texts = SharedTexts()
    first = texts.same(_made("first"))
    for number in range(MOST):
        texts.same(f"another {number}")

    assert texts.same(_made("first")) is not first
    texts.clear()
    assert texts.same(_made("first")) is not first
