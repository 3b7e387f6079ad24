"""Back and forth through every cell of notebooks: the same variables and the same later cells."""

import ast
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.environments import environment
from tests.forked import ForkedKernel, Zygote
from tests.kernels import Kernel
from tests.programs import programs
from tests.promises import promise
from tests.source import ROOT

_BACK = programs("back")
_DIGESTS = (
    "__import__('tests.contents', fromlist=['*'])"
    ".digests(get_ipython().user_ns, get_ipython().user_ns_hidden)"
)
_COUNTS = ("execution_count", "traceback")
_HOPS = 3
_HOPS_OF_A_SOAK = 12
_RUN = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("checkpoints.ipynb", as_version=4)
NotebookClient(notebook, kernel_name="flow").execute()
nbformat.write(notebook, "done.ipynb")
"""


@pytest.fixture
def kernel(tmp_path: Path, zygote: Zygote) -> Iterator[Kernel]:
    env = {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    with ForkedKernel(zygote, env=env) as kernel:
        shutil.copytree(ROOT / "notebooks/data", kernel.cwd / "data")
        yield kernel.ready()


def code_of(name: str) -> list[str]:
    """The cells of a notebook of ours, or of a program of the tests.

    Without those that ask our own magics, which answer about the log, and without the one whose
    child prints past `sys.stdout`: that arrives when it arrives.
    """
    if name in _BACK:
        return _BACK[name]
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if not cell.startswith("%flow") and "subprocess" not in cell]


def contents(kernel: Kernel) -> dict[str, str]:
    """The digest of each variable; the request is silent, so it leaves the session alone."""
    done = kernel.run("", silent=True, store_history=False, user_expressions={"all": _DIGESTS})
    answer = done.reply["user_expressions"]["all"]
    assert answer["status"] == "ok", answer
    found: dict[str, str] = json.loads(ast.literal_eval(answer["data"]["text/plain"]))
    return found


def outcome(kernel: Kernel, cell: str) -> dict[str, Any]:
    """All that a cell shows, without its number, which counts on after a way back."""
    found = kernel.run(cell).effects()
    shown = [
        (kind, {k: v for k, v in what.items() if k not in _COUNTS}) for kind, what in found["shown"]
    ]
    reply = {k: v for k, v in found["reply"].items() if k not in _COUNTS}
    return {**found, "shown": shown, "reply": reply}


@promise("rollback.everywhere")
# Each hop is the same way back to another cell: many of them are behind `make soak`.
@pytest.mark.parametrize("hops", [_HOPS, pytest.param(_HOPS_OF_A_SOAK, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", ["tour", *_BACK])
def test_back_and_forth_through_every_cell_gives_the_same_variables_and_outputs(
    kernel: Kernel, name: str, hops: int
) -> None:
    cells = code_of(name)
    outcomes, states = [], []
    for number, cell in enumerate(cells):
        outcomes.append(outcome(kernel, cell))
        states.append(contents(kernel))
        assert kernel.run(f"_ = %checkpoint at-{number}").status == "ok"

    dice = random.Random(len(cells) + hops)
    for _ in range(hops):
        at = dice.randrange(len(cells))
        assert kernel.run(f"_ = %rollback at-{at} --state").stderr == ""
        assert contents(kernel) == states[at]
        for number in range(at + 1, min(at + dice.randrange(1, 5), len(cells))):
            assert outcome(kernel, cells[number]) == outcomes[number], cells[number]
            assert contents(kernel) == states[number]


@promise("clients.notebooks", "checkpoint.exact", "checkpoint.named", "rollback.undoable")
def test_the_notebook_of_checkpoints_runs_and_says_what_its_text_says(tmp_path: Path) -> None:
    work = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", work)
    subprocess.run(["git", "init", "-q"], cwd=work, check=True)
    known = {
        "FLOW_HOME": str(tmp_path / "home"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_PATH": str(Path(sys.prefix, "share/jupyter")),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN],
        cwd=work,
        env=environment(known),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

    said = shown(work / "done.ipynb")
    for line in ("+ highest", "~ df ", "~ last_year", "~ notes", "~ ppm"):
        assert line in said["diff"]
    assert said["same"] == "(2225, ['read'], 373.9, True)"
    assert said["undone"] == "(626, ['read', 'cut'])"
    assert "~ filled" in said["compare"]
    assert "notes.txt" in said["file-back"]
    assert said["file-read"] == "'the gaps are in 1958 and 1964\\n'"
    assert "not kept: readings (generator)" in said["keep-stream"]
    assert "not restored: readings (generator)" in said["gone"]
    assert "readings was not restored" in said["touch"]
    assert "all bytes are right" in said["verify"]
    assert not (work / "notes.txt").exists()


def shown(path: Path) -> dict[str, str]:
    """The text that each cell of an executed notebook shows."""
    found = {}
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        texts: list[str] = []
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("evalue") or output["data"]["text/plain"]
            texts.append("".join(text))
        found[cell["id"]] = "".join(texts)
    return found
