"""The ledger and the tests agree: no promise without a test, no flow test without a promise."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.promises import PROMISES

_FLOWS = Path(__file__).parent / "flows"


def test_every_promise_has_a_test() -> None:
    held = {name for _, names in _tests() for name in names}

    assert sorted(set(PROMISES) - held) == []


def test_every_flow_test_holds_a_promise() -> None:
    assert [test for test, names in _tests() if not names] == []


def test_every_promise_is_a_sentence() -> None:
    assert [text for text in PROMISES.values() if not text.endswith(".")] == []


def _tests() -> Iterator[tuple[str, list[str]]]:
    for path in sorted(_FLOWS.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            yield from _of(node, path.name, [])


def _of(node: ast.stmt, place: str, inherited: list[str]) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, ast.ClassDef):
        names = inherited + _named(node)
        if names:
            # Tests may be inherited from another package: the class counts as one.
            yield f"{place}::{node.name}", names
        for child in node.body:
            yield from _of(child, f"{place}::{node.name}", names)
    elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
        yield f"{place}::{node.name}", inherited + _named(node)


def _named(node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    return [
        argument.value
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "promise"
        for argument in decorator.args
        if isinstance(argument, ast.Constant)
    ]
