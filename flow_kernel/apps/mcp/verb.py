"""`jupyter flow mcp`: serves one agent over stdin and stdout.

Called by `cli`.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Final

from flow_kernel.apps.mcp.kernels import Kernels
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import MissingExtra, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.quiet_collector import rest, resume

_EPILOG: Final = """\
A client of the Model Context Protocol starts it; its configuration reads like

  {"mcpServers": {"flow": {"command": "jupyter", "args": ["flow", "mcp"], "cwd": "/my/project"}}}

It works in the kernel of the notebook that was opened last on this home, beside the person, or in
one of its own where none runs. Whatever the agent does is in the log with its name as actor. There
is no tool that approves: questions are answered by people.

example: jupyter flow mcp --kernel analysis.ipynb
"""

_TO_PEOPLE: Final = (
    "this waits for messages of the Model Context Protocol on stdin: a client starts it, "
    "see jupyter flow mcp --help; Ctrl-C ends it"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mcp`."""
    add = parser.add_argument
    add("--kernel", metavar="WORD", help="of this session, pid, notebook or connection file")
    add("--new", action="store_true", help="a kernel of its own, which ends with the server")
    add("--home", metavar="DIR", help="where records go; default: the .flow of this directory")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until stdin ends.

    Raises:
        MissingExtra: The SDK of the protocol is not installed.
        NotFound: No kernel of that name runs.
        UsageError: Two options contradict each other.
    """
    if options.new and options.kernel:
        raise UsageError("--new and --kernel exclude one another")
    home = _home(options.home, terminal)
    env = {key: value for key, value in terminal.env.items() if key != "JPY_SESSION_NAME"}
    if options.home is not None:
        env["FLOW_HOME"] = str(home.root)
    if sys.stdin.isatty():
        terminal.remark(_TO_PEOPLE)
        terminal.flush()
    # The thread that reads stdin cannot be interrupted: by itself Python would wait for a line. A
    # kernel of this server ends once the server is gone, however that came.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    kernels = Kernels(home, env=env, word=options.kernel or "", is_new=options.new)
    with kernels:
        kernels.begin()  # a kernel starts while the SDK is loaded
        try:
            was_on = rest()  # the classes of the SDK are no garbage: a tenth of the time
            from flow_kernel.apps.mcp.serving import serve  # with the SDK: most of a second

            if was_on:
                resume()
        except ImportError as error:
            if (error.name or "").partition(".")[0] in ("mcp", "mcp_types", "anyio", "pydantic"):
                raise MissingExtra("mcp", extra="mcp") from None
            raise
        serve(kernels, terminal)
    return 0


def _home(asked: str | None, terminal: Terminal) -> Home:
    """The home that is asked for, which may be new, or that of the working directory."""
    if asked is not None and not (path := terminal.cwd / Path(asked).expanduser()).exists():
        return Home(path.absolute())
    return find_home(terminal, asked)
