"""Fixtures of the tests of the command line: run a verb here, or as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.apps.cli import main
from tests.apps.running import Cli, Done


@pytest.fixture(autouse=True)
def calm_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """UTC, a screen of 100 columns, an empty directory and no setting of the developer's."""
    for name in [name for name in os.environ if name.startswith("FLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter-data"))
    time.tzset()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """The command line, run in this process or in one of its own."""

    def here(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    def apart(*arguments: str, **options: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "flow_kernel.apps.cli", *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},  # type: ignore[call-overload]  # as Popen
        )

    return Cli(here, apart)
