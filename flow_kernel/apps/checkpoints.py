"""`jupyter flow checkpoints` and `jupyter flow diff`: what the time machine holds, from outside.

Called by `cli`. Nothing here loads a saved value: what is shown comes from signed JSON and hashes.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.tables import Cell, Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import StoreError, UsageError
from flow_kernel.records.home import Home
from flow_kernel.records.plain import human_bytes
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, differing
from flow_kernel.session.checkpoints.opening import shelf_of
from flow_kernel.session.checkpoints.pruning import prune
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.surroundings import DEFAULT_KEEP
from flow_kernel.store.git.find import find
from flow_kernel.store.git.rules import NO_CHANGES
from flow_kernel.store.git.snapshots import GitSnapshots

_VERBS: Final = ("list", "show", "verify", "prune")
_COLUMNS: Final = (
    Column(title="taken (UTC)"),
    Column(title="name", share=2, floor=10),
    Column(title="id"),
    Column(title="after"),
    Column(title="variables", align=">"),
    Column(title="not kept", align=">"),
    Column(title="new", align=">"),
    Column(title="why"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `checkpoints` and `diff`."""
    add = parser.add_argument
    if parser.get_default("verb") == "diff":
        add("before", metavar="A", help="a checkpoint: its name or id")
        add("after", metavar="B", help="another one")
        parser.epilog = "example: jupyter flow diff clean trained --json"
    else:
        add("action", nargs="?", default="list", choices=_VERBS, help=", ".join(_VERBS))
        add("name", nargs="?", metavar="NAME", help="for show and verify: a name or id")
        add("--keep", type=int, default=DEFAULT_KEEP, metavar="N", help="for prune: the newest N")
        add("--yes", action="store_true", help="for prune: do not ask")
        parser.epilog = "example: jupyter flow checkpoints show clean"
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show checkpoints, verify or delete them."""
    home = find_home(terminal, options.home)
    shelf = shelf_of(home, Path(jupyter_data_dir(), "flow", "key"))
    if options.verb == "diff":
        return _diff(options, terminal, home, shelf)
    if options.action == "prune":
        return _prune(options, terminal, home, shelf)
    if options.action == "verify":
        return _verify(options, terminal, shelf)
    if options.action == "show":
        return _show(options, terminal, shelf)
    return _list(options, terminal, shelf)


def _list(options: argparse.Namespace, terminal: Terminal, shelf: Shelf) -> int:
    known = shelf.all()
    if options.json:
        terminal.document({"items": [one.item() for one in known], "next": None})
    elif known:
        print_table(_COLUMNS, [_row(one) for one in known], terminal)
    else:
        terminal.print("no checkpoints yet")
    for checkpoint_id, why in shelf.damaged.items():
        print(
            f"jupyter flow: checkpoint {checkpoint_id}: its manifest {plain(why)}", file=sys.stderr
        )
    return 1 if shelf.damaged else 0


def _row(one: Checkpoint) -> list[Cell]:
    why = one.reason if one.is_trusted else f"{one.reason}, not signed with your key"
    return [
        one.created_at[:19].replace("T", " "),
        plain(one.name),
        one.checkpoint_id,
        one.parent_id or "",
        str(len(one.variables)),
        [Painted(str(len(one.not_saved) or ""), "yellow")],
        human_bytes(one.bytes_new),
        plain(why),
    ]


def _show(options: argparse.Namespace, terminal: Terminal, shelf: Shelf) -> int:
    one = shelf.find(_named(options))
    if options.json:
        terminal.document({**one.item(), "variables": dict(one.variables)})
        return 0
    terminal.print(f"checkpoint {plain(one.name)}  [{one.checkpoint_id}]  {one.created_at}")
    for name, said in one.variables.items():
        terminal.print(f"  {plain(name)}: {plain(str(said.get('summary', said.get('type'))))}")
    for left in one.not_saved:
        terminal.print(f"  not kept: {plain(left.name)} ({plain(left.type)}): {plain(left.reason)}")
    terminal.print(
        f"  files: {one.git['commit']}" if one.git else f"  no files: {one.files_reason}"
    )
    return 0


def _verify(options: argparse.Namespace, terminal: Terminal, shelf: Shelf) -> int:
    chosen = [shelf.find(options.name)] if options.name else shelf.all()
    trouble = [one for checkpoint in chosen for one in shelf.verify(checkpoint)]
    found = [
        *({"checkpoint_id": t.checkpoint_id, "variables": [*t.variables], "reason": t.reason}
          for t in trouble),
        *({"checkpoint_id": i, "variables": [], "reason": f"its manifest {why}"}
          for i, why in shelf.damaged.items()),
    ]  # fmt: skip
    if options.json:
        terminal.document({"ok": not found, "checkpoints": len(chosen), "damaged": found})
    else:
        for one in found:
            names = ", ".join(map(str, one["variables"]))
            terminal.print(f"{one['checkpoint_id']}: {plain(names)}: {plain(str(one['reason']))}")
        terminal.print(f"{len(chosen)} checkpoints verified, {len(found)} damaged")
    return 1 if found else 0


def _prune(options: argparse.Namespace, terminal: Terminal, home: Home, shelf: Shelf) -> int:
    if options.keep < 1:
        raise UsageError("--keep takes a number from 1 on")
    gone = shelf.all()[: -options.keep]
    if not options.yes:
        raise UsageError(f"{len(gone)} checkpoints would be deleted", hint="to do it: --yes")
    files = None
    with suppress(StoreError):
        files = _files(home, terminal.cwd)
    pruned = prune(shelf, keep=options.keep, files=files)
    facts = {"checkpoints": pruned.checkpoints, "bytes_freed": pruned.bytes_freed}
    if options.json:
        terminal.document(facts)
    else:
        freed = human_bytes(pruned.bytes_freed)
        terminal.print(f"{pruned.checkpoints} checkpoints deleted, {freed} freed")
    return 0


def _diff(options: argparse.Namespace, terminal: Terminal, home: Home, shelf: Shelf) -> int:
    before, after = shelf.find(options.before), shelf.find(options.after)
    files = NO_CHANGES
    if before.git is not None and after.git is not None:
        with suppress(StoreError):
            files = _files(home, terminal.cwd).changes(
                str(before.git["commit"]), str(after.git["commit"])
            )
    difference = differing(before, after, files)
    if options.json:
        terminal.document(difference.document())
        return 0
    rows = (
        ("added", difference.added),
        ("changed", difference.changed),
        ("removed", difference.removed),
        ("files added", files.added),
        ("files changed", files.changed),
        ("files removed", files.removed),
    )
    for title, names in rows:
        if names:
            terminal.print(f"{title}: {plain(' '.join(names))}")
    if not any(names for _, names in rows):
        terminal.print("nothing differs")
    return 0


def _files(home: Home, cwd: Path) -> GitSnapshots:
    found = find(cwd, env=os.environ, user_home=Path.home())
    return GitSnapshots(found, home.root / "git", owner=f"cli-{os.getpid()}")


def _named(options: argparse.Namespace) -> str:
    if not options.name:
        raise UsageError("name a checkpoint", hint="see: jupyter flow checkpoints")
    name: str = options.name
    return name
