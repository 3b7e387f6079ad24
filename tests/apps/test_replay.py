"""`jupyter flow replay`: a notebook or a script that tells and does the same again."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.replay_cells import Choice, choose
from flow_kernel.apps.replay_notebook import notebook
from flow_kernel.apps.replay_script import script
from flow_kernel.records.scan import read_records
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog


@pytest.fixture
def log() -> SampleLog:
    """A log in the home of the working directory."""
    return SampleLog(Path(".flow").absolute())


def test_a_notebook_holds_the_cells_in_order_with_their_outputs(cli: Cli, log: SampleLog) -> None:
    log.cell("import os\nprint(1)", cell_id="abc-1", stdout="1\n2\n", stderr="warning\n")
    second = log.cell("40 + 2", result="42", redacted=1)
    log.put("late", msg_id="m2", span_id=second["span_id"], stream="stdout", text="later\n")
    log.failed("1/0")

    done = cli("replay", str(log.path), "--to", "again.ipynb")

    assert (done.code, done.out) == (0, "wrote again.ipynb: 3 cells\n")
    document = _read("again.ipynb")
    header, first, second_cell, third = document["cells"]
    assert header["cell_type"] == "markdown"
    assert "".join(header["source"]).splitlines() == [
        "# Replay of T-0001.jsonl",
        "",
        "3 cells, 2026-03-02T09:30:02.000Z to 2026-03-02T09:30:07.000Z.",
        "Secrets were replaced by `[REDACTED:…]` before the log was written.",
    ]
    assert first == {
        "cell_type": "code",
        "execution_count": 1,
        "id": "abc-1",
        "metadata": {
            "flow": {"session": "a" * 32, "seq": 2, "plan_id": "local", "task_id": "T-0001"}
        },
        "outputs": [
            {"name": "stdout", "output_type": "stream", "text": ["1\n", "2\n"]},
            {"name": "stderr", "output_type": "stream", "text": ["warning\n"]},
        ],
        "source": ["import os\n", "print(1)"],
    }
    assert second_cell["outputs"] == [
        {"name": "stdout", "output_type": "stream", "text": ["later\n"]},
        {
            "data": {"text/plain": ["42"]},
            "execution_count": 2,
            "metadata": {},
            "output_type": "execute_result",
        },
    ]
    assert third["outputs"] == [
        {
            "output_type": "error",
            "ename": "ZeroDivisionError",
            "evalue": "division by zero",
            "traceback": ["tb"],
        }
    ]
    assert third["metadata"]["tags"] == ["raises-exception"]
    assert document["metadata"]["kernelspec"]["name"] == "flow"


def test_nested_hidden_and_never_run_cells_are_left_out_and_counted(
    cli: Cli, log: SampleLog
) -> None:
    outer = log.start("%run a.py")
    log.cell("inner()", parent_span_id=outer["span_id"])
    log.end(outer)
    log.hidden(4)
    log.failed("never()", status="aborted")
    log.cell("orphan()", parent_span_id="of another log")

    done = cli("replay", str(log.path), "--to", "again.ipynb")

    assert done.out == "wrote again.ipynb: 2 cells; left out: 1 nested, 1 never run, 4 hidden\n"
    assert _codes("again.ipynb") == ["%run a.py", "orphan()"]


def test_only_successes_last_versions_and_a_part_can_be_asked_for(cli: Cli, log: SampleLog) -> None:
    log.cell("v1", cell_id="a")
    log.cell("other", cell_id="b")
    log.failed("v2", cell_id="a")
    log.cell("no id")
    log.cell("v3", cell_id="a")

    def codes(*options: str) -> list[str]:
        done = cli("replay", "T-0001", "--to", "x.ipynb", "--force", *options)
        assert done.code == 0
        return _codes("x.ipynb")

    assert codes() == ["v1", "other", "v2", "no id", "v3"]
    assert codes("--only", "success") == ["v1", "other", "no id", "v3"]
    assert codes("--last-version-per-cell") == ["other", "no id", "v3"]
    assert codes("--last-version-per-cell", "--until", "6") == ["other", "v2"]


def test_sessions_follow_each_other_and_one_can_be_picked(cli: Cli, log: SampleLog) -> None:
    other = SampleLog(log.path.parents[2], session="b" * 32)
    log.cell("a1")
    other.cell("b1")
    log.cell("a2")

    cli("replay", str(log.path), "--to", "all.ipynb")
    cli("replay", str(log.path), "--to", "b.ipynb", "--session", "bb")
    until = cli("replay", str(log.path), "--to", "c.ipynb", "--until", "2")

    assert _codes("all.ipynb") == ["a1", "a2", "b1"]
    assert _codes("b.ipynb") == ["b1"]
    assert (until.code, until.err) == (
        2,
        "jupyter flow: there are 2 sessions: aaaaaaaa, bbbbbbbb; pick one with --session\n",
    )


def test_the_cell_that_killed_the_kernel_is_the_last_of_its_session(
    cli: Cli, log: SampleLog
) -> None:
    log.cell("fine()")
    log.death(log.start("os.abort()"))

    cli("replay", str(log.path), "--to", "all.ipynb")
    cli("replay", str(log.path), "--to", "ok.ipynb", "--only", "success")

    assert _codes("all.ipynb") == ["fine()", "os.abort()"]
    assert _read("all.ipynb")["cells"][-1]["outputs"][0]["ename"] == "DeadKernelError"
    assert _codes("ok.ipynb") == ["fine()"]


def test_nothing_is_overwritten_without_force(cli: Cli, log: SampleLog) -> None:
    log.cell("new")
    target = Path("mine.ipynb")
    target.write_text("precious", encoding="utf-8")

    refused = cli("replay", str(log.path), "--to", "mine.ipynb")
    assert (refused.code, refused.err, target.read_text(encoding="utf-8")) == (
        2,
        "jupyter flow: mine.ipynb exists and was left alone; use --force to overwrite it\n",
        "precious",
    )

    assert cli("replay", str(log.path), "--to", "mine.ipynb", "--force").code == 0
    assert _codes("mine.ipynb") == ["new"]
    assert sorted(path.name for path in Path().iterdir()) == [".flow", "mine.ipynb"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_a_log_without_cells_is_said(cli: Cli, log: SampleLog) -> None:
    log.hidden()

    done = cli("replay", str(log.path), "--to", "x.ipynb")

    assert (done.code, done.err) == (2, "jupyter flow: T-0001.jsonl holds no cell to replay\n")
    assert not Path("x.ipynb").exists()


def test_a_script_is_plain_python_that_does_the_same(cli: Cli, log: SampleLog) -> None:
    log.cell("%matplotlib inline\nx = [1, 2]\n!ls\nfor i in x:\n    %time i\n    total = i")
    log.cell('text = """\n%not a magic\n"""')
    log.failed("1/0\n", ename="Zero\nDivision")
    log.cell("await later()")
    log.cell("%%bash\necho '\u2028import os'")
    log.cell("print(total, text.strip())")

    done = cli("replay", str(log.path), "--to", "again.py", "--only", "success")
    whole = cli("replay", str(log.path), "--to", "-", "--as", "script")

    assert done.code == 0
    again = subprocess.run([sys.executable, "again.py"], capture_output=True, check=True)
    assert again.stdout == b"2 %not a magic\n"
    assert whole.lines[5:15] == [
        "# %% [1] 2026-03-02T09:30:02.000Z · 41 ms",
        "# %matplotlib inline",
        "x = [1, 2]",
        "# !ls",
        "for i in x:",
        "    pass  # %time i",
        "    total = i",
        "",
        "# %% [2] 2026-03-02T09:30:04.000Z · 41 ms",
        'text = """',
    ]
    assert "# Raised Zero Division: division by zero" in whole.lines
    assert "# Not plain Python (magics, await or a syntax error):\n# await later()" in whole.out


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=30),
            st.none() | st.text(max_size=70),
            st.none() | st.text(max_size=9),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_record_becomes_a_valid_notebook_and_a_script_that_compiles(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str, str | None, str | None, bool]],
) -> None:
    log = SampleLog(tmp_path_factory.getbasetemp() / "replay")
    log.path.unlink(missing_ok=True)
    for code, cell_id, result, ok in cells:
        run = log.cell if ok else log.failed
        run(code, cell_id=cell_id, result=result, stdout=result or "")
    records = [record for record in read_records([log.path]) if record["kind"] == "cell"]

    replay = choose(records, Choice(), source="x")
    document = nbformat.reads(notebook(replay), as_version=4)

    nbformat.validate(document)
    assert [cell.source for cell in document.cells[1:]] == [r["code"] for r in records]
    compile(script(replay), "again.py", "exec")


def _read(name: str) -> dict[str, Any]:
    text = Path(name).read_text(encoding="utf-8")
    nbformat.validate(nbformat.reads(text, as_version=4))
    document: dict[str, Any] = json.loads(text)
    return document


def _codes(name: str) -> list[str]:
    return ["".join(c["source"]) for c in _read(name)["cells"] if c["cell_type"] == "code"]
