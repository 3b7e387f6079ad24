"""Each step is forked from a process that has imported what it needs, and nothing else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.workers.steps.hosts import Hosts
from flow_kernel.workers.steps.imports import Finder, Imports, named
from flow_kernel.workers.steps.shadows import system_path
from tests.workers.steps.scripts import Steps

_LOADED = "import sys\nprint([name in sys.modules for name in ('csv', 'numpy', 'psutil')])\n"


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    hosts = Hosts(most=2)
    with asyncio.Runner() as runner:
        yield Steps(runner, hosts, tmp_path_factory.mktemp("steps"))
        runner.run(hosts.close())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a, b.c as d\nfrom e.f import g, h", {"a", "b.c", "e.f", "e.f:g", "e.f:h"}),
        ("from . import a\nfrom .b import c\nfrom d import *", {"d"}),
        ("try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c", set("abc")),
        ("if x:\n    with y:\n        import a\nelse:\n    import b", {"a", "b"}),
        ("def f():\n    import a\nclass A:\n    import b", set()),
        ("import a\ndef f(:", set()),
        ("import a\0", set()),
        ("", set()),
    ],
)
def test_the_text_of_a_script_tells_what_it_imports(source: str, names: set[str]) -> None:
    assert named(source) == names


def test_only_the_standard_library_and_installed_packages_are_imported_ahead() -> None:
    finder = Finder(system_path())
    source = "import sys, csv, psutil, tests, flow_kernel, antigravity, no_such_thing"

    assert finder.of(source) == Imports(standard=("csv",), installed=("psutil",))


def test_what_a_step_imports_is_there_before_it_begins(steps: Steps) -> None:
    plain, _ = steps.run(steps.job(_LOADED))
    with_numpy, _ = steps.run(steps.job(f"{_LOADED}import numpy"))
    with_csv, _ = steps.run(steps.job(f"{_LOADED}import csv"))
    again, _ = steps.run(steps.job(_LOADED))

    assert [end.stdout for end in (plain, with_numpy, again)] == [
        b"[False, False, False]\n",
        b"[False, True, False]\n",
        b"[True, False, False]\n",
    ]
    assert with_csv.returncode == 0


def test_a_module_beside_the_script_is_taken_in_the_place_of_one_that_is_loaded(
    steps: Steps,
) -> None:
    (steps.directory / "argparse.py").write_text("VALUE = 1")
    end, said = steps.run(steps.job("import argparse\nprint(argparse.VALUE)"))
    (steps.directory / "argparse.py").unlink()

    assert (end.stdout, said, end.how) == (b"1\n", "", "spawn")
    assert end.how_reason == "a module beside the script is called argparse, as one that is loaded"


def test_a_module_beside_the_script_is_the_one_that_is_there_now(steps: Steps) -> None:
    said = []
    for value in ("one", "other"):  # of another length: a second is one time to the interpreter
        (steps.directory / "mine.py").write_text(f"VALUE = {value!r}")
        end, _ = steps.run(steps.job("import mine\nprint(mine.VALUE)"))
        said.append((end.stdout, end.how))

    assert said == [(b"one\n", "fork"), (b"other\n", "fork")]


def test_numpy_has_its_threads_in_a_step_and_other_numbers_in_each(steps: Steps) -> None:
    source = "import numpy as np, os\na = np.ones((300, 300)); a @ a\nprint(np.random.rand())"

    ends = [steps.run(steps.job(source))[0] for _ in range(3)]

    assert {end.returncode for end in ends} == {0}
    assert {end.how_reason for end in ends} == {""}
    assert len({end.stdout for end in ends}) == 3


def test_a_step_that_was_prepared_for_finds_its_host(tmp_path: Path) -> None:
    async def run() -> tuple[int, bytes, int]:
        hosts = Hosts()
        steps = Steps(asyncio.Runner(), hosts, tmp_path)
        job = steps.job("import psutil, sys\nprint('psutil' in sys.modules)")
        await asyncio.gather(hosts.prepare(job), hosts.prepare(job))
        before = len(hosts._kept)
        end = await hosts.run(job, lambda _data: None)
        after = len(hosts._kept)
        await hosts.close()
        return before, end.stdout, after

    assert asyncio.run(run()) == (1, b"True\n", 1)


def test_a_host_that_is_replaced_ends_when_its_step_has(tmp_path: Path) -> None:
    async def run() -> tuple[bytes, bytes]:
        hosts = Hosts(most=1, spares=0)
        steps = Steps(asyncio.Runner(), hosts, tmp_path)
        begun = asyncio.Event()
        source = "import sys, time\nprint(1, file=sys.stderr)\ntime.sleep(0.3)\nprint('slow')"
        slow = asyncio.ensure_future(hosts.run(steps.job(source), lambda _data: begun.set()))
        await begun.wait()
        other = await hosts.run(steps.job("import psutil\nprint('other')"), lambda _data: None)
        end = await slow
        await hosts.close()
        return end.stdout, other.stdout

    assert asyncio.run(run()) == (b"slow\n", b"other\n")
