"""What of the programs is there where Python lacks the modules of Unix, as on Windows.

Nothing here was tried on such a system: the modules are taken away, and its name is given.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.environments import environment

# Other libraries are loaded before, as this system needs them.
AS_WINDOWS: Final = """
import asyncio, importlib, multiprocessing, sqlite3, subprocess, sys
import IPython, ipykernel.kernelapp, ipykernel.zmqshell, jupyter_client.manager, orjson, psutil
sys.platform = "win32"
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
"""
LOADED: Final = """
for name in ("shell.kernel", "shell.extension", "sandbox", "apps.mcp.verb", "apps.repl",
             "apps.run", "apps.serve", "apps.watch", "apps.workers"):
    importlib.import_module(f"flow_kernel.{name}")
"""
WATCHED: Final = """
from flow_kernel.apps.cli import main
sys.stdin.isatty = sys.stdout.isatty = lambda: True
sys.exit(main(["watch", "--home", sys.argv[1]]))
"""


def _ran(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", AS_WINDOWS + program, *arguments],
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_kernel_extension_and_programs_load_without_the_modules_of_unix() -> None:
    done = _ran(LOADED)

    assert (done.returncode, done.stderr) == (0, "")


def test_watch_is_one_look_and_says_so_where_no_key_can_be_read(tmp_path: Path) -> None:
    (tmp_path / ".flow").mkdir()
    done = _ran(WATCHED, str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "no terminal to watch in: this was one look\n")
    assert "nothing happens here yet" in done.stdout
