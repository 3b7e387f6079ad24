"""A walk at random through a session whose cells are judged: each step can be gone back to.

Each cell leaves a checkpoint of what it was thought to have changed; nothing else is saved again.
So a change that was missed, or a value that was taken for another, shows as a wrong digest.
"""

import errno
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.io import capture_output
from traitlets.config import Config

from flow_kernel import current_session
from flow_kernel.session.checkpoints import keeper, service
from tests.contents import digests
from tests.promises import promise

START = (
    "import random, math",
    "import numpy as np",
    "import pandas as pd",
    "a = [1]; b = {'a': a}; n = 0; X = np.arange(200_000.); V = X[::2]; s = 'text'",
    "df = pd.DataFrame({'x': range(50), 'y': list('ab') * 25, 'z': np.zeros(50)}); z = df['z']",
    "F = pd.DataFrame(np.arange(90_000.).reshape(-1, 6), columns=list('uvwxyz')).copy()",
    "I = np.arange(90_000); first = [0]",
    "def grow(): a.append(len(a))",
    "class C:\n    total = 0\n    def add(self): C.total += 1; a.append(0)",
)
CELLS = (
    "a.append(n)",
    "b['k'] = [n]",
    "b['a'] = a",
    "n += 1",
    "X[n] = -1",
    "V[0] = n",
    "X = X + 1; V = X[1:]",
    "df.loc[0, 'x'] = n",
    "df['w'] = df['x'] * 2",
    "df = df.sort_values('x').reset_index(drop=True)",
    "z = df['z']",
    "z.iloc[0] = n",
    "view = df[['x', 'z']]",
    "grow()",
    "c = C()",
    "c.add()",
    "later = lambda: a",
    "later().append(7)",
    "del b",
    "b = {'a': a, 'X': X}",
    "b['X'][0] = 5",
    "t = (a, X)",
    "t[0].append(2)",
    "s = s + 'x'",
    "r = random.random()",
    "m = np.random.rand(3)",
    "print(n)",
    "df['x'].sum()",
    "df.describe()",
    "sorted(a), len(b), X.max(axis=0)",
    "print(df.x.mean(), [v for v in a if v])",
    "q = [X[i:] for i in range(3)]",
    "q[1][0] = n",
    "del a",
    "a = [9]",
    "1 / 0",
    "exec('n = n + 10')",
    "globals()['a'] = [3]",
    "%time a.append(4)",
    "F.iloc[n % 7, 2] = -n",
    "del F['v']",
    "F['v'] = n",
    "F = F.iloc[:, ::-1]",
    "F = F.copy()",
    "F.columns = F.columns[::-1]",
    "I[n % 7] = n",
    "I[-1] = n; F.iloc[-1, 0] = n",
    "I = np.arange(90_000) + n",
    "first[0] = F",
    "first[0] = I",
    "first[0] = 0",
    "it = iter(list(range(5)))",
    "next(it)",
)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("FLOW_HOME", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.HistoryManager.enabled = False
    config.FlowKernel.checkpoint_every_cells = 1
    main = sys.modules["__main__"]
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "flow_kernel")
    yield shell
    shell.run_line_magic("unload_ext", "flow_kernel")
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


SOAK: Final = [pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2)]


@promise("rollback.everywhere", "checkpoint.reached")
@pytest.mark.parametrize("seed", SOAK)
def test_each_step_of_a_walk_at_random_can_be_gone_back_to(shell: Any, seed: int) -> None:
    walk(shell, random.Random(seed), steps=30)


@promise("rollback.everywhere", "checkpoint.reached")
@pytest.mark.parametrize("seed", [0, *SOAK])
def test_what_requests_that_are_no_cells_have_changed_is_kept_as_well(
    shell: Any, seed: int
) -> None:
    walk(shell, random.Random(seed), steps=30 if seed else 15, hidden=2)


@promise("rollback.everywhere")
def test_where_no_fork_is_safe_the_cell_waits_and_all_is_kept(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS, Windows and CUDA are not to be had here: what they answer is put in their place."""
    monkeypatch.setattr(service, "can_fork", lambda: False)
    walk(shell, random.Random(7), steps=15)


@promise("rollback.everywhere")
def test_where_there_can_be_no_more_processes_all_is_kept_as_well(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of processes is none for root, so the refusal is put in its place."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(keeper, "fork", refuse)
    walk(shell, random.Random(8), steps=15)


@promise("rollback.everywhere", "checkpoint.reached")
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_long_walks(shell: Any, seed: int) -> None:
    walk(shell, random.Random(seed), steps=300, hidden=seed % 3)


def walk(shell: Any, dice: random.Random, *, steps: int, hidden: int = 0) -> None:
    session = current_session()
    known: dict[str, str] = {}
    path = []
    for cell in START:
        run(shell, cell)
        session.checkpoints.settle()
    for _ in range(steps):
        if known and dice.random() < 0.2:
            to = dice.choice([*known])
            path.append(f"back to {to}")
            session.rollback(to, what="state")
            assert contents(shell) == known[to], "\n".join(path)
            continue
        for request in dice.choices(CELLS, k=dice.randint(0, hidden)):
            path.append(f"request: {request}")
            run(shell, request, is_cell=False)
        cell = dice.choice(CELLS)
        path.append(cell)
        run(shell, cell)
        session.checkpoints.settle()
        head = session.checkpoints.head_id
        assert head is not None
        found = contents(shell)
        assert known.setdefault(head, found) == found, "\n".join(path)
    late = [
        record["noticed_late"]
        for record in records(Path(os.environ["FLOW_HOME"]))
        if record.get("noticed_late")
    ]
    assert late == []


def run(shell: Any, cell: str, *, is_cell: bool = True) -> None:
    with capture_output():
        shell.run_cell(cell, store_history=is_cell)


def contents(shell: Any) -> str:
    return digests(shell.user_ns, shell.user_ns_hidden)


def records(home: Path) -> list[dict[str, Any]]:
    from tests.logs import TaskLogs

    return TaskLogs(home).records()
