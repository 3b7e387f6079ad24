"""Test suites of other projects, run against a kernel in an environment of their own.

Called by `tests/flows/test_conformance.py`.

A suite starts `python3`, which a kernelspec first on JUPYTER_PATH makes the kernel under test or
stock ipykernel, in the same environment. Its sources come from PyPI, or from `FLOW_SUITES`: a
folder that holds `ipykernel-7.4.0`, `nbclient-0.11.0` or the like, each with its `tests`.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.environments import environment

SUITES: Final = ("ipykernel", "nbclient")
GIVEN: Final = "FLOW_SUITES"
MODULES: Final = {"flow": "flow_kernel", "python3": "ipykernel_launcher"}
"""How a kernel is started, by the name it has here."""

_ROOT: Final = Path(__file__).parent.parent
_ENVIRONMENTS: Final = _ROOT / ".venvs"
_CACHE: Final = _ENVIRONMENTS / "sources"
_SUITE_S: Final = 1_800
_TEST_S: Final = 100
"""Longest time of one test; that of nbclient has none of its own."""


class NoSuite(LookupError):
    """The sources or the environment of a suite cannot be had; says what was tried."""


def source(name: str) -> Path:
    """The folder with the tests of a project, of the version that is installed here.

    Raises:
        NoSuite: It is neither given nor to be had from PyPI.
    """
    if given := os.environ.get(GIVEN):
        found = sorted(Path(given).glob(f"{name}*/tests"))
        if not found:
            raise NoSuite(f"{GIVEN}={given} has no {name}*/tests")
        return found[-1].parent
    folder = _CACHE / f"{name}-{version(name)}"
    if not (folder / "tests").is_dir():
        _download(name)
    if not (folder / "tests").is_dir():
        raise NoSuite(f"the sdist of {folder.name} has no tests; set {GIVEN} to a checkout")
    return folder


def python() -> Path:
    """The interpreter of the environment in which suites and their kernels run.

    Raises:
        NoSuite: It could not be made.
    """
    packages = f"[*pinned('suites'), 'nbclient=={version('nbclient')}', '-e', {str(_ROOT)!r}]"
    script = f"from peers import pinned, set_up; set_up('suites', {packages})"
    made = subprocess.run(
        [sys.executable, "-c", script],
        cwd=_ROOT / "tests" / "benchmarks",
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise NoSuite(f"no environment for suites: {made.stderr.strip()[-600:]}")
    return _ENVIRONMENTS / "suites" / "bin" / "python"


def passed(name: str, kernel: str, *, only: Sequence[str] = ()) -> dict[str, str]:
    """Run a suite.

    Args:
        name: Whose.
        kernel: What `python3` is: one of MODULES.
        only: Tests to run; by default all.

    Returns:
        Why each test did not pass, by its node id; empty for one that passed.

    Raises:
        NoSuite: It cannot be had, or found no tests.
    """
    where, interpreter = source(name), python()
    with tempfile.TemporaryDirectory(prefix="fc") as tmp:
        folder = Path(tmp)
        # Without its package beside them, the tests import the one that is installed.
        shutil.copytree(where / "tests", folder / "tests")
        shutil.copy(where / "pyproject.toml", folder)
        for spec in ("python", "python3"):
            _write_spec(folder / "jupyter" / "kernels" / spec, kernel)
        report = folder / "report.xml"
        env = {
            "PATH": f"{interpreter.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": None,
            "JUPYTER_PATH": str(folder / "jupyter"),
            "IPYTHONDIR": str(folder / "ipython"),
            "FLOW_HOME": str(folder / "home"),
        }
        done = subprocess.run(
            [
                *(str(interpreter), "-m", "pytest", *(only or ["tests"]), "-q", "--color=no"),
                *("-p", "no:cacheprovider", f"--timeout={_TEST_S}", f"--junitxml={report}"),
                *("-o", "asyncio_default_fixture_loop_scope=function", "-o", "junit_family=xunit1"),
            ],
            cwd=folder,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SUITE_S,
            check=False,
        )
        if not report.exists():
            raise NoSuite(f"the tests of {name} did not run: {done.stdout[-2000:]}")
        return _outcomes(ET.parse(report).getroot())


def _outcomes(report: ET.Element) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    for case in report.iter("testcase"):
        test = _node(case)
        trouble = [each for each in case if each.tag in ("failure", "error", "skipped")]
        why = "; ".join(f"{each.tag}: {each.get('message', '')[:300]}" for each in trouble)
        # A test and its teardown may be two cases: both have to be well.
        outcomes[test] = outcomes.get(test, "") + why
    return outcomes


def _node(case: ET.Element) -> str:
    file = case.get("file", "")
    module = file.removesuffix(".py").replace("/", ".")
    of_class = case.get("classname", "").removeprefix(module).replace(".", "::")
    return f"{file}{of_class}::{case.get('name')}"


def _write_spec(folder: Path, kernel: str) -> None:
    spec = json.loads((_ROOT / "kernelspec" / "kernel.json").read_text(encoding="utf-8"))
    spec["argv"][2] = MODULES[kernel]
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def _download(name: str) -> None:
    _CACHE.mkdir(parents=True, exist_ok=True)
    requirement = f"{name}=={version(name)}"
    # pip asks an sdist for its metadata: with what is here, else it would build builders first.
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-binary", name]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(_CACHE), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoSuite(f"pip download {requirement}: {done.stderr.strip()[-300:]}; or set {GIVEN}")
    for archive in _CACHE.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            tar.extractall(_CACHE, filter="data")
        archive.unlink()
