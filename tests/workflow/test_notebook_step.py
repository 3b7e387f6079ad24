"""A notebook as a step: parameters in, one JSON object out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FLOW = {"run_id": "R-0001", "step_id": "clean it"}
Ran = subprocess.CompletedProcess[str]


def _notebook(path: Path, *cells: tuple[str, str]) -> Path:
    """Cells are source and tag; a tag may be empty."""
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}},
        "cells": [
            {
                "id": f"c{number}",
                "cell_type": "code",
                "metadata": {"tags": [tag]} if tag else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for number, (source, tag) in enumerate(cells)
        ],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _run(notebook: Path, variables: dict[str, Any], *, home: Path | None = None) -> Ran:
    directory = notebook.parent
    file = directory / "variables.json"
    file.write_text(json.dumps({**variables, "_flow": FLOW}))
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLOW_")}
    if home is not None:
        env["FLOW_HOME"] = str(home)
    module = "flow_kernel.workflow.notebook_step"
    return subprocess.run(
        [sys.executable, "-P", "-m", module, notebook, "--variables-file", file],
        capture_output=True, text=True, cwd=directory, env=env, timeout=50, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("has_home", [True, False])
def test_a_notebook_gets_the_variables_that_it_has_a_place_for_and_says_its_output(
    tmp_path: Path, has_home: bool
) -> None:
    notebook = _notebook(
        tmp_path / "clean.ipynb",
        ("x = 1\ny: int = 2", "parameters"),
        ("import sys\nprint('log of mine', file=sys.stderr)\nprint('{\"printed\": 1}')", ""),
        ("{'total': x + y, 'others': 'other' in globals()}", ""),
    )
    home = tmp_path / "home"
    before = notebook.read_text()

    ran = _run(notebook, {"x": 40, "other": 1}, home=home if has_home else None)

    copy = home / "workflow_runs/R-0001/clean_it.ipynb"
    copy = copy if has_home else tmp_path / "clean.R-0001.clean_it.ran.ipynb"
    assert (ran.returncode, json.loads(ran.stdout)) == (
        0, {"notebook": str(copy), "total": 42, "others": False},
    ), ran.stderr  # fmt: skip
    assert "log of mine" in ran.stderr
    assert json.loads(copy.read_text())["metadata"]["papermill"]["parameters"] == {"x": 40}
    assert notebook.read_text() == before


def test_a_cell_that_fails_ends_the_notebook_with_its_traceback(tmp_path: Path) -> None:
    notebook = _notebook(
        tmp_path / "bad.ipynb", ("def half(x):\n    return 1 / x\nhalf(0)", ""), ("print(1)", "")
    )

    ran = _run(notebook, {})

    assert (ran.returncode, ran.stdout, ran.stderr.splitlines()[-1]) == (
        1, "", "ZeroDivisionError: division by zero",
    )  # fmt: skip
    assert "Traceback (most recent call last):\n  bad.ipynb, cell 1:\n" in ran.stderr
    assert "return 1 / x" in ran.stderr
    assert 'no cell has the tag "parameters"' in ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "is no notebook of format 4"),
        ("{}", "is no notebook of format 4"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_notebook_is_one_sentence(tmp_path: Path, text: str | None, said: str) -> None:
    notebook = tmp_path / "odd.ipynb"
    if text is not None:
        notebook.write_text(text)

    ran = _run(notebook, {})

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert said in ran.stderr
