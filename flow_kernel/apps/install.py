"""`jupyter flow install` and `uninstall`: make the kernel known to Jupyter, and undo that.

Called by `cli`.
"""

import argparse
import sys
from pathlib import Path

from flow_kernel.apps import kernelspec
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of both verbs."""
    add = parser.add_argument
    add("--name", default=kernelspec.NAME, help="what front ends call the kernel by; default: flow")
    if parser.get_default("verb") == "uninstall":
        parser.epilog = "example: jupyter flow uninstall --name flow"
        return
    add("--display-name", default=kernelspec.DISPLAY_NAME, help="what people read in the launcher")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user, in every environment")
    where.add_argument("--sys-prefix", action="store_true", help="for this environment")
    where.add_argument("--prefix", metavar="P", help="under P/share/jupyter/kernels")
    add("--zygote", action="store_true", help="fork kernels of a program from its first: quick")
    parser.epilog = (
        "Without a place: this environment, or the user where there is none. "
        "example: jupyter flow install --user"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Install or remove, and say where."""
    if options.verb == "uninstall":
        directory = kernelspec.uninstall(options.name)
        terminal.print(plain(f"removed kernel {options.name} from {directory}"))
        return 0
    prefix = None
    if options.prefix is not None:
        prefix = str(terminal.cwd / Path(options.prefix).expanduser())
    elif options.sys_prefix or (not options.user and sys.prefix != sys.base_prefix):
        prefix = sys.prefix
    directory = kernelspec.install(
        options.name,
        display_name=options.display_name,
        user=prefix is None,
        prefix=prefix,
        is_forked=options.zygote,
    )
    terminal.print(plain(f"installed kernel {options.name} in {directory}"))
    return 0
