"""Checkpoints without their values: the list of many, and the files of a large project.

Called by `run.py`.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Result,
    Target,
    alone,
    alternate,
    pairs_of,
    side_by_side,
)

_LIST: Final = Figure(
    name="checkpoint_list_1000",
    title="the list of 1,000 checkpoints, from the disk",
    unit="ms",
    target=Target(at_most=50),
)
_GIT: Final = Figure(
    name="checkpoint_git_10k",
    title="files of a checkpoint: 10,000 in git, 20 changed, 10 new",
    unit="ms",
    target=Target(at_most=45),
)
_SESSION: Final = """
import os, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryAccessor": {"enabled": False}}))
shell.run_cell("%load_ext flow_kernel")
shell.run_cell("import flow_kernel; session = flow_kernel.current_session()")
shell.run_cell("globals().update({f'name{i}': [i] * 20 for i in range(48)})")
for number in range(int(sys.argv[1])):
    shell.run_cell(f"name3[0] = {number}")
    shell.user_ns["session"].checkpoint(f"number {number}", wait=True)
shell.user_ns["session"].close()
"""


def listed(bench: Bench) -> list[Result]:
    """A shelf that knows nothing yet reads, checks and sorts all of them."""
    from flow_kernel.records.home import Home
    from flow_kernel.session.checkpoints.opening import shelf_of

    folder = bench.folder("list")
    home = folder / ".flow"
    count = bench.count(1_000, 5)
    env = _environment(folder, home)
    done = subprocess.run(
        [sys.executable, "-c", _SESSION, str(count)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-800:])
    key = folder / "data" / "flow" / "key"

    def turn() -> float:
        started = time.perf_counter()
        found = [one.item() for one in shelf_of(Home(home), key).all()]
        took = (time.perf_counter() - started) * 1000
        if len(found) != count:
            raise RuntimeError(f"{len(found)} of {count} checkpoints are listed")
        return took

    return [alone(_LIST, [turn() for _ in range(bench.count(7, 1))], note="each of 48 variables")]


def git_snapshot(bench: Bench) -> list[Result]:
    """A snapshot of all files, with the index of the one before it, beside `git stash create`."""
    from flow_kernel.store.git.find import find
    from flow_kernel.store.git.snapshots import GitSnapshots

    top = bench.folder("project")
    files = bench.count(10_000, 50)
    env = _environment(top, top / ".flow")
    _project(top, files, env)
    git = GitSnapshots(
        find(top, env=env, user_home=Path("/nowhere")), bench.folder("private"), owner="bench"
    )
    refs = iter(range(10**6))

    def ours(turn: int) -> float:
        _change(top, files, turn, bench.rng)
        started = time.perf_counter()
        git.take("bench", ref=f"refs/mcp/bench/{next(refs)}-x")
        return (time.perf_counter() - started) * 1000

    def stash(turn: int) -> float:
        _change(top, files, turn, bench.rng)
        started = time.perf_counter()
        _git(top, env, "stash", "create")
        return (time.perf_counter() - started) * 1000

    git.take("bench", ref=f"refs/mcp/bench/{next(refs)}-x")
    taken = alternate(bench.count(9, 1), bench.rng, ours=ours, peer=stash)
    git.close()
    note = "git stash create leaves new files out"
    return [side_by_side(_GIT, pairs_of(taken), peer="git stash create", note=note)]


def _environment(folder: Path, home: Path) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "FLOW_"))},
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "FLOW_HOME": str(home),
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }


def _project(top: Path, files: int, env: Mapping[str, str]) -> None:
    for number in range(files):
        path = top / f"d{number % 100:02}" / f"file{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# file {number}\n" * (1 + number % 40), encoding="utf-8")
    (top / ".gitignore").write_text(".flow/\n", encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        _git(top, env, *command)


def _change(top: Path, files: int, turn: int, rng: random.Random) -> None:
    """20 files changed, 10 new ones."""
    for number in rng.sample(range(files), min(20, files)):
        path = top / f"d{number % 100:02}" / f"file{number}.py"
        path.write_text(f"changed {turn} {rng.random()}\n", encoding="utf-8")
    for number in range(10):
        (top / f"new{number}.txt").write_text(f"{turn} {rng.random()}", encoding="utf-8")


def _git(top: Path, env: Mapping[str, str], *words: str) -> Any:
    return subprocess.run(["git", *words], cwd=top, env=dict(env), check=True, capture_output=True)


BENCHMARKS: Final = (
    Benchmark(name="checkpoint_list_1000", about="the list of 1,000 checkpoints, cold", run=listed),
    Benchmark(
        name="checkpoint_git_10k", about="a snapshot of 10,000 files in git", run=git_snapshot
    ),
)
