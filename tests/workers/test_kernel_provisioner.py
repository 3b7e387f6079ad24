"""Which starts of kernels a fork can make, and which are left to a new interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.workers.kernel_provisioner import Start, early, start_of

_CMD = [sys.executable, "-m", "flow_kernel", "-f", "c.json"]


def test_a_plain_start_is_made_by_a_fork(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        options = {"env": {"A": "1"}, "cwd": str(tmp_path), "stdout": out, "stderr": None}

        assert start_of(_CMD, options) == Start(
            argv=["-f", "c.json"], env={"A": "1"}, cwd=str(tmp_path), fds=(out.fileno(), 2)
        )


def test_what_is_not_said_is_as_in_this_process() -> None:
    assert start_of(_CMD, {}) == Start(
        argv=["-f", "c.json"], env=dict(os.environ), cwd=os.getcwd(), fds=(1, 2)
    )


@pytest.mark.parametrize(
    "cmd",
    [
        ["/usr/bin/another-python", *_CMD[1:]],
        [sys.executable, "-X", "dev", *_CMD[1:]],
        [sys.executable, "-m", "ipykernel_launcher", "-f", "c.json"],
        ["nice", *_CMD],
        [],
    ],
)
def test_another_program_is_started_by_a_new_interpreter(cmd: list[str]) -> None:
    assert start_of(cmd, {}) is None


@pytest.mark.parametrize(
    "options",
    [
        {"preexec_fn": os.getpid},
        {"independent": True},
        {"stdin": subprocess.PIPE},
        {"stdout": subprocess.PIPE},
        {"stderr": subprocess.STDOUT},
        {"cwd": "/this/is/no/directory"},
        {"stdout": object()},
    ],
)
def test_an_unusual_start_is_left_to_a_new_interpreter(options: dict[str, Any]) -> None:
    assert start_of(_CMD, options) is None


def test_variables_that_are_read_early_are_those_that_have_to_be_equal() -> None:
    env = {
        "PYTHONHASHSEED": "0",
        "LD_PRELOAD": "x",
        "LC_ALL": "C",
        "JPY_SESSION_NAME": "n",
        "A": "",
    }

    assert early(env) == {"PYTHONHASHSEED": "0", "LD_PRELOAD": "x", "LC_ALL": "C"}
