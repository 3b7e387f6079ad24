"""In a real kernel, too, a cell is known by the code that ran."""

import json
from collections.abc import Iterator
from pathlib import Path  # noqa: TC003 - fixtures are looked at when they run

import pytest

from tests.checkpoint_kernels import ran
from tests.forked import ForkedKernel, Zygote
from tests.kernels import Kernel
from tests.promises import promise

WATCH = """
from flow_kernel import current_session as _s
_tracker, _seen = _s().checkpoints.tracker, []
def _watched(look, world, *, _ran=_tracker.ran):
    reach = _ran(look, world)
    _seen.append([sorted(reach.names), reach.is_nothing, reach.everything])
    return reach
_tracker.ran = _watched
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Iterator[Kernel]:
    data: Path = tmp_path_factory.mktemp("data")
    with ForkedKernel(zygote, env={"JUPYTER_DATA_DIR": str(data)}) as kernel:
        kernel.ready()
        ran(kernel, "import numpy as np, pandas as pd; X = np.zeros(9); n = [1]; text = 'a'", WATCH)
        ran(kernel, "df = pd.DataFrame({'x': range(5)})\ndef count(): return len(n)")
        ran(kernel, "%checkpoint --wait")
        yield kernel


def reach(kernel: Kernel, cell: str, *, store_history: bool = True) -> list[object]:
    ran(kernel, "%checkpoint --wait")
    kernel.run(cell, store_history=store_history)
    found: list[list[object]] = json.loads(ran(kernel, "import json; print(json.dumps(_seen))"))
    return found[-1]


@promise("checkpoint.reached")
@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("X[0] = 1", ["X"]),
        ("n.append(2)", ["n"]),
        ("df.loc[0, 'x'] = 9", ["df"]),
        ("df['x'].sample()", ["df"]),
        ("print(count())", ["count", "n"]),
        ("late = X + 1", ["X", "late"]),
        ("again = text.upper()", ["again", "text"]),
    ],
)
def test_a_cell_reaches_what_it_names(kernel: Kernel, cell: str, names: list[str]) -> None:
    assert reach(kernel, cell) == [names, False, None]


@promise("checkpoint.reached")
@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("n.append(2)", ["n"]),
        ("found = [len(n)]", ["found", "n"]),
        ("import math; math.sqrt(2)", ["math"]),
    ],
)
def test_a_request_that_is_no_cell_reaches_what_it_names(
    kernel: Kernel, code: str, names: list[str]
) -> None:
    assert reach(kernel, code, store_history=False) == [names, False, None]


@promise("checkpoint.reached")
@pytest.mark.parametrize(
    "code",
    [
        "def _VSCODE_get(name): print(repr(globals()[name]))\n_VSCODE_get('n')\ndel _VSCODE_get",
        "import json as _VSCODE_json; print(_VSCODE_json.dumps(n)); del _VSCODE_json",
        "_probe = n; _probe.append(3)",
        "1 / 0",
    ],
)
def test_a_request_of_a_tool_that_nobody_can_judge_may_have_changed_everything(
    kernel: Kernel, code: str
) -> None:
    found = reach(kernel, code, store_history=False)
    assert found[2]
    assert "recorded" not in str(found[2])


@promise("checkpoint.reached")
@pytest.mark.parametrize(
    "cell",
    [
        "1 + 1", "print('x')", "# nothing", "'a' * 3", "df['x'].sum()", "text.upper()", "df.head()",
        "print(f'{len(df)} rows, {X.mean():.1f}')",
    ],
)  # fmt: skip
def test_a_cell_that_names_nothing_or_only_looks_changes_nothing(kernel: Kernel, cell: str) -> None:
    assert reach(kernel, cell) == [[], True, None]


@promise("checkpoint.reached")
@pytest.mark.parametrize(
    "cell",
    [
        "%time X[0] = 2",
        "exec('n.append(3)')",
        "import threading; t = threading.Thread(target=count); t.start(); t.join()",
        "getattr(n, 'append')(4)",
        "_",
        "!true",
        "display(n) if input else None",
    ],
)
def test_a_cell_that_nobody_can_judge_may_have_changed_everything(
    kernel: Kernel, cell: str
) -> None:
    assert reach(kernel, cell)[2]
