"""What an agent can be told went wrong, and whether the page for agents names it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import flow_kernel
from flow_kernel import errors
from flow_kernel.apps.mcp.cell_run import LEFT, CellRun

_SOURCES = Path(flow_kernel.__file__).parent / "apps" / "mcp"
_README = Path(flow_kernel.__file__).parents[1] / "README.md"


def _of_errors(kind: type[errors.FlowError] = errors.FlowError) -> Iterator[str]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each.__name__
        yield from _of_errors(each)


def _of_sources() -> Iterator[str]:
    """Names that stand in the server itself: `kind="…"` and `{"type": "…"}`."""
    for path in _SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                values = [word.value for word in node.keywords if word.arg == "kind"]
            elif isinstance(node, ast.Dict):
                values = [
                    value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "type"
                ]
            else:
                continue
            for value in values:
                if isinstance(value, ast.Constant) and str(value.value)[:1].isupper():
                    yield str(value.value)


def test_the_page_for_agents_names_every_error_that_a_tool_can_give() -> None:
    lost = CellRun("r" * 16, "run_cell")
    lost.lose("why")
    found = {*_of_errors(), *_of_sources(), lost.loss_kind, LEFT}
    page = _README.read_text(encoding="utf-8").partition("\n## For agents\n")[2]
    section = page.partition("\n## ")[0]

    assert {"NotSent", "Aborted", "OutputLost", "CellTimeout", "KernelDied"} <= found
    assert sorted(name for name in found if f"`{name}`" not in section) == []
