"""`jupyter flow checkpoints`: what the time machine holds, from outside.

Called by `cli`. Only `restore` loads a saved value, and that in a new kernel: what the others show
comes from signed JSON and hashes.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from flow_kernel.apps.shelves import files_at, print_card, shelf_at
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.tables import Cell, Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.plain import counted, human_bytes
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.files_text import left_files
from flow_kernel.session.checkpoints.last_place import last_place
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.session.checkpoints.pruning import prune
from flow_kernel.session.checkpoints.rebuilding import recipes_for
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.surroundings import DEFAULT_KEEP
from flow_kernel.session.checkpoints.tree import Node, tree
from flow_kernel.session.checkpoints.tree_page import tree_page
from flow_kernel.session.checkpoints.tree_text import (
    ASCII,
    TREE_ROWS,
    UNICODE,
    TreeLine,
    lines_of,
    remarks_of,
    taken_at,
)
from flow_kernel.shell.views.checkpoint_display import CheckpointPage

_COLUMNS: Final = (
    Column(title="taken (UTC)"),
    Column(title="name", share=2, floor=10),
    Column(title="id"),
    Column(title="variables", align=">"),
    Column(title="new", align=">"),
    Column(title="", share=1, floor=12),
)
_TREE_COLUMNS: Final = (
    Column(title=""),
    Column(title="name", share=2, floor=12),
    Column(title="id"),
    Column(title="taken (UTC)"),
    Column(title="new", align=">"),
    Column(title="what changed", share=3, floor=14),
)
_PAGE_ROWS: Final = 300


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `checkpoints`."""
    add = parser.add_argument
    add("action", nargs="?", default="list", choices=_ACTIONS, help=", ".join(_ACTIONS))
    add("name", nargs="?", metavar="NAME", help="for show, verify and restore: a name or id")
    add("--limit", type=int, metavar="N", help="for list and tree: how many, 0 for all")
    add("--html", metavar="FILE", help="for tree: a page with the picture and what they hold")
    add("--keep", type=int, default=DEFAULT_KEEP, metavar="N", help="for prune: the newest N")
    add("--yes", action="store_true", help="for prune: do it")
    add(
        "--trust",
        action="store_true",
        help="for restore: also one that is not signed with your key; it can run any code",
    )
    what = parser.add_mutually_exclusive_group()
    for name, text in (
        ("state", "variables alone, the default"),
        ("files", "files alone"),
        ("all", "both"),
    ):
        option = f"--{name}"
        what.add_argument(
            option, dest="what", action="store_const", const=name, help=f"for restore: {text}"
        )
    parser.set_defaults(what="state")
    add("--console", action="store_true", help="for restore: open jupyter console, the default")
    add("--lab", action="store_true", help="for restore: start JupyterLab with the kernel in it")
    add(
        "--connection-file-only",
        action="store_true",
        help="for restore: leave the kernel running and say how to attach",
    )
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow checkpoints show clean"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show checkpoints, verify, restore or delete them."""
    home = find_home(terminal, options.home)
    return _ACTIONS[options.action](options, terminal, home)


def _list(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    shelf = shelf_at(home)
    known = shelf.all()
    if options.json:
        terminal.document({"items": [one.item() for one in known], "next": None})
    elif known:
        limit = _limit(options, TREE_ROWS)
        shown = known[-limit:] if limit else known
        print_table(_COLUMNS, [_row(one) for one in shown], terminal)
        if len(shown) < len(known):
            left = len(known) - len(shown)
            older = counted(left, "older one is", "older ones are")
            terminal.print(f"{older} not shown; to see all: --limit 0")
    else:
        terminal.print("no checkpoints yet")
    return _damaged(shelf)


def _row(one: Checkpoint) -> list[Cell]:
    return [
        taken_at(one),
        plain(one.name),
        one.checkpoint_id,
        str(one.variable_count),
        human_bytes(one.bytes_new),
        [Painted(plain(", ".join(remarks_of(one))), "" if one.is_trusted else "yellow")],
    ]


def _tree(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    shelf = shelf_at(home)
    known = shelf.all()
    here = last_place(home, known)
    if options.html:
        title = f"Checkpoints of {home.root.parent}"
        page = tree_page(tree(known, here=here, limit=_limit(options, _PAGE_ROWS)), title=title)
        (terminal.cwd / options.html).write_text(page, encoding="utf-8", errors="replace")
    if options.json:
        terminal.document(
            {"items": [_item(row) for row in tree(known, here=here).rows if isinstance(row, Node)],
             "next": None}
        )  # fmt: skip
    elif options.html:
        terminal.print(plain(f"wrote {options.html}"))
    elif known:
        found = tree(known, here=here, limit=_limit(options, TREE_ROWS))
        glyphs = UNICODE if terminal.has_unicode else ASCII
        rows = [_tree_row(line) for line in lines_of(found, glyphs=glyphs)]
        print_table(_TREE_COLUMNS, rows, terminal)
    else:
        terminal.print("no checkpoints yet")
    return _damaged(shelf)


def _tree_row(line: TreeLine) -> list[Cell]:
    style = "bold" if line.is_here else "" if line.taken else "dim"
    return [
        [Painted(line.lanes, "cyan")],
        [Painted(line.name, style)],
        line.checkpoint_id,
        line.taken[5:],
        line.size,
        line.changes,
    ]


def _item(node: Node) -> dict[str, object]:
    change = node.change
    return {
        **node.checkpoint.item(),
        "is_here": node.is_here,
        "is_cut": node.is_cut,
        "change": None
        if change is None
        else {
            "added": [*change.added],
            "changed": [*change.changed],
            "removed": [*change.removed],
            "has_files": change.has_files,
        },
    }


def _show(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    one = find_near(shelf_at(home), _named(options))
    recipes = recipes_for(home, one, [left.name for left in one.not_saved])
    if options.json:
        terminal.document(
            {
                **one.item(),
                "variables": dict(one.variables),
                "is_trusted": one.is_trusted,
                "left_out": left_files(one),
                "recipes": [recipe.document() for recipe in recipes],
            }
        )
        return 0
    print_card(CheckpointPage(one, recipes), terminal)
    return 0


def _verify(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    shelf = shelf_at(home)
    chosen = [find_near(shelf, options.name)] if options.name else shelf.all()
    trouble = [
        one
        for checkpoint in chosen
        for one in (*shelf.verify(checkpoint), *shelf.verify_files(checkpoint))
    ]
    manifests = {} if options.name else shelf.damaged
    found = [
        *({"checkpoint_id": t.checkpoint_id, "variables": [*t.variables], "reason": t.reason}
          for t in trouble),
        *({"checkpoint_id": i, "variables": [], "reason": f"its manifest {why}"}
          for i, why in manifests.items()),
    ]  # fmt: skip
    if options.json:
        terminal.document({"ok": not found, "checkpoints": len(chosen), "damaged": found})
    else:
        for one in found:
            names = ", ".join(map(str, one["variables"]))
            told = f"{names}: {one['reason']}" if names else str(one["reason"])
            terminal.print(plain(f"{one['checkpoint_id']}: {told}"))
        count = counted(len(chosen), "checkpoint")
        terminal.print(f"{count} verified, {len(found)} damaged")
    return 1 if found else 0


def _prune(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    if options.keep < 1:
        raise UsageError("--keep takes a number from 1 on")
    shelf = shelf_at(home)
    gone = shelf.all()[: -options.keep]
    if not options.yes:
        raise UsageError(
            f"{counted(len(gone), 'checkpoint')} would be deleted", hint="to do it: --yes"
        )
    pruned = prune(shelf, keep=options.keep, files=files_at(home, terminal).git_or_none())
    facts = {"checkpoints": pruned.checkpoints, "bytes_freed": pruned.bytes_freed}
    if options.json:
        terminal.document(facts)
    else:
        freed = human_bytes(pruned.bytes_freed)
        terminal.print(f"{counted(pruned.checkpoints, 'checkpoint')} deleted, {freed} freed")
    return 0


def _restore(options: argparse.Namespace, terminal: Terminal, home: Home) -> int:
    # Starts a kernel: 100 ms of imports that the other verbs need not pay.
    from flow_kernel.apps.restore import restore

    options.name = _named(options)
    return restore(options, terminal, home)


_ACTIONS: Final[dict[str, Callable[[argparse.Namespace, Terminal, Home], int]]] = {
    "list": _list,
    "tree": _tree,
    "show": _show,
    "verify": _verify,
    "restore": _restore,
    "prune": _prune,
}


def _limit(options: argparse.Namespace, default: int) -> int:
    if options.limit is None:
        return default
    if options.limit < 0:
        raise UsageError("--limit takes a number, or 0 for all")
    return int(options.limit)


def _damaged(shelf: Shelf) -> int:
    for checkpoint_id, why in shelf.damaged.items():
        told = plain(f"checkpoint {checkpoint_id}: its manifest {why}")
        print(f"jupyter flow: {told}", file=sys.stderr)
    return 1 if shelf.damaged else 0


def _named(options: argparse.Namespace) -> str:
    if not options.name:
        raise UsageError("name a checkpoint", hint="see: jupyter flow checkpoints")
    name: str = options.name
    return name
