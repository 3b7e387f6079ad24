"""`jupyter flow mcp` where a person has started it, in a real terminal."""

import signal
import sys
from pathlib import Path
from typing import Any

import pexpect
import psutil

from tests.ends import still_alive
from tests.environments import environment
from tests.promises import promise
from tests.sandboxes import wait_for


@promise("mcp.survives")
def test_a_person_is_told_what_it_is_and_ctrl_c_ends_it_with_its_kernel(tmp_path: Path) -> None:
    home = tmp_path / ".flow"
    server: Any = pexpect.spawn(
        sys.executable,
        ["-m", "flow_kernel.apps.cli", "mcp", "--new", "--home", str(home)],
        env=environment({"TERM": "xterm", "IPYTHONDIR": str(tmp_path / "ipython")}),
        dimensions=(24, 160),
        encoding="utf-8",
        timeout=20,
    )
    try:
        server.expect("a client starts it, see jupyter flow mcp --help; Ctrl-C ends it")
        wait_for(lambda: [*home.glob("run/*.lease")])  # its kernel is there
        children = psutil.Process(server.pid).children(recursive=True)
        server.sendintr()
        server.expect(pexpect.EOF)
    finally:
        server.close(force=True)

    assert server.signalstatus == signal.SIGINT
    assert children
    assert still_alive(children, 20) == []
