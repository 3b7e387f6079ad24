"""What is worked out once in a cell is what would have been worked out twice."""

import pytest
from ipykernel import ipkernel

from flow_kernel.shell.overrides.once import remember_signatures
from tests.kernels import Kernel
from tests.promises import promise

_AT_EACH_LINE = """
import sys
ip = get_ipython()
once = next(each for each in type(ip).__mro__ if 'begin_request' in vars(each))
mine, other = '%time 1', '%time 2'
expected = ip.transform_cell(mine)
code = once.transform_cell.__code__
found = []
for line in sorted({line for *_, line in code.co_lines() if line is not None}):
    ip.begin_request(mine)
    ip.transform_cell(mine)
    def trace(frame, event, _):
        if frame.f_code is not code:
            return None
        if event == 'line' and frame.f_lineno == line:
            sys.settrace(None)
            ip.begin_request(other)  # as a subshell does, in the midst of it
            ip.transform_cell(other)
        return trace
    sys.settrace(trace)
    found.append(ip.transform_cell(mine))
    sys.settrace(None)
print(set(found) == {expected} and len(found) > 5)
"""
"""A subshell begins a request at each line of the look for what was transformed."""


@promise("transparent.session")
def test_a_transformer_is_called_once_a_cell_and_from_the_next_cell_on(flow: Kernel) -> None:
    flow.run(
        "calls = []\n"
        "def count(lines):\n"
        "    calls.append(''.join(lines))\n"
        "    return [line.replace('seven', '7') for line in lines]\n"
        "get_ipython().input_transformers_post.append(count)\n"
        "get_ipython().input_transformers_cleanup.append(lambda lines: lines)"
    )
    try:
        assert flow.run("seven").result == "7"
        assert flow.run("await __import__('asyncio').sleep(0, seven)").result == "7"
        assert flow.run("len(calls)").result == "3"
    finally:
        flow.run("get_ipython().input_transformers_post.remove(count)")
    assert flow.run("seven").reply["ename"] == "NameError"


@promise("transparent.session")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("'await'", "'await'"),
        ("# async\n1", "1"),
        ("import asyncio\nawait asyncio.sleep(0, 2)", "2"),
        ("[x async for x in numbers()]", "[0, 1]"),
        ("async with entered() as x: pass\nx", "3"),
        ("awaiting = 5; awaiting", "5"),
        ("eval('6')", "6"),
    ],
)
def test_cells_that_await_and_those_that_only_say_so_run(
    flow: Kernel, code: str, result: str
) -> None:
    flow.run(
        "import asyncio, contextlib\n"
        "async def numbers():\n    for x in range(2): yield x\n"
        "@contextlib.asynccontextmanager\nasync def entered(): yield 3"
    )

    assert flow.run(code).result == result


@promise("transparent.session")
def test_a_cell_that_runs_its_own_source_again_has_it_transformed_again(flow: Kernel) -> None:
    code = (
        "ip = get_ipython()\n"
        "seen = globals().get('seen', 0) + 1\n"
        "if seen < 3: ip.run_cell(In[-1])\n"
        "seen"
    )

    assert flow.run(code).result == "3"


@promise("transparent.session")
def test_a_transformer_that_raises_is_told_as_in_stock(flow: Kernel) -> None:
    flow.run(
        "def refuse(lines):\n"
        "    if 'refused' in ''.join(lines): raise SyntaxError('no')\n"
        "    return lines\n"
        "get_ipython().input_transformers_post.append(refuse)"
    )
    try:
        assert flow.run("refused = 1").reply["ename"] == "SyntaxError"
        assert flow.run("1").result == "1"
    finally:
        flow.run("get_ipython().input_transformers_post.remove(refuse)")


@promise("transparent.session")
def test_the_source_of_another_shell_is_never_taken_for_ones_own(flow: Kernel) -> None:
    assert flow.run(_AT_EACH_LINE).stdout == "True\n"


def test_signatures_are_looked_up_once_and_are_those_of_each_method() -> None:
    remember_signatures()
    accepts = ipkernel._accepts_parameters

    class One:
        def run(self, cell_id: str) -> None: ...

    class Other:
        def run(self, **options: object) -> None: ...

    names = ["cell_id", "cell_meta"]
    for _ in range(2):
        assert accepts(One().run, names) == {"cell_id": True, "cell_meta": False}
        assert accepts(Other().run, names) == {"cell_id": True, "cell_meta": True}
        assert accepts(lambda cell_meta: None, names) == {"cell_id": False, "cell_meta": True}
