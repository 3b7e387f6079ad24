"""What a worker's process has of the session's: directory, paths, environment, filters, seeds."""

import sys
from pathlib import Path

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(scope="module")
def kernel(kernel: Kernel) -> Kernel:
    ok(kernel, "%%isolated --worker old\nimport os, sys, random, warnings")
    return kernel


@promise("isolated.variables")
@pytest.mark.parametrize("worker", ["--worker old", "--fresh"])
@pytest.mark.parametrize(
    ("change", "look"),
    [
        ("import os; os.makedirs('deep', exist_ok=True); os.chdir('deep')", "os.getcwd()"),
        ("import sys; sys.path.insert(0, '/nowhere')", "sys.path[0]"),
        ("import os; os.environ['SHADE'] = 'blue'", "os.environ.get('SHADE')"),
        ("import os; os.environ.pop('SHADE', None)", "os.environ.get('SHADE')"),
        ("import warnings; warnings.simplefilter('error', UserWarning)", "warnings.filters[0][:3]"),
        ("import random; random.seed(7)", "random.random()"),
        ("import numpy as np; np.random.seed(7)", "float(np.random.random())"),
    ],
)
def test_what_the_session_has_set_holds_in_a_worker(
    kernel: Kernel, change: str, look: str, worker: str
) -> None:
    imports = "import os, sys, random, warnings\n" + (
        "import numpy as np\n" if "np." in look else ""
    )
    ok(kernel, change)
    there = ok(kernel, f"%%isolated {worker}\n{imports}{look}")
    assert there == ok(kernel, f"{imports}{look}")


@promise("isolated.variables")
def test_random_numbers_go_on_in_a_worker_as_they_would_alone(kernel: Kernel) -> None:
    ok(kernel, "import random; random.seed(3)")
    there = [ok(kernel, "%%isolated --worker draws\nimport random; random.random()") for _ in "12"]
    assert there[0] != there[1]
    assert there == [ok(kernel, "random.random()") for _ in "12"]


@promise("isolated.variables")
def test_nobody_who_sets_no_seed_gets_the_same_numbers_twice() -> None:
    with Kernel() as kernel:
        code = "%%isolated --fresh\nimport random; random.random()"
        assert ok(kernel.ready(), code) != ok(kernel, code)


def settings_in(folder: Path, interactivity: str) -> str:
    """A folder for IPython, with a setting or none, and a file that its shells begin with."""
    profile = folder / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "begin.py").write_text(f"begun = {interactivity!r}", "utf-8")
    if interactivity != "last_expr":  # which is that of IPython
        line = f"c.InteractiveShell.ast_node_interactivity = {interactivity!r}"
        (profile / "ipython_config.py").write_text(line, "utf-8")
    return str(folder)


@promise("isolated.variables")
def test_settings_of_ipython_hold_in_a_worker(tmp_path: Path) -> None:
    folders = [settings_in(tmp_path / name, name) for name in ("last_expr", "all", "none")]
    with Kernel(env={"IPYTHONDIR": folders[0]}) as kernel:
        kernel.ready()
        for number, shown in enumerate([["'last_expr'"], ["1", "'all'"], []]):
            ok(kernel, f"import os; os.environ['IPYTHONDIR'] = {folders[number]!r}")
            for _ in range(2):  # one may have been made ready before
                ran = kernel.run("%%isolated --fresh\n1\nbegun")
            results = [m["content"]["data"]["text/plain"] for m in ran.of("execute_result")]
            assert (ran.status, results) == ("ok", shown)


@promise("isolated.variables")
def test_a_worker_that_was_made_ahead_is_where_the_session_is() -> None:
    with Kernel() as kernel:
        ok(kernel.ready(), "%%isolated --fresh\n1")
        ok(kernel, "import os; os.makedirs('deep/home'); os.chdir('deep')")
        ok(kernel, "os.environ['HOME'] = os.path.realpath('home')")
        look = (
            "import os; shell = get_ipython(); home = os.environ['HOME']\n"
            "([str(each) for each in _dh] == [os.getcwd()], shell.starting_dir == os.getcwd(),"
            " shell.home_dir == home, os.environ['PAGER'], shell.last_execution_result,"
            " shell.config is shell.kernel.config is shell.kernel.parent.config)"
        )
        for _ in range(3):  # the next one may have been made ready before
            there = ok(kernel, f"%%isolated --fresh\n{look}")
        assert there == "(True, True, True, 'cat', None, True)"


@promise("isolated.relay", "isolated.kinds")
def test_a_file_that_wraps_the_streams_keeps_no_worker_from_its_start(tmp_path: Path) -> None:
    folder = settings_in(tmp_path, "last_expr")
    (tmp_path / "profile_default" / "startup" / "wrap.py").write_text(
        "import sys\nclass Tee:\n    def __init__(self, to): self.to = to\n"
        "    def write(self, text): return self.to.write(text)\n"
        "    def flush(self): self.to.flush()\nsys.stdout = Tee(sys.stdout)\n",
        "utf-8",
    )
    with Kernel(env={"IPYTHONDIR": folder}) as kernel:
        assert ok(kernel.ready(), "%%isolated\n1 + 1") == "2"


@promise("isolated.relay")
def test_figures_have_the_format_that_the_session_has_set(kernel: Kernel) -> None:
    ok(kernel, "%matplotlib inline\n%config InlineBackend.figure_formats = ['svg']")
    ran = kernel.run(
        "%%isolated --fresh\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    )
    assert ran.status == "ok", ran.error
    assert ["image/svg+xml" in shown for shown in ran.displays] == [True]


@promise("isolated.orphans")
def test_nothing_of_ours_is_in_the_environment_of_a_worker(kernel: Kernel) -> None:
    code = "sorted(name for name in os.environ if name.startswith(('FLOW_', 'USE_SUB', 'JPY_')))"
    found = ok(kernel, f"%%isolated --fresh\nimport os\n{code}")
    assert found == "['FLOW_HOME', 'FLOW_WORKER_TAG']"
