"""`jupyter flow diff`: how two checkpoints differ, from outside.

Called by `cli`. Nothing here loads a saved value: what is shown comes from the manifests.
"""

import argparse

from flow_kernel.apps.shelves import files_at, print_card, shelf_at
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.terminal import Terminal
from flow_kernel.session.checkpoints.checkpoint import differing
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.shell.views.checkpoint_display import DifferenceCard


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `diff`."""
    parser.add_argument("before", metavar="A", help="a checkpoint: its name or id")
    parser.add_argument("after", metavar="B", help="another one")
    parser.add_argument("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow diff clean trained --json"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show what two checkpoints hold that is not the same.

    Raises:
        NotFound: There is no such checkpoint.
    """
    home = find_home(terminal, options.home)
    shelf = shelf_at(home)
    before, after = find_near(shelf, options.before), find_near(shelf, options.after)
    files = files_at(home, terminal).difference(before, after)
    card = DifferenceCard(before, after, differing(before, after, files))
    if options.json:
        terminal.document(card.document())
    else:
        print_card(card, terminal)
    return 0
