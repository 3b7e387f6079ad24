"""What a loop reads is found where its code would find it, or nothing is said of it."""

from types import MappingProxyType
from typing import Any

import pytest

from flow_kernel.workers.loop_proof import Names, Verdict, judge, parse

SPIN = compile("while not done: pass", "<cell>", "exec")


class Names2(dict[str, Any]):
    """A namespace that may find what it does not hold."""


def judged(near: Any, wide: Any) -> Verdict:
    steps = parse(SPIN)
    back = next(
        at for at, step in steps.items() if "JUMP" in step.opname and step.argval <= step.offset
    )
    return judge(steps, back, Names(near=near, wide=wide, built_in={}))


def test_names_of_dicts_are_known() -> None:
    assert judged({"done": False}, {}) is Verdict.ENDLESS
    assert judged({}, {"done": False}) is Verdict.ENDLESS


@pytest.mark.parametrize("place", [Names2(), MappingProxyType({}), Names2(done=False)])
def test_a_mapping_of_another_kind_may_find_what_it_has_not(place: Any) -> None:
    assert judged(place, {"done": False}) is not Verdict.ENDLESS
    assert judged({}, place) is not Verdict.ENDLESS


@pytest.mark.parametrize("test", ["0 in numbers", "[*numbers]", "{*numbers}"])
def test_what_takes_from_an_iterator_does_not_only_look(test: str) -> None:
    code = compile(f"while {test}: pass", "<cell>", "exec")
    steps = parse(code)
    back = next(
        at for at, step in steps.items() if "JUMP" in step.opname and step.argval <= step.offset
    )
    names = Names(near={"numbers": iter(())}, wide={}, built_in={})
    assert judge(steps, back, names) is Verdict.OPEN
