"""`jupyter flow serve`: the dashboard, and the sandbox for programs, on a server of their own.

Called by `cli`. In JupyterLab nothing needs to be started: the same pages are one of its tabs.
"""

import argparse
import os
from importlib.util import find_spec
from typing import Any, Final

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import MissingExtra, UsageError
from flow_kernel.records.home import Home

_PORT: Final = 8899
_EPILOG: Final = """\
Listens on this machine alone, unless jupyter_server_config says otherwise; token, password,
certificates and users are those of Jupyter Server. Ctrl-C ends it.

With --json the first line of stdout is {"url": …, "port": …, "pid": …, "home": …} once the server
can be asked; url has the token, unless you have set one yourself.

example: jupyter flow serve --no-browser
"""
_EXTENSIONS: Final = ("flow_kernel.apps.server", "flow_kernel.apps.sandbox.extension")
_SERVICES: Final = ("auth", "security")
"""All that is needed to let people in; notebooks, files and terminals are not served here."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `serve`."""
    add = parser.add_argument
    add("--port", metavar="N", type=int, default=None, help=f"default: {_PORT}, or the next free")
    add("--no-browser", action="store_true", help="print the address, open nothing")
    add("--json", action="store_true", help="url, port, pid and home as a line; opens nothing")
    add("--home", metavar="DIR", help="default: the .flow of this directory")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until Ctrl-C.

    Raises:
        MissingExtra: Jupyter Server is not installed.
        UsageError: The port is none.
    """
    if find_spec("jupyter_server") is None:
        raise MissingExtra("Jupyter Server", extra="server")
    if options.port is not None and not 0 <= options.port <= 65535:
        raise UsageError(f"a port is a number from 0 to 65535, not {options.port}")
    home = find_home(terminal, options.home)
    server = _server_of(str(home.root), str(terminal.cwd), options)
    url = server.display_url.splitlines()[0].strip()
    # The server would log the address once more, in five lines.
    server.identity_provider.token_generated = False
    # Behind what binds the port, which waits for the loop as well: before, nobody answers there.
    server.io_loop.add_callback(lambda: _tell(terminal, home, server.port, url, options))
    server.start()
    return 0


def _tell(terminal: Terminal, home: Home, port: int, url: str, options: argparse.Namespace) -> None:
    if options.json:
        root = str(home.root)
        terminal.document({"url": url, "port": port, "pid": os.getpid(), "home": root})
    else:
        terminal.print(f"the dashboard of {home.root}")
        terminal.print(f"  {url}")
        terminal.print("Ctrl-C ends it; everything it shows stays where it is.")
    terminal.flush()


def _server_of(home: str, root: str, options: argparse.Namespace) -> Any:
    # Half a second, and an optional extra.
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

    class DashboardServer(ServerApp):
        """Jupyter Server with nothing but what is ours."""

        default_services = _SERVICES  # type: ignore[assignment]  # fewer of them

    # What a config file of the user says wins over these, and what is on the line over both.
    server = DashboardServer(
        config=Config(ServerApp={"port": _PORT, "log_level": "WARN"}),
        jpserver_extensions=dict.fromkeys(_EXTENSIONS, True),
    )
    line = {
        "ServerApp.default_url": "/flow/",
        "ServerApp.root_dir": root,
        "ServerApp.answer_yes": True,
        "ServerApp.open_browser": not (options.no_browser or options.json),
        # As containers do; who knows the token may run code as this user, in the sandbox.
        "ServerApp.allow_root": getattr(os, "geteuid", lambda: 1)() == 0,
        "FlowDashboard.home": home,
    }
    if options.port is not None:
        line["ServerApp.port"] = options.port
    argv = [f"--{name}={value}" for name, value in line.items()]
    server.initialize(argv=argv, find_extensions=False)
    return server
