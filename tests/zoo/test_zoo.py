"""Values of many classes come back equal in another process, or are refused with a reason.

`make test` takes every fourth line of `animals.txt`, whose libraries the tests have anyway;
`make soak` takes all lines of both books, in `.venvs/zoo`, which it makes at first.
"""

import json
import os
import subprocess
import sys
import venv
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.source import ROOT
from tests.zoo.keeper import animals

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = ROOT / ".venvs" / "zoo"
LIBRARIES: Final = sorted({animal.library for animal in animals()})
AT_HAND: Final = sorted({animal.library for animal in animals(("animals.txt",))})


def visit(python: Path, folder: Path, each: int, *sections: str) -> list[dict[str, str]]:
    """What became of the animals of some sections."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    for verb in ("save", "load"):
        command = [python, HERE / "keeper.py", verb, folder, str(each), *sections]
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def surprises(ends: list[dict[str, str]]) -> list[dict[str, str]]:
    """Those that are neither equal nor refused for the reason in the book."""
    return [
        one
        for one in ends
        if not (
            (one["end"] == "equal" and not one["expected"])
            or (one["end"] == "refused" and one["expected"] and one["expected"] in one["text"])
        )
    ]


@pytest.fixture(scope="module")
def python() -> Path:
    """Of an environment with what `requirements.txt` pins; minutes the first time."""
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    stamp, python = ENVIRONMENT / "installed.txt", ENVIRONMENT / "bin" / "python"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        if not python.exists():
            venv.create(ENVIRONMENT, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        stamp.write_text(wanted, "utf-8")
    return python


def test_a_part_of_the_zoo_comes_back_equal_or_is_refused_with_a_reason(tmp_path: Path) -> None:
    ends = visit(Path(sys.executable), tmp_path, 4, *AT_HAND)
    assert surprises(ends) == []
    assert Counter(one["end"] for one in ends)["equal"] > 30


@pytest.mark.soak
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_zoo_comes_back_equal_or_is_refused_with_a_reason(
    python: Path, tmp_path: Path, library: str
) -> None:
    assert surprises(visit(python, tmp_path, 1, library)) == []


def test_the_zoo_has_200_classes_from_25_libraries() -> None:
    assert len(list(animals())) >= 200
    assert len(LIBRARIES) >= 25
