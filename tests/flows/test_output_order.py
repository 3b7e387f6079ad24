"""Random programs on both kernels: nothing of their output is lost, doubled or out of order.

Text of a descriptor or of a forked child has no fixed place among what Python writes: of it all
has to be there, once. All the rest is compared as it is shown, cell by cell. In stock ipykernel the
text of stdout and that of stderr pass each other between two displays; ours keeps them in order,
which is a promise of its own.
"""

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.programs_of_output import Program, program
from tests.promises import promise
from tests.shown_output import (
    by_stream,
    difference,
    elsewhere,
    expected,
    in_order,
    shown,
)

_DEEP = """
import ctypes, os, sys
_read, _byte = ctypes.PyDLL(None).read, ctypes.create_string_buffer(1)  # no other thread goes on
_asked, _ask = os.pipe()
_told, _tell = os.pipe()
_pid = os.fork()
if _pid == 0:
    os.close(_ask)  # it ends with its parent
    _number = 0
    while os.read(_asked, 1) == b"?":
        print(f"<{_number}>", end="", flush=True)
        os.write(_tell, b"!")
        _number += 1
    os._exit(0)
_asks = 0
def _speak(depth):
    global _asks
    if depth > sys.getrecursionlimit() - 150:
        os.write(_ask, b"?"); _read(_told, _byte, 1)
        _asks += 1
        sys.stdout.write("."); sys.stdout.flush()
    _speak(depth + 1)
for _ in range(4):
    try:
        _speak(0)
    except RecursionError:
        pass
os.close(_ask)
_asks, os.waitpid(_pid, 0)[1]
"""
_BATCH = 25
_LATE_S = 5.0
"""Longest wait for text of descriptors and children after the end of all cells."""


@promise("output.complete")
@pytest.mark.parametrize("first", range(0, 100, _BATCH))
def test_output_is_complete_and_in_order(pair: Pair, first: int) -> None:
    _compare(pair, range(first, first + _BATCH))


@pytest.mark.soak
@promise("output.complete")
@pytest.mark.parametrize("first", range(1_000, 2_000, _BATCH))
def test_the_output_of_a_thousand_programs_is_complete(pair: Pair, first: int) -> None:
    _compare(pair, range(first, first + _BATCH))


@promise("output.ordered")
@pytest.mark.parametrize("first", range(0, 100, _BATCH))
def test_both_streams_keep_the_order_of_the_program(flow: Kernel, first: int) -> None:
    flow.run("get_ipython().reset(new_session=True)", silent=True)
    flow.heard.clear()
    programs = [program(seed) for seed in range(first, first + _BATCH)]

    found = [in_order(shown(flow.heard, _collect(flow, _send(flow, each)))) for each in programs]

    problems = [
        f"seed {each.seed}\n{_code(each)}\n{difference(in_order(expected(each)), seen)}"
        for each, seen in zip(programs, found, strict=True)
        if in_order(expected(each)) != seen
    ]
    assert not problems, "\n\n".join(problems)


@promise("output.ordered")
def test_what_waits_when_a_cell_forks_is_shown_once(flow: Kernel) -> None:
    code = (
        "import os, sys\nprint('before', end=' '); print('trouble', end=' ', file=sys.stderr)\n"
        "_c = os.fork()\nif _c == 0:\n    print('child', end=' ', flush=True); os._exit(0)\n"
        "os.waitpid(_c, 0); print('after')"
    )
    flow.iopub.clear()

    ran = flow.run(code)

    assert ran.stdout == "before child after\n"
    assert ran.stderr == "trouble "


@promise("output.ordered")
def test_bytes_of_a_descriptor_that_wait_when_a_cell_forks_are_shown_once(flow: Kernel) -> None:
    code = (
        "import os, sys\nfor _n in range(20):\n    os.write(1, b'%d ' % _n)\n    _c = os.fork()\n"
        "    if _c == 0:\n        print('child', end=' ', flush=True); os._exit(0)\n"
        "    _w = os.waitpid(_c, 0)"
    )
    flow.iopub.clear()

    flow.run(code)
    flow.wait(lambda: flow.stream().count("child") == 20, fail=False, timeout=_LATE_S)

    said = flow.stream()
    assert said.replace("child", " ").split() == [str(n) for n in range(20)]
    assert said.count("child") == 20


@promise("output.complete")
def test_what_a_child_says_to_a_parent_without_stack_is_shown(flow: Kernel) -> None:
    flow.iopub.clear()

    ran = flow.run(_DEEP)
    asks = int((ran.result or "(0").strip("()").split(",")[0])

    assert ran.result == f"({asks}, 0)"
    said = flow.stream().replace(".", "")
    assert said == "".join(f"<{number}>" for number in range(asks))


def _compare(pair: Pair, seeds: range) -> None:
    pair.forget()
    programs = [program(seed) for seed in seeds]
    of_stock, of_flow = [], []
    pair.stock.heard.clear()
    pair.flow.heard.clear()
    for number, each in enumerate(programs):
        if any(each.children.values()):
            # A child of stock says again what had not left its parent.
            _wait(pair, programs[:number])
        begun = [_send(kernel, each) for kernel in (pair.stock, pair.flow)]
        of_stock.append(_collect(pair.stock, begun[0]))
        of_flow.append(_collect(pair.flow, begun[1]))
    problems = [
        f"seed {each.seed}\n{_code(each)}\n{difference(*found)}"
        for each, stock, flow in zip(programs, of_stock, of_flow, strict=True)
        for found in (
            (by_stream(shown(pair.stock.heard, stock)), by_stream(shown(pair.flow.heard, flow))),
            (by_stream(expected(each)), by_stream(shown(pair.flow.heard, flow))),
        )
        if found[0] != found[1]
    ]
    assert not problems, "\n\n".join(problems)
    wanted = _wait(pair, programs)
    assert elsewhere(pair.flow.heard) == wanted
    assert elsewhere(pair.stock.heard) == wanted


def _wait(pair: Pair, programs: list[Program]) -> dict[str, tuple[str, list[str]]]:
    """Text of descriptors and children comes when it comes; returns what has to be there."""
    wanted = {
        stream: (
            "".join(each.outside[stream] for each in programs),
            sorted(word for each in programs for word in each.children[stream]),
        )
        for stream in ("stdout", "stderr")
    }
    for kernel in (pair.stock, pair.flow):
        kernel.wait(lambda k=kernel: elsewhere(k.heard) == wanted, timeout=_LATE_S, fail=False)
    return wanted


def _send(kernel: Kernel, program: Program) -> list[str]:
    return [kernel.send(cell.code, stop_on_error=False) for cell in program.cells]


def _collect(kernel: Kernel, sent: list[str]) -> list[str]:
    for msg_id in sent:
        kernel.collect(msg_id)
    return sent


def _code(program: Program) -> str:
    return "\n# --\n".join(cell.code.split("\n", 3)[-1] for cell in program.cells)
