"""The documentation is true: everything there is stands in README, and what stands there works."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from flow_kernel.apps import cli
from flow_kernel.settings import JournalSettings, RecorderSettings
from flow_kernel.shell.isolated.pool_config import WorkerPool
from flow_kernel.shell.kernel import FlowKernel
from flow_kernel.shell.magics import flow_magics
from tests.environments import environment
from tests.kernels import FLOW, Kernel
from tests.logs import Record, TaskLogs
from tests.source import ROOT, modules, tree

README: Final = (ROOT / "README.md").read_text("utf-8")
PAGES: Final = (
    *("README.md", "CHANGELOG.md", "notebooks/data/README.md"),
    *("docs/control.md", "docs/events.md", "docs/records.md"),
)
CELLS: Final = (
    "import json",
    "rows = [3, 1]; print(json.dumps(rows))",
    "rows.append(4)",
    "rows / 2",
)
"""What ran before the examples of README read the log."""


def _examples() -> Iterator[Any]:
    fences = re.findall(r"^```(sh|python) run\n(.*?)^```$", README, re.M | re.S)
    for language, text in fences:
        program = sys.executable if language == "python" else text.split()[0]
        name = "pandas" if language == "python" else program
        yield pytest.param(language, program, text, id=name)


EXAMPLES: Final = list(_examples())


def test_every_verb_of_the_command_line_is_in_the_readme() -> None:
    assert [verb for verb in _verbs() if f"`jupyter flow {verb}" not in _table_text()] == []


def test_every_option_that_the_readme_names_is_one_of_its_verb() -> None:
    named: dict[str, set[str]] = {}
    for verb, row in _verb_rows():
        named.setdefault(verb, set()).update(re.findall(r"(?<!\w)--[a-z-]+", row))

    known = {verb: _help_of(verb) for verb, options in named.items() if options}
    assert [
        f"{v} {o}" for v, text in known.items() for o in sorted(named[v]) if o not in text
    ] == []


def test_every_verb_of_the_flow_magic_is_in_the_readme() -> None:
    assert [verb for verb in flow_magics._VERBS if f"`%flow {verb}" not in README] == []


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    pytest.importorskip("jupyter_server")
    servers = ("flow_kernel.apps.server.served_home", "flow_kernel.apps.sandbox.extension")
    dashboard, sandbox = (import_module(name) for name in servers)
    settings = {
        f"c.{section.__name__}.{name}": repr(trait.default()).replace("'", '"')
        for section in (
            FlowKernel,
            WorkerPool,
            dashboard.FlowDashboard,
            sandbox.FlowSandboxApp,
        )
        for name, trait in section.class_own_traits(config=True).items()
    }

    told = dict(re.findall(r"^\| `(c\.\w+\.\w+)` \| `([^`]*)` \|", README, re.M))
    assert told == settings


def test_every_environment_variable_that_the_package_reads_is_in_the_readme_and_no_other() -> None:
    read = {
        node.value
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"FLOW_[A-Z_]+", node.value)
    }

    assert set(re.findall(r"`(FLOW_[A-Z_]+)`", README)) == read


def test_the_sizes_that_the_readme_names_are_those_of_the_settings() -> None:
    recorder, journal = RecorderSettings(), JournalSettings()

    assert f"({recorder.stream_chars // 1024} Ki characters)" in README
    assert f"results and tracebacks {recorder.result_chars // 1024} Ki" in README
    assert f"({journal.backlog_bytes // 2**20} MB at most)" in README
    assert f"A file of {journal.rotate_bytes // 2**20} MB is renamed" in README


def test_every_make_target_is_in_the_readme_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):[^=\n]*## ", makefile, re.M))

    assert set(re.findall(r"\bmake ([a-z][a-z-]+)\b", _code_of(README))) == targets


def test_every_field_of_a_cell_record_is_in_the_readme(log: Path) -> None:
    records = [line for line in _records(log) if line["kind"] in ("cell", "cell_started")]
    fields = {name for record in records for name in record}

    assert sorted(name for name in fields if f"`{name}`" not in README) == []


def test_the_field_table_of_the_readme_names_no_field_that_a_cell_record_lacks(log: Path) -> None:
    table = README.split("The fields of a `cell`:")[1].split("\n\n")[1]
    named = {n for row in table.splitlines()[2:] for n in re.findall(r"`(\w+)`", row.split("|")[1])}
    cells = [record for record in _records(log) if record["kind"] == "cell"]

    assert sorted(named - set(cells[0])) == []


@pytest.mark.parametrize(("language", "program", "text"), EXAMPLES)
def test_the_examples_of_the_readme_run_on_a_real_log(
    log: Path, language: str, program: str, text: str
) -> None:
    path = environment({})["PATH"]
    if shutil.which(program, path=path) is None:
        pytest.skip(f"{program} is not installed")
    shell = [program] if language == "python" else ["bash", "-euo", "pipefail"]

    done = subprocess.run(
        [*shell, "-c", text],
        cwd=log,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_the_cells_of_the_readme_run_one_after_the_other_as_they_stand() -> None:
    cells = re.findall(r"^```\n((?:ok = )?%.*?)^```$", README, re.M | re.S)
    with Kernel(FLOW) as kernel:
        ran = [(cell, kernel.run(cell, allow_stdin=True, answers=["yes"])) for cell in cells]

    magics_shown = {word for cell in cells for word in re.findall(r"%\w+", cell)}
    assert magics_shown == {
        *("%load_ext", "%task", "%step", "%approve", "%checkpoint", "%rollback", "%isolated")
    }
    assert [(cell, r.reply) for cell, r in ran if r.reply["status"] != "ok"] == []
    assert ["not planned" in str(r.result) for _, r in ran].count(True) == 0


def test_there_are_examples_for_each_tool_that_the_readme_promises() -> None:
    assert sorted(str(example.id) for example in EXAMPLES) == ["jq", "jupyter", "pandas", "sqlite3"]


def test_the_picture_of_a_recorded_cell_is_shown_once_it_is_there() -> None:
    picture = "docs/recorded-cell.png"

    assert (picture in README) == (ROOT / picture).exists()


@pytest.mark.parametrize("name", ["benchmarks", "peers"])
def test_the_readme_has_a_place_for_each_table_of_numbers(name: str) -> None:
    start, end = README.find(f"<!-- {name}: start -->"), README.find(f"<!-- {name}: end -->")

    assert 0 < start < end


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith("http")]

    broken = [t for t in targets if not (ROOT / page).parent.joinpath(t.split("#")[0]).exists()]
    assert broken == []


def test_folders_and_files_that_the_map_names_exist() -> None:
    named = re.findall(r"`((?:flow_kernel|notebooks|kernelspec|tests)/[\w/.]*)`", README)

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `.flow` holds the log of a small real session."""
    folder = tmp_path_factory.mktemp("readme")
    with Kernel(FLOW, home=folder / ".flow") as kernel:
        for code in CELLS:
            kernel.run(code)
        kernel.shutdown()
    return folder


def _records(log: Path) -> list[Record]:
    return TaskLogs(log / ".flow").records()


def _verbs() -> list[str]:
    return [verb for verbs in cli.GROUPS.values() for verb in verbs]


def _help_of(verb: str) -> str:
    command = [sys.executable, "-m", "flow_kernel.apps.cli", verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _verb_rows() -> Iterator[tuple[str, str]]:
    for row in _table_text().splitlines():
        for verb in re.findall(r"`jupyter flow (\w+)", row)[:1]:
            yield verb, row


def _table_text() -> str:
    return "\n".join(line for line in README.splitlines() if line.startswith("| `jupyter flow"))


def _code_of(text: str) -> str:
    """What stands between backticks, in a line or in a block."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.M | re.S)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])
