"""`jupyter flow key`: the key that tells one's own checkpoints from foreign ones.

Called by `cli`.
"""

import argparse
from typing import Final

from flow_kernel.apps.shelves import key_path
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import UsageError
from flow_kernel.session.checkpoints.user_key import (
    export_key,
    fingerprint,
    import_key,
    user_key,
)

_VERBS: Final = ("show", "export", "import")
MEANING: Final = (
    "whoever has this key can sign checkpoints that are restored here without a question, and "
    "restoring one runs the code that is in it"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `key`."""
    add = parser.add_argument
    add("action", nargs="?", default="show", choices=_VERBS, help=", ".join(_VERBS))
    add("file", nargs="?", metavar="FILE", help="for export and import")
    add("--force", action="store_true", help="replace the file, or the key that is there")
    add("--json", action="store_true", help="one document for programs")
    parser.epilog = (
        "A checkpoint is signed with the key of whoever took it. To restore one on another "
        f"machine, take the key there: {MEANING}. "
        "example: jupyter flow key export flow.key"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Show the key's fingerprint, or take the key elsewhere.

    Raises:
        UsageError: There is a file or another key already, or the file holds no key.
        StoreError: The key cannot be read or written.
    """
    path = key_path()
    facts: dict[str, object]
    if options.action == "show":
        if options.file:
            raise UsageError("show takes no file", hint="jupyter flow key export FILE")
        told = fingerprint(user_key(path))
        facts = {"path": str(path), "fingerprint": told}
        lines = [f"key {told} in {path}"]
    elif not options.file:
        raise UsageError(f"{options.action} takes a file", hint="see jupyter flow key --help")
    elif options.action == "export":
        target = terminal.cwd / options.file
        told = export_key(path, target, replace=options.force)
        facts = {"path": str(target), "fingerprint": told}
        lines = [f"wrote key {told} to {target}", f"keep it secret: {MEANING}"]
    else:
        done = import_key(path, terminal.cwd / options.file, replace=options.force)
        facts = {
            "path": str(path),
            "fingerprint": done.fingerprint,
            "kept": None if done.kept is None else str(done.kept),
        }
        lines = [f"key {done.fingerprint} is yours now: {MEANING}"]
        if done.kept is not None:
            lines.append(f"the key that was there is in {done.kept}")
    if options.json:
        terminal.document(facts)
    else:
        for line in lines:
            terminal.print(plain(line))
    return 0
