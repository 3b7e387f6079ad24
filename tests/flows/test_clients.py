"""The front ends that people use: their requests are answered, and their cells leave records."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar, Final

import jupyter_kernel_test
import nbclient
import nbformat
import pexpect
import pytest
from jupyter_client.manager import start_new_kernel

from tests.environments import environment
from tests.kernels import DEADLINE_S, FLOW, Kernel
from tests.logs import TaskLogs
from tests.promises import promise

_PROBE: Final = (
    "import os as _VSCODE_os; _VSCODE_cwd = _VSCODE_os.getcwd(); print(_VSCODE_cwd); del _VSCODE_os"
)


@promise("clients.conformance")
class TestConformance(jupyter_kernel_test.KernelTests):
    """The suite that Jupyter offers to kernels.

    Ranges of the history are left out: ipykernel numbers the current session 0, the suite does not.
    """

    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples: ClassVar = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples: ClassVar = [
        "1",
        "print('hello, world')",
        "def f(x):\n  return x*2\n\n\n",
    ]
    incomplete_code_samples: ClassVar = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples: ClassVar = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result: ClassVar = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    ]
    code_display_data: ClassVar = [
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
        {
            "code": "from IPython.display import Math, display; display(Math('\\frac{1}{2}'))",
            "mime": "text/latex",
        },
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"
    root: Path
    more_env: ClassVar[dict[str, str]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.root = Path(tempfile.mkdtemp(prefix="fk"))
        env = environment(
            {"IPYTHONDIR": str(cls.root / "ipython"), "FLOW_HOME": str(cls.root / "home")}
            | cls.more_env
        )
        cls.km, cls.kc = start_new_kernel(kernel_name=FLOW, env=env, cwd=str(cls.root))

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        shutil.rmtree(cls.root)


@promise("clients.conformance", "isolated.relay")
class TestConformanceOfWorkers(TestConformance):
    """The same suite with every cell isolated."""

    more_env: ClassVar[dict[str, str]] = {"USE_SUBPROCESS_WORKER": "1"}


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskLogs:
    """The home of kernels that a client starts by itself."""
    env = environment(
        {"IPYTHONDIR": str(tmp_path / "ipython"), "FLOW_HOME": str(tmp_path / "home")}
    )
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return TaskLogs(tmp_path / "home")


@promise("clients.notebooks")
def test_the_requests_of_jupyterlab_leave_records_under_their_cell_ids(flow: Kernel) -> None:
    notebook = {"a1": "import math\nr = 2", "b2": "math.pi * r", "c3": "raise ValueError('red')"}
    count = len(flow.logs.records("cell"))

    runs = {
        cell_id: flow.run(
            code, cell_id=cell_id, metadata={"tags": ["x"], "editable": True, "trusted": True}
        )
        for cell_id, code in notebook.items()
    }

    records = flow.logs.records("cell")[count:]
    assert [(r["cell_id"], r["code"]) for r in records] == [*notebook.items()]
    assert [r["status"] for r in records] == ["ok", "ok", "error"]
    assert [r["seq"] for r in records] == [ran.seq for ran in runs.values()]
    assert (runs["b2"].result, records[1]["result"]) == ("6.283185307179586", "6.283185307179586")


@promise("clients.notebooks", "record.hidden")
def test_the_hidden_requests_of_vs_code_are_no_cells(flow: Kernel) -> None:
    cell_id = "vscode-notebook-cell:/home/me/a%20b.ipynb#W0sZmlsZQ%3D%3D"
    flow.run("x = 1")
    count = len(flow.logs.records())

    flow.run(_PROBE, store_history=False)
    ran = flow.run("y = 2\ny", metadata={"cellId": cell_id}, stop_on_error=False, allow_stdin=True)
    for _ in range(3):
        flow.run(_PROBE, store_history=False)
    failed = flow.run("1/0", metadata={"cellId": cell_id}, stop_on_error=False)

    records = flow.logs.records()[count:]
    assert [(r["kind"], r.get("count")) for r in records] == [
        ("hidden", 1),
        ("cell_started", None),
        ("cell", None),
        ("hidden", 3),
        ("cell_started", None),
        ("cell", None),
    ]
    assert (records[2]["cell_id"], records[2]["added_vars"], ran.result) == (cell_id, ["y"], "2")
    assert (records[5]["status"], failed.status) == ("error", "error")


@promise("clients.notebooks")
def test_variables_of_vs_code_are_no_variables_of_the_user(flow: Kernel) -> None:
    flow.run("def __VSCODE_helper(): pass\n_VSCODE_x = __vsc_y = 1", store_history=False)

    ran = flow.run("_VSCODE_z = 1; mine = 2")

    assert ran.flow["added_vars"] == ["mine"]


@promise("clients.notebooks")
def test_nbclient_runs_a_notebook_and_its_cells_are_recorded(own_home: TaskLogs) -> None:
    sources = ["x = [1]", "x.append(2)\nprint(x)", "await __import__('asyncio').sleep(0)\nlen(x)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])

    nbclient.NotebookClient(notebook, kernel_name=FLOW, timeout=DEADLINE_S).execute()

    assert [
        [o.get("text") or o["data"]["text/plain"] for o in c.outputs] for c in notebook.cells
    ] == [
        [],
        ["[1, 2]\n"],
        ["2"],
    ]
    records = own_home.records("cell")
    assert [r["code"] for r in records] == sources
    assert [(r["stdout"], r["result"]) for r in records] == [
        ("", None),
        ("[1, 2]\n", None),
        ("", "2"),
    ]
    assert own_home.records("death") == []


@promise("clients.notebooks")
def test_nbclient_stops_at_an_error_and_both_cells_are_recorded(own_home: TaskLogs) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(s) for s in ("ok = 1", "1/0", "never = 1")]
    )

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        nbclient.NotebookClient(notebook, kernel_name=FLOW, timeout=DEADLINE_S).execute()

    assert [(r["code"], r["status"]) for r in own_home.records("cell")] == [
        ("ok = 1", "ok"),
        ("1/0", "error"),
    ]


@promise("clients.terminal")
def test_jupyter_console_shows_results_and_leaves_records(own_home: TaskLogs) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter_console", "--kernel", FLOW, "--simple-prompt"],
        env=environment(
            {
                "TERM": "dumb",
                "FLOW_HOME": str(own_home.home),
                "IPYTHONDIR": str(own_home.home.parent / "ipython"),
            }
        ),
        encoding="utf-8",
        timeout=DEADLINE_S,
    )
    try:
        child.expect(r"In \[1\]:")
        child.sendline("6 * 7")
        child.expect(r"Out\[1\]: .*42")
        child.expect(r"In \[2\]:")
        child.sendline("print('sum', 1 + 1)")
        child.expect("sum 2")
        child.expect(r"In \[3\]:")
        child.sendline("exit")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)

    records = own_home.records("cell")
    assert [(r["code"], r["result"], r["stdout"]) for r in records[:2]] == [
        ("6 * 7", "42", ""),
        ("print('sum', 1 + 1)", None, "sum 2\n"),
    ]
