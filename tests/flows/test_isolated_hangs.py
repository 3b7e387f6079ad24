"""Isolated cells in real kernels that nobody may wait for in vain, and workers that live on."""

import sys
from collections.abc import Iterator

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


@pytest.fixture
def own() -> Iterator[Kernel]:
    """A kernel whose workers nobody else has."""
    with Kernel() as kernel:
        yield kernel.ready()


@promise("isolated.survives")
def test_a_cell_may_have_the_same_code_run_again_and_again(kernel: Kernel) -> None:
    code = "for _ in range(4): get_ipython().run_cell_magic('isolated', '', 'print(1)')"
    assert ok(kernel, code) == "1\n" * 4


@promise("isolated.survives")
def test_code_that_cannot_be_sent_is_an_error_and_its_worker_is_free(kernel: Kernel) -> None:
    ran = kernel.run(r"get_ipython().run_cell_magic('isolated', '', 'print(\'\ud800\')')")
    assert ran.reply["ename"] == "UsageError"
    assert "the cell cannot be sent to a worker" in ran.stderr
    assert ok(kernel, "%%isolated\n1 + 1") == "2"


@promise("isolated.survives")
def test_a_search_path_that_holds_paths_is_told_as_text(own: Kernel) -> None:
    ok(own, "import sys; from pathlib import Path; sys.path.append(Path('/first'))")
    assert ok(own, "%%isolated\nimport sys; sys.path[-1]") == "'/first'"
    ok(own, "sys.path.append(Path('/later'))")
    assert ok(own, "%%isolated\nsys.path[-1]") == "'/later'"


@promise("isolated.survives")
def test_a_directory_that_is_gone_keeps_no_worker_from_starting(own: Kernel) -> None:
    ok(own, "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')")
    assert ok(own, "%%isolated\nprint(4)") == "4\n"
    assert ok(own, "%%isolated --fresh\nprint(5)") == "5\n"
