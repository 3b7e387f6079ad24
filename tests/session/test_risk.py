"""The risk scan: what it finds, what it lets pass, and that it never breaks."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from flow_kernel.session.risk import Finding, World, scan, scan_source
from flow_kernel.session.risk_tables import Kind
from tests.session.risk_corpus import INNOCENT, RISKY

RISKY_CELLS = [(kind, cell) for kind, cells in RISKY.items() for cell in cells]


def find(source: str, **bound: str) -> list[Finding]:
    transform = TransformerManager().transform_cell
    return scan_source(source, World(resolve=bound.get, transform=transform))


def test_the_corpora_are_large_enough() -> None:
    assert (len(RISKY_CELLS) >= 60, len(INNOCENT) >= 60) == (True, True)


@pytest.mark.parametrize(("kind", "cell"), RISKY_CELLS)
def test_a_risky_cell_is_found_and_its_kind_is_named(kind: str, cell: str) -> None:
    assert Kind[kind] in {found.kind for found in find(cell)}


@pytest.mark.parametrize("cell", INNOCENT)
def test_an_innocent_cell_passes(cell: str) -> None:
    assert find(cell) == []


@pytest.mark.parametrize(
    ("cell", "bound", "kind"),
    [
        ("o.remove('x')", {"o": "os"}, "DELETES"),
        ("rm('x')", {"rm": "os.unlink"}, "DELETES"),
        ("sp.run('x')", {"sp": "subprocess"}, "SHELL"),
        ("load(f)", {"load": "_pickle.load"}, "CODE"),
        ("f(o)", {"o": "os"}, "CODE"),
    ],
)
def test_names_that_earlier_cells_have_bound_are_known(
    cell: str, bound: dict[str, str], kind: str
) -> None:
    assert [found.kind for found in find(cell, **bound)] == [Kind[kind]]
    assert find(cell, **dict.fromkeys(bound, "")) == []


def test_a_finding_says_where_and_what() -> None:
    (found,) = find("import os\n\nfor f in files:\n    os.remove(f)")

    assert (found.line, found.text) == (4, "os.remove")


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_scan(text: str) -> None:
    assert isinstance(scan_source(text, World()), list)


@given(st.lists(st.sampled_from([cell for _, cell in RISKY_CELLS] + INNOCENT), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_risky_cell_stays_risky_among_others(cells: list[str]) -> None:
    lines = [c for c in cells if not c.startswith("%%") and not c.endswith("?") and "(\n" not in c]
    whole = "\n".join(lines)

    if any(cell == "!git push" for cell in lines):
        assert find(whole) != []
    assert isinstance(find(whole), list)


def test_what_is_nested_deeper_than_the_scan_goes_is_a_finding() -> None:
    tree = ast.parse("1")
    node: ast.expr = ast.Constant(1)
    for _ in range(100_000):
        node = ast.Await(node)
    tree.body = [ast.Expr(node)]
    deep = "eval(" * 3 + repr("x") + ")" * 3

    assert isinstance(scan(tree, World()), list)
    assert find(deep) != []


def test_a_tree_that_is_bent_is_a_finding() -> None:
    tree = ast.parse("from os import path")
    tree.body[0].names = None  # type: ignore[attr-defined]  # as a bad transformer leaves it

    assert [found.kind for found in scan(tree, World())] == [Kind.CODE]


def test_a_namespace_that_raises_makes_the_cell_risky() -> None:
    def resolve(name: str) -> str:
        raise RuntimeError(name)

    assert [f.kind for f in scan(ast.parse("x"), World(resolve=resolve))] == [Kind.CODE]
