"""`jupyter flow doctor` and `demo`, with the real kernel."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import nbformat
import pexpect
import pytest

from flow_kernel import __version__
from flow_kernel.apps.kernelspec import find
from tests.apps.running import Cli
from tests.logs import TaskLogs

pytestmark = pytest.mark.skipif(find() is None, reason="the kernelspec is not installed")


def test_doctor_runs_a_cell_and_finds_its_record(cli: Cli) -> None:
    done = cli("doctor", "--json")

    document = done.document
    checks = {check["name"]: check for check in document["checks"]}
    assert [check for check in document["checks"] if not check["ok"]] == []
    assert (done.code, document["ok"], document["version"]) == (0, True, __version__)
    assert document["python"] == ".".join(map(str, sys.version_info[:3]))
    assert document["home"] == str(Path(".flow").absolute())
    assert {"home", "file system", "ipykernel", "kernelspec", "kernel"} <= set(checks)
    assert "found its record" in checks["kernel"]["detail"]
    assert not Path(".flow").exists()


def test_doctor_says_what_is_wrong_with_exit_code_1(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "jupyter-data/kernels/flow"
    broken.mkdir(parents=True)
    spec = {"argv": ["false", "flow_kernel"], "display_name": "x", "language": "python"}
    (broken / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv("FLOW_HOME", "file/below")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")

    done = cli("doctor")

    assert done.code == 1
    failed = [line for line in done.lines if line.startswith("✗")]
    assert [line.split()[1] for line in failed] == ["home", "kernel"]
    assert done.lines[-1] == "2 checks failed"


def test_demo_runs_a_notebook_saves_it_and_shows_its_log(cli: Cli) -> None:
    _notebook("mine.ipynb", "import fractions\nx = 1", "x / 0", "x")

    done = cli("demo", "mine.ipynb", "--out", "result")
    again = cli("demo", "mine.ipynb", "--out", "result")

    rows = [line for line in done.lines if re.match(r"\d\d:", line)]
    assert [row.split(maxsplit=5)[2] for row in rows] == ["✓", "✗", "✓"]
    assert "+x · +fractions" in rows[0]
    sessions = [re.findall(r"session (\w+)", "\n".join(run.lines)) for run in (done, again)]
    assert [len(each) for each in sessions] == [1, 1]
    assert sessions[0] != sessions[1]
    assert f"notebook  {Path('result/mine.ipynb').absolute()}" in done.lines
    assert (done.code, again.code, done.err) == (0, 0, "")
    executed = nbformat.read(Path("result/mine.ipynb"), as_version=4)
    assert executed.cells[2].outputs[0]["data"]["text/plain"] == "1"
    assert executed.metadata.kernelspec.name == "flow"
    assert cli("log", "--home", "result", "--verify").code == 0


def test_demo_stops_at_a_failure_that_was_not_meant_and_still_shows_the_log(cli: Cli) -> None:
    _notebook("mine.ipynb", "x = 1", "boom()", tags=False)

    done = cli("demo", "mine.ipynb")

    assert done.code == 1
    assert done.err == (
        "jupyter flow: a cell of mine.ipynb failed; NameError: name 'boom' is not defined\n"
    )
    assert "NameError: name 'boom' is not defined (line 1)" in done.out
    assert Path("out/mine.ipynb").exists()


def test_demo_tells_on_a_terminal_which_cell_runs() -> None:
    _notebook("mine.ipynb", "x = 1", "\x1b[31mprint(x)", tags=False)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "flow_kernel.apps.cli", "demo", "mine.ipynb"],
        env={**os.environ, "TERM": "xterm"},
        encoding="utf-8",
        timeout=30,
    )
    child.expect_exact("cell 1 of 2  x = 1")
    child.expect_exact("cell 2 of 2  print(x)")
    child.expect(pexpect.EOF)
    child.close()


def test_ctrl_c_ends_demo_with_130_saves_the_notebook_and_leaves_no_kernel(cli: Cli) -> None:
    _notebook("mine.ipynb", "x = 1\nx", "while True: pass", tags=False)

    with cli.apart("demo", "mine.ipynb") as process:
        logs = TaskLogs(Path("out/.flow"))
        logs.wait("cell_started", count=2, timeout=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, b"", b"")
    executed = nbformat.read(Path("out/mine.ipynb"), as_version=4)
    assert executed.cells[0].outputs[0]["data"]["text/plain"] == "1"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.ipynb"], "there is no notebook missing.ipynb"),
        (["notes.txt"], "notes.txt is not a notebook"),
    ],
)
def test_demo_refuses_what_is_no_notebook(cli: Cli, arguments: list[str], sentence: str) -> None:
    Path("notes.txt").write_text("hello", encoding="utf-8")

    done = cli("demo", *arguments)

    assert (done.code, done.err) == (2, f"jupyter flow: {sentence}\n")
    assert not Path("out").exists()


def test_demo_without_nbclient_names_the_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbclient", None)

    done = cli("demo")

    assert (done.code, done.err) == (
        2,
        'jupyter flow: nbclient is not installed; try: pip install "flow_kernel[notebook]"\n',
    )


def test_a_replayed_demo_runs_again(cli: Cli) -> None:
    _notebook("mine.ipynb", "x = 20", "y = x / 0", "%flow status", "x * 2 + 2")
    cli("demo", "mine.ipynb", "--out", "first")

    done = cli("replay", "T-0000", "--home", "first", "--to", "again.ipynb")
    again = cli("demo", "again.ipynb", "--out", "second")

    assert (done.code, again.code) == (0, 0)
    executed = nbformat.read(Path("second/again.ipynb"), as_version=4)
    assert executed.cells[-1].outputs[0]["data"]["text/plain"] == "42"


def _notebook(name: str, *sources: str, tags: bool = True) -> None:
    make = nbformat.v4
    cells = [make.new_code_cell(source) for source in sources]
    if tags:
        for cell in cells:
            cell.metadata["tags"] = ["raises-exception"]
    nbformat.write(make.new_notebook(cells=cells), name)
