"""`jupyter flow checkpoints restore NAME`: a new kernel with the variables of a checkpoint.

Called by `checkpoints`. The kernel is handed to a console or to JupyterLab and ends with it; where
there is no terminal it runs on, and its connection file says how to reach it.
"""

import argparse
import platform
import signal
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, Final

from flow_kernel.apps import kernelspec
from flow_kernel.apps.restored_kernel import RestoredKernel, folder_of
from flow_kernel.apps.shelves import shelf_at
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import CheckpointDamaged, MissingExtra, UntrustedCheckpoint, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.plain import counted
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.compatibility import warnings_of
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.versions import installed

HOW: Final = ("console", "lab", "connection_file_only")
_NAMES: Final = 8


def restore(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    """Restore a checkpoint into a new kernel and hand that on.

    Raises:
        NotFound: There is no such checkpoint.
        UntrustedCheckpoint: Somebody else has signed it, and `--trust` was not given.
        CheckpointDamaged: It cannot be restored; no kernel was left behind.
        MissingExtra: JupyterLab, or the console, is not installed.
        FlowError: The kernel did not start.
    """
    shelf = shelf_at(home)
    target = find_near(shelf, options.name)
    how = _how(options, terminal)
    _check(target, shelf, what=options.what, trusts=options.trust)
    warnings = warnings_of(
        target,
        python=platform.python_version(),
        version_of=installed(target.libraries).get,
    )
    if not options.json:
        for warning in warnings:
            terminal.remark(plain(warning))
    if kernelspec.find() is None:
        directory = kernelspec.install(prefix=sys.prefix)
        terminal.remark(plain(f"installed kernel {kernelspec.NAME} in {directory}"))
    kernel = RestoredKernel(
        folder_of(is_for_lab=how == "lab"),
        cwd=terminal.cwd,
        env={**terminal.env, "FLOW_HOME": str(home.root)},
        outlives=how == "connection_file_only",
    )
    try:
        line = f"{target.checkpoint_id} --{options.what}{' --trust' if options.trust else ''}"
        facts = kernel.restore(line)
        _report(options, terminal, target, kernel, facts, how)
        if how == "connection_file_only":
            kernel.leave()
            return 0
        return _hand_on(kernel, how)
    except BaseException:
        kernel.end()
        raise


def _how(options: argparse.Namespace, terminal: Terminal) -> str:
    """Whom the kernel is handed to."""
    asked = [how for how in HOW if getattr(options, how)]
    if len(asked) > 1:
        raise UsageError("--console, --lab and --connection-file-only exclude one another")
    has_console = find_spec("jupyter_console") is not None
    if not asked:
        is_person = terminal.is_tty and sys.stdin.isatty() and not options.json
        return "console" if is_person and has_console else "connection_file_only"
    if asked[0] == "lab" and find_spec("jupyterlab") is None:
        raise MissingExtra("JupyterLab", extra="lab")
    if asked[0] == "console" and not has_console:
        raise UsageError("jupyter console is not installed", hint="pip install jupyter-console")
    return asked[0]


def _check(target: Checkpoint, shelf: Shelf, *, what: str, trusts: bool) -> None:
    """Refuse before a kernel is started."""
    if not (target.is_trusted or trusts):
        raise UntrustedCheckpoint(
            f"checkpoint {target.checkpoint_id} was not signed with your key: restoring it would "
            "run whatever code is in it; nothing was started",
            hint="if you know where it comes from: --trust, or jupyter flow key import FILE",
        )
    trouble = [] if what == "files" else shelf.verify(target)
    if what != "state":
        trouble += shelf.verify_files(target)
    if trouble:
        raise CheckpointDamaged(
            f"checkpoint {target.checkpoint_id}: {trouble[0].said}; nothing was started",
            variables=tuple(name for one in trouble for name in one.variables),
        )


def _report(
    options: argparse.Namespace,
    terminal: Terminal,
    target: Checkpoint,
    kernel: RestoredKernel,
    facts: dict[str, Any],
    how: str,
) -> None:
    if options.json:
        terminal.document(
            {
                "ok": True,
                "connection_file": str(kernel.connection_file),
                "pid": kernel.pid,
                "checkpoint_id": target.checkpoint_id,
                **facts,
            }
        )
        terminal.flush()
        return
    restored, lost = facts.get("restored", []), facts.get("lost", [])
    terminal.print(f"restored {_named(restored)} from checkpoint {plain(target.name)}")
    for left in lost:
        terminal.print(plain(f"not restored: {left['name']} ({left['type']}): {left['reason']}"))
    for recipe in facts.get("recipes", []):
        cells = ", ".join(
            f"[{cell['execution_count']}]"
            if cell["execution_count"] is not None
            else f"record {cell['seq']}"
            for cell in recipe["cells"]
        )
        if cells:
            terminal.print(plain(f"  to rebuild {recipe['name']}: run {cells}"))
    if how == "lab":
        terminal.print("in JupyterLab: Change Kernel, and choose it among the existing ones")
    if how == "connection_file_only":
        terminal.print(plain(f"the kernel runs as process {kernel.pid}; to attach:"))
        terminal.print(plain(f"  jupyter console --existing {kernel.connection_file}"))
        terminal.print(f"to end it: kill {kernel.pid}")
    terminal.flush()


def _named(names: list[str]) -> str:
    shown = [plain(name) for name in names[:_NAMES]]
    if len(names) > _NAMES:
        shown.append(f"… {len(names) - _NAMES} more")
    count = counted(len(names), "variable")
    return f"{count} ({', '.join(shown)})" if shown else "no variable"


def _hand_on(kernel: RestoredKernel, how: str) -> int:
    """Wait for the program that has the kernel now; the kernel ends with it."""
    if how == "console":
        command = [
            *(sys.executable, "-m", "jupyter_console"),
            *("--existing", str(kernel.connection_file)),
        ]
    else:
        folder = kernel.connection_file.parent
        command = [
            *(sys.executable, "-m", "jupyterlab", "--ServerApp.allow_external_kernels=True"),
            f"--ServerApp.external_connection_dir={folder}",
        ]
    with subprocess.Popen(command) as program:  # noqa: S603 - our own words, no shell
        # Ctrl-C comes to both of us. The program knows what it means there; a console cannot
        # interrupt a kernel that it has not started, so we do.
        signal.signal(signal.SIGINT, lambda *_: kernel.interrupt() if how == "console" else None)
        try:
            code = program.wait()
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            kernel.end()
    return 0 if code == 0 else 1
