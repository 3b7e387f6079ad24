"""Reports and the words of tasks in real kernels, and the example of README for them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.kernels import Kernel
from tests.promises import promise
from tests.source import ROOT


@promise("task.report")
def test_finish_gives_the_report_of_what_was_planned_and_done() -> None:
    with Kernel() as kernel:
        kernel.run("%task start Clean --steps load,check --type build")
        kernel.run("%%step load\nopen('a.csv', 'w').write('1')")
        kernel.run("import flow_kernel; s = flow_kernel.current_session(); s.artifact('a.csv')")
        kernel.run("1 / 0 # <b>")
        ask = "s.request_approval('Go <on>?', timeout_s=0.01, on_timeout='approve', park=False)"
        kernel.run(f"_ = {ask}")
        ended = kernel.run("%task finish")
        kernel.run("import flow_kernel; s = flow_kernel.current_session()")
        kernel.run("card = s.start_task('Next') and s.fail('no disk')")
        failed = kernel.run("(card.view.task.status, len(card.report.cells), card.report.failures)")

    assert ended.result is not None
    lines = [line.strip() for line in ended.result.splitlines()]
    assert lines[0].startswith("T-0001 Clean  [done · 1 of 2 steps · ")
    assert lines[1].startswith("build, its cells run in a worker")
    assert [line.split("(")[0].rstrip() for line in lines[2:4]] == ["✓ load", "· check"]
    assert lines[4].startswith("✓ Go <on>?  (approved by timeout")
    assert lines[5].partition("a.csv")[2].startswith("  (1 B · sha256 6b86b273ff34fce1…)")
    assert lines[6] == "4 cells, 1 failed"
    assert lines[7] == "✗ 1 / 0 # <b>  (ZeroDivisionError: division by zero)"
    (html,) = (m["content"]["data"]["text/html"] for m in ended.of("execute_result"))
    assert "Go &lt;on&gt;?" in html
    assert "1 / 0 # &lt;b&gt;" in html
    assert failed.result == "('failed', 0, 0)"


@promise("task.report", "task.alike")
def test_the_magic_writes_the_same_report_as_the_command_line() -> None:
    with Kernel() as kernel:
        kernel.run("%task start Clean --steps load")
        kernel.run("x = 1")
        shown = kernel.run("len(r) if (r := get_ipython().run_line_magic('flow', 'report')) else 0")
        wrote = kernel.run("%flow report --html r.html --json r.json --md 'my r.md'")
        kernel.run("%task finish")
        lost = [kernel.run(f"%flow report {rest}") for rest in ("--task T-0099", "--html no/r")]
        by_magic = [(kernel.cwd / name).read_text("utf-8") for name in ("r.html", "r.json")]
        home = str(kernel.home)
        command = [sys.executable, "-m", "flow_kernel.apps.cli", "report", "--home", home, "--json"]
        by_cli = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        names = {path.name for path in kernel.cwd.iterdir()}

    assert (shown.result, wrote.status) == ("1", "ok")
    assert names == {"r.html", "r.json", "my r.md"}
    (theirs,), (ours,) = by_cli["items"], json.loads(by_magic[1])["items"]
    assert ours["cell_list"] == theirs["cell_list"][: len(ours["cell_list"])]
    assert "x = 1" in by_magic[0]
    assert ["there is no task T-0099" in lost[0].reply["evalue"], lost[1].status] == [True, "error"]
    assert "No such file" in lost[1].reply["evalue"]


@promise("task.words")
def test_the_words_of_the_readme_are_used_in_notebooks_terminals_and_reports(
    tmp_path: Path,
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (example,) = re.findall(r"^```python my_words\n(.*?)^```$", readme, re.M | re.S)
    (tmp_path / "my_words.py").write_text(example, encoding="utf-8")
    chosen = 'c.FlowKernel.formatter = "my_words.Words"\n'
    (tmp_path / "jupyter_flow_config.py").write_text(chosen, encoding="utf-8")
    env = {"PYTHONPATH": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}

    with Kernel(env=env) as kernel:
        started = kernel.run("%task start Clean")
        kernel.run("import flow_kernel; s = flow_kernel.current_session()")
        drawn = kernel.run("with s.step('load') as step: step.progress(1, 2)")
        kernel.run("%flow report --html r.html")
        page = (kernel.cwd / "r.html").read_text("utf-8")
        command = [sys.executable, "-m", "flow_kernel.apps.cli", "task", "T-0001"]
        told = subprocess.run(
            [*command, "--home", str(kernel.home)],
            env={**os.environ, **env},
            capture_output=True,
            check=True,
            text=True,
        )

    assert started.result == "Clean [T-0001]  [doing]"
    (bar,) = (m["content"]["data"] for m in drawn.of("display_data"))
    assert "1 von 2" in bar["text/plain"]
    assert "1 von 2" in bar["text/html"]
    assert '<h1 class="name">Clean [T-0001]</h1>' in page
    assert (told.stdout.splitlines()[0], told.stderr) == ("Clean [T-0001]", "")


@promise("task.words")
def test_words_that_fail_cost_one_sentence_and_no_cell() -> None:
    broken = "import flow_kernel.session.task_text as t\nclass W(t.TaskFormatter):\n"
    with Kernel(arguments=["--FlowKernel.formatter=broken_words.W"]) as kernel:
        text = f"{broken}    def title(self, task): 1 / 0\n"
        (kernel.cwd / "broken_words.py").write_text(text, encoding="utf-8")
        started = kernel.run("%task start Clean")
        after = kernel.run("%task status")

    assert (started.status, started.result) == ("ok", "T-0001 Clean  [doing]")
    assert started.stderr + after.stderr == (
        "flow: formatter W.title raised ZeroDivisionError: division by zero;"
        " the plain text is shown instead\n"
    )
