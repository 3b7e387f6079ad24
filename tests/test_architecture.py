"""The floors hold: imports point down, files stay small, modules say who calls them."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests.source import PACKAGE, ROOT, imports, modules, own_imports, tree

FLOORS: Final = (
    "errors",
    "settings",
    "records",
    "store",
    "workers",
    "session",
    "workflow",
    "shell",
    "apps",
    "api",
    "legacy",
    "events",
    "workflows",
)
"""From the ground up. `_version` lies below all of them; the package itself is the lazy roof."""

LAZY_ROOFS: Final = (PACKAGE, f"{PACKAGE}.workflow")
"""Name what lies above them for type checkers, and load it when it is asked for."""

KNOWS_IPYTHON: Final = ("shell", "apps", "api", "workers")
IPYTHON_AND_CO: Final = {
    "IPython",
    "ipykernel",
    "jupyter_client",
    "jupyter_core",
    "zmq",
    "tornado",
    "traitlets",
}

LOCAL_IMPORTS: Final[dict[str, str]] = {
    "flow_kernel.__main__": "the working directory leaves the path before anything is loaded",
    "flow_kernel.session.assembly": "a session without tasks and deaths need not load their parts",
    "flow_kernel.session.lazy_beside": "the store, which most sessions need not load",
    "flow_kernel.session.isolation.lazily": "jupyter_client is loaded with the first isolated cell",
    "flow_kernel.session.deferred_redactor": "20 ms that a starting kernel need not pay",
    "flow_kernel.session.history": "5 ms that a starting kernel need not pay",
    "flow_kernel.session.session": "a session without tasks need not load their parts",
    "flow_kernel.shell.magics.approve_magics": "what asks is loaded with the first question",
    "flow_kernel.shell.magics.checkpoint_magics": "the time machine is loaded when it is asked for",
    "flow_kernel.shell.channels.control_channel": "what answers is loaded with the first request",
    "flow_kernel.shell.magics.flow_magics": "the reports are loaded when one is asked for",
    "flow_kernel.shell.panel.buttons": "what shows a question is loaded with the first one",
    "flow_kernel.shell.panel.panels": "the panel is loaded when it is asked for",
    "flow_kernel.shell.magics.task_magics": "the tasks are loaded when one is asked for",
    "flow_kernel.shell.kernel": "most kernels have no worker to ask",
    "flow_kernel.shell.isolated.cell": "what a copy of the session needs is loaded with the first",
    "flow_kernel.shell.isolated.magics": "jupyter_client is loaded with the first isolated cell",
    "flow_kernel.shell.isolated.workers_magics": (
        "what looks at workers is loaded when one is asked for"
    ),
    "flow_kernel.shell.workflows.magics": "what runs workflows is loaded when one is asked for",
    "flow_kernel.shell.worker.checkpoints": "the time machine is loaded when it is asked for",
    "flow_kernel.shell.start.interrupted_runs": "runs of workflows are interrupted seldom",
    "flow_kernel.shell.taps.gate": "a session that asks about no cell need not load the scan",
    "flow_kernel.workers.steps.watch": "most steps are over before they are looked at",
    "flow_kernel.workers.steps.running": "most steps do not die",
    "flow_kernel.workers.steps.leavings": "5 ms that the first step of a run need not wait for",
    "flow_kernel.workflow.registry": "10 ms that only executors of other packages need",
    "flow_kernel.apps.sandbox.server": "what runs tasks is loaded with the first connection",
    "flow_kernel.apps.run": "a run that goes on need not load what reads files of workflows",
    "flow_kernel.apps.checkpoints": "one of its verbs starts a kernel, the others are fast",
    "flow_kernel.apps.mcp.verb": "the SDK of the protocol is an extra, and costs half a second",
    "flow_kernel.apps.mcp.kernels": "a server in a kernel that runs starts none",
    "flow_kernel.apps.mcp.resources": "few agents ask for a report or a checkpoint",
    "flow_kernel.apps.cli": "each verb loads its own module, so `jupyter flow log` starts fast",
    "flow_kernel.apps.server": "a server that only lists its extensions need not load this one",
}
"""Modules that import own modules inside a function, and why."""

TAPS: Final = r"shell\.(taps\.(\w+_tap|guard|stream_tee)|streams\.outstream)"
OFF_THE_CELL_PATH: Final[dict[str, str]] = {
    "flow_kernel.records.home": "paths are made when a session or a task starts",
    "flow_kernel.records.names": "file names are made when a session or a task starts",
}
"""Modules that the recorder imports but does not enter while a cell runs, and why."""

HAS_NO_CALLER: Final = re.compile(r"(^|\.)(_version|__main__)$")
NAMES_A_CALLER: Final = re.compile(
    r"\b([a-z]+ed|built|held|made|read|run)\b[^.]{0,20}\bby\b|^The entry of\b", re.I
)


def test_imports_point_down_the_floors() -> None:
    upward = [
        f"{i.source}:{i.line} imports {i.target}"
        for i in own_imports()
        if i.source not in LAZY_ROOFS and _height(i.target) > _height(i.source)
    ]

    assert upward == []


def test_the_import_contracts_of_the_project_are_kept() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed; `make check` runs it")

    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_only_shell_and_apps_import_ipython_and_its_stack() -> None:
    strangers = [
        f"{i.source}:{i.line} imports {i.target}"
        for i in imports()
        if i.target.split(".")[0] in IPYTHON_AND_CO and _floor(i.source) not in KNOWS_IPYTHON
    ]

    assert strangers == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for found in own_imports():
        # The package's own names for type checkers lead everywhere: it is a lazy roof.
        if found.source not in LAZY_ROOFS and not found.is_for_types:
            graph[found.source].add(found.target)

    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))


def test_own_modules_are_imported_inside_functions_only_where_a_reason_is_given() -> None:
    hidden = {i.source for i in own_imports() if i.is_local}

    assert hidden == set(LOCAL_IMPORTS)


def test_no_file_is_longer_than_400_lines() -> None:
    files = [*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(f.relative_to(ROOT)): len(f.read_text("utf-8").splitlines()) for f in files}

    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_every_module_says_what_it_is_and_who_calls_it() -> None:
    silent = [
        module
        for module, path in modules().items()
        if path.name != "__init__.py"
        and not HAS_NO_CALLER.search(module)
        and not _names_its_caller(module)
    ]

    assert silent == []


def test_every_package_and_entry_point_has_a_docstring() -> None:
    assert [m for m in modules() if not ast.get_docstring(tree(m))] == []


def test_modules_on_the_cell_path_bind_their_own_builtins() -> None:
    path = _cell_path()

    assert [m for m in sorted(path - set(OFF_THE_CELL_PATH)) if not _binds_builtins(m)] == []
    assert sorted(set(OFF_THE_CELL_PATH) - path) == []


def test_nothing_is_left_to_do_and_suppressions_give_their_reason() -> None:
    # Spelled in two parts, so that this file does not find itself.
    marks = {
        "left to do": re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"),
        "bare": re.compile(r"# (noqa|type: ignore)(?!\S*[:\[])"),
        "no reason": re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\])\s*$", re.M),
    }
    found = [
        f"{module}: {what}"
        for module, path in modules().items()
        for what, mark in marks.items()
        if mark.search(path.read_text("utf-8"))
    ]

    assert found == []


def _floor(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _height(module: str) -> int:
    floor = _floor(module)
    if floor == "_version":
        return -1
    return FLOORS.index(floor) if floor in FLOORS else len(FLOORS)


def _names_its_caller(module: str) -> bool:
    _, _, rest = (ast.get_docstring(tree(module)) or "").partition("\n")
    second = rest.strip().split("\n\n")[0]
    return NAMES_A_CALLER.search(second) is not None


def _cell_path() -> set[str]:
    """The recorder, the taps, and what they import from the floors below the shell."""
    taps = {m for m in modules() if re.search(rf"{PACKAGE}\.{TAPS}$", m)}
    todo = {f"{PACKAGE}.session.recorder", *taps}
    found: set[str] = set()
    while todo:
        module = todo.pop()
        found.add(module)
        todo |= {
            i.target
            for i in own_imports()
            if i.source == module
            and not i.is_for_types
            and _floor(i.target) in ("records", "session")
            and i.target != f"{PACKAGE}.records.frozen"
        } - found
    return found


def _binds_builtins(module: str) -> bool:
    """True when the module binds its own builtins before it defines anything."""
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        if ast.unparse(node) == "globals()['__builtins__'] = FROZEN_BUILTINS":
            return True
    return False
