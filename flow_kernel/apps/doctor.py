"""`jupyter flow doctor`: is this installation whole? It ends with a cell run on the kernel.

Called by `cli`.
"""

import argparse
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from flow_kernel._version import __version__
from flow_kernel.apps import kernelspec
from flow_kernel.apps.kernel_trial import try_kernel
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.tables import Painter, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import FlowError
from flow_kernel.records.home import Home, network_file_system
from flow_kernel.records.plain import counted
from flow_kernel.session.mirrors import cursor_of, names_of
from flow_kernel.shell.overrides.all_overrides import override_findings
from flow_kernel.shell.taps.selftest import findings

_LEAST_PYTHON: Final = (3, 11)
_BASE: Final[dict[str, tuple[int, ...]]] = {
    "ipykernel": (7, 4),
    "ipython": (9,),
    "jupyter_client": (),
    "traitlets": (),
    "orjson": (),
    "psutil": (),
}
_NAME_COLUMNS: Final = 14
_EXTRAS: Final = ("duckdb", "nbclient", "jupyterlab")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `doctor`."""
    add = parser.add_argument
    add("--json", action="store_true", help="one document for programs")
    add("--home", metavar="DIR", help="the home to look at; default: that of this directory")
    parser.epilog = "example: jupyter flow doctor --json"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Look at everything and print it; 1 when something is wrong."""
    home = find_home(terminal, options.home)
    painter = Painter.of(terminal)
    if not options.json:
        text = f"flow_kernel {__version__}, Python {platform.python_version()}, home {home.root}"
        terminal.print(plain(text))
    checks = []
    for check in _checks(home):
        checks.append(check)
        if not options.json:
            terminal.print(_line(check, painter, is_unicode=terminal.has_unicode))
            terminal.flush()
    ok = all(check.ok for check in checks)
    if options.json:
        terminal.document(
            {
                "ok": ok,
                "version": __version__,
                "python": platform.python_version(),
                "home": str(home.root),
                "checks": [asdict(check) for check in checks],
            }
        )
    elif ok:
        terminal.print(painter.paint("all is well", "green"))
    else:
        bad = sum(not check.ok for check in checks)
        terminal.print(
            painter.paint("1 check failed" if bad == 1 else f"{bad} checks failed", "red")
        )
    return 0 if ok else 1


def _checks(home: Home) -> Iterator[Check]:
    python = tuple(map(int, platform.python_version_tuple()[:2]))
    yield Check(
        name="python",
        ok=python >= _LEAST_PYTHON,
        detail=f"{platform.python_implementation()} {platform.python_version()}",
    )
    yield _home_check(home)
    kind = network_file_system(home.root)
    local = "local" if kind is None else f"{kind}, over the network: each session has its own log"
    yield Check(name="file system", ok=True, detail=local)
    for package, least in _BASE.items():
        yield _package_check(package, least)
    yield from mirror_checks(home)
    yield Check(name="extras", ok=True, detail=", ".join(map(_extra_text, _EXTRAS)))
    for found in (*findings(), *override_findings()):
        yield Check(name=found.name, ok=found.ok, detail=found.detail)
    spec = kernelspec.find()
    if spec is None:
        hint = 'not installed; try "jupyter flow install"'
        yield Check(name="kernelspec", ok=False, detail=hint)
        return
    yield Check(
        name="kernelspec",
        ok=spec.is_ours,
        detail=f"{spec.directory}" + ("" if spec.is_ours else ": starts another kernel"),
    )
    yield _kernel_check()


def _home_check(home: Home) -> Check:
    existing = next(path for path in (home.root, *home.root.parents) if path.exists())
    state = "" if existing == home.root else " (not made yet)"
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check(name="home", ok=True, detail=f"{home.root}{state}")
    return Check(name="home", ok=False, detail=f"{existing} cannot be written")


def mirror_checks(home: Home) -> Iterator[Check]:
    """How far each mirror is that was ever run on a home."""
    for name in names_of(home):
        cursor = cursor_of(home, name)
        detail = f"{counted(cursor.delivered, 'time')} a log was copied"
        if cursor.failures:
            detail = f"{counted(cursor.failures, 'failure')} since, the last one: {cursor.error}"
        yield Check(name=f"mirror {name}", ok=not cursor.failures, detail=detail)


def _package_check(package: str, least: tuple[int, ...]) -> Check:
    try:
        found = version(package)
    except PackageNotFoundError:
        return Check(name=package, ok=False, detail="not installed")
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    ok = numbers >= least
    wanted = "" if ok else f", but {'.'.join(map(str, least))} is needed"
    return Check(name=package, ok=ok, detail=found + wanted)


def _extra_text(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _kernel_check() -> Check:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flow-doctor-") as folder:
        try:
            detail = try_kernel(Path(folder))
        except (FlowError, OSError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            return Check(name="kernel", ok=False, detail=first or type(error).__name__)
    took_s = time.monotonic() - began
    return Check(name="kernel", ok=True, detail=f"{detail}, {took_s:.1f} s with start and stop")


def _line(check: Check, painter: Painter, *, is_unicode: bool) -> str:
    good, bad = ("✓", "✗") if is_unicode else ("+", "x")
    sign = painter.paint(good, "green") if check.ok else painter.paint(bad, "red")
    detail = plain(check.detail)
    if len(check.name) > _NAME_COLUMNS:  # a sentence of the self-tests
        return f"{sign} {check.name}" + ("" if check.ok else f": {detail}")
    return f"{sign} {check.name:<{_NAME_COLUMNS}}  {painter.paint(detail, 'dim' * check.ok)}"
