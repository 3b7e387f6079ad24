"""What IPython keeps of what cells print: in order, enough, and not everything for ever."""

import json
from typing import Any

import pytest

from tests.kernels import Kernel
from tests.pairs import Pair
from tests.promises import promise

_CELLS = (
    "import sys\nfrom IPython.display import display",
    "print('a'); print('b', file=sys.stderr); print('c')\n'result'",
    "print('before'); display('shown'); print('after')",
    "for n in range(3): print(n)\n1 / 0",
    "await __import__('asyncio').sleep(0)",
    "with __import__('contextlib').redirect_stdout(sys.stderr): print('to stderr')",
)
_KEPT = (
    "{count: [(o.output_type, ''.join(o.bundle['stream'])) if 'stream' in o.bundle else "
    "o.output_type for o in found]\n"
    " for count, found in get_ipython().history_manager.outputs.items()}"
)


def _exported(kernel: Kernel) -> list[Any]:
    """Of each cell what `%notebook` writes, with what a stream said joined."""
    kernel.run("%notebook exported.ipynb")
    document = json.loads((kernel.cwd / "exported.ipynb").read_text("utf-8"))
    return [[_shown(output) for output in cell["outputs"]] for cell in document["cells"]]


def _shown(output: dict[str, Any]) -> Any:
    if output["output_type"] == "stream":
        return output["name"], "".join(output["text"])
    return output["output_type"], output.get("data"), output.get("ename")


@promise("prints.kept")
def test_an_export_holds_what_cells_printed_and_showed_as_in_stock(fresh_pair: Pair) -> None:
    fresh_pair.run(*_CELLS)

    stock, ours = fresh_pair.both(_exported)
    assert ours == stock
    assert ["stream" in str(each) or "stdout" in str(each) for each in ours].count(True) >= 3


@promise("prints.kept")
@pytest.mark.parametrize(
    "cell",
    [
        "%%capture caught\nprint('seen by nobody')",
        "caught.stdout",
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as it: print('x'); display(1)\n"
        "it.stdout, len(it.outputs)",
        "import io, contextlib\nf = io.StringIO()\n"
        "with contextlib.redirect_stdout(f): print('y')\nf.getvalue()",
        "%%capture --no-stderr more\nprint('one'); import sys; print('two', file=sys.stderr); 5",
        "more.stdout, more.stderr, len(more.outputs)",
        "get_ipython().run_cell('print(7)').success",
    ],
)
def test_captures_and_redirections_are_those_of_stock(pair: Pair, cell: str) -> None:
    (stock,), (ours,) = pair.run(cell)

    assert ours.effects() == stock.effects()


@promise("prints.kept")
def test_a_cell_keeps_the_beginning_of_what_it_printed(own: Kernel) -> None:
    ran = own.run("for n in range(1000): print(f'{n:>9999}')")
    sizes = own.run(
        "found = ''.join(get_ipython().history_manager.outputs[1][0].bundle['stream'])\n"
        "len(found), found.split()[:3], found[-24:]"
    )

    assert len(ran.stdout) == 10_000_000
    assert sizes.result == "(262168, ['0', '1', '2'], '\\n[the rest is not kept]\\n')"


@pytest.mark.soak
@promise("prints.kept")
def test_a_cell_that_prints_100_megabytes_keeps_a_quarter_of_one(own: Kernel) -> None:
    own.run("for _ in range(10_000): print('x' * 9999)", timeout=100)

    kept = own.run("sum(map(len, get_ipython().history_manager.outputs[1][0].bundle['stream']))")
    assert int(kept.result or 0) < 270_000


@promise("prints.kept")
def test_all_cells_together_keep_two_million_characters_and_the_newest(own: Kernel) -> None:
    for number in range(20):
        own.run(f"print('{number}' * 200_000)")
    ran = own.run(
        "texts = [''.join(o.bundle['stream']) for found in "
        "get_ipython().history_manager.outputs.values() for o in found]\n"
        "sum(map(len, texts)) < 2_100_000, texts[0], texts[-1][:2], len(texts[-1])"
    )

    assert ran.result == "(True, '[not kept any more]\\n', '19', 262168)"


@promise("prints.kept")
def test_an_interrupted_cell_leaves_no_ear_behind(own: Kernel) -> None:
    ran = own.interrupted(
        "import time\nopen('begun', 'w').close()\nprint('heard')\nwhile True: time.sleep(1)"
    )
    assert ran.reply["ename"] == "KeyboardInterrupt"

    assert own.run("sys = __import__('sys'); len(sys.stdout.hearers)").result == "1"
    assert own.run("print('next')").stdout == "next\n"
