"""`jupyter flow rollback`: the files of a project as they were at a checkpoint, from outside.

Called by `cli`. Variables belong to a running kernel, which alone can bring them back.
"""

import argparse

from flow_kernel.apps.rollback_session import checkpoints_at
from flow_kernel.apps.shelves import print_card
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.session.checkpoints.rollback import go_back
from flow_kernel.shell.views.checkpoint_display import RollbackCard


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rollback`."""
    add = parser.add_argument
    add("name", metavar="NAME", help="a checkpoint: its name or id")
    add("--files", action="store_true", help="the files of the project alone")
    add("--dry-run", action="store_true", help="only say what would change")
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = (
        "A snapshot of the files as they are now is taken first. Variables are brought back in "
        "the notebook (%%rollback NAME), or in a new kernel (jupyter flow checkpoints restore "
        "NAME). example: jupyter flow rollback clean --files --dry-run"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Make the files as they were.

    Raises:
        UsageError: Variables were asked for, too.
        NotFound: There is no such checkpoint.
        StoreError: It holds no files, or they cannot be brought back; nothing was changed.
    """
    if not options.files:
        raise UsageError(
            "variables belong to a running kernel: run %rollback NAME in the notebook",
            hint="the files alone: --files; a new kernel: jupyter flow checkpoints restore NAME",
        )
    home = find_home(terminal, options.home)
    if not home.root.is_dir():
        raise NotFound(f"there are no checkpoints in {home.root}")
    with checkpoints_at(home, terminal) as checkpoints:
        target = find_near(checkpoints.shelf, options.name)
        back = go_back(checkpoints, target, what="files", dry_run=options.dry_run)
    card = RollbackCard(back, undo="jupyter flow rollback --files")
    if options.json:
        terminal.document({"ok": True, **card.document()})
    else:
        print_card(card, terminal)
    return 0
