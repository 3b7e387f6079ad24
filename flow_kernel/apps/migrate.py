"""`jupyter flow migrate DIR`: contexts that the first design kept as JSON files, into the store.

Called by `cli`.

A file holds the context of one task: an object of keys and values, or one with `task_id` and
`context`. It becomes the task that it names, or a new one, which remembers the file as
`migrated_from`; so running this again changes nothing.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.tables import Column, Painted, plain, print_table
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.names import is_task_id
from flow_kernel.session.context_values import encoded
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import TaskRow

SOURCE_KEY: Final = "migrated_from"
_MAX_BYTES: Final = 64 * 1024 * 1024
_COLUMNS: Final = (
    Column(title="file", share=1, floor=12),
    Column(title="task"),
    Column(title="keys", align=">"),
    Column(title="what", share=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file.

    Attributes:
        file: Its path.
        task_id: The task that it names; None where it names none.
        context: What it holds.
        damage: Why it cannot be read; empty when it can.
    """

    file: Path
    task_id: str | None = None
    context: Mapping[str, object] | None = None
    damage: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `migrate`."""
    add = parser.add_argument
    add("directory", metavar="DIR", help="where the files lie, e.g. context_dump")
    add("--yes", action="store_true", help="write; without it, only say what would be done")
    add("--json", action="store_true", help="one document for programs")
    add_home(parser)
    parser.epilog = "example: jupyter flow migrate context_dump --yes"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Read the files, and write their contexts when asked; 1 when one of them is damaged."""
    directory = terminal.cwd / Path(options.directory).expanduser()
    if not directory.is_dir():
        raise NotFound(f"there is no directory {options.directory}")
    files = sorted(directory.glob("*.json"))
    if not files:
        raise NotFound(f"there is no .json file in {options.directory}")
    flow = flow_of(find_home(terminal, options.home))
    try:
        items = [_migrated(flow, read(file), writes=options.yes) for file in files]
    finally:
        flow.close()
    if options.json:
        terminal.document({"items": items, "next": None})
    else:
        _print(items, terminal, writes=options.yes)
    return 1 if any(item["what"] == "damaged" for item in items) else 0


def read(file: Path) -> Found:
    """What a file holds; a damaged one says why."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            return Found(file=file, damage="larger than 64 MB")
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return Found(file=file, damage=str(error) or type(error).__name__)
    if not isinstance(data, dict):
        return Found(file=file, damage=f"holds a {type(data).__name__}, not an object")
    named = data.get("task_id", file.stem)
    context = data["context"] if isinstance(data.get("context"), dict) else data
    context = {key: value for key, value in context.items() if key != "task_id"}
    try:
        encoded(context)
    except UsageError as error:
        return Found(file=file, damage=error.message)
    task_id = named if isinstance(named, str) and is_task_id(named) else None
    return Found(file=file, task_id=task_id, context=context)


def _migrated(flow: Flow, found: Found, *, writes: bool) -> dict[str, object]:
    item: dict[str, object] = {"file": str(found.file), "task_id": None, "keys": 0}
    if found.context is None:
        return {**item, "what": "damaged", "reason": found.damage}
    context = {**found.context, SOURCE_KEY: found.file.name}
    task_id = found.task_id or _made_before(flow, found.file.name)
    what = "new task" if task_id is None or not _exists(flow, task_id) else "task exists"
    if what == "task exists" and task_id is not None:
        held = flow.get_task_context(task_id)
        if all(key in held and held[key] == value for key, value in context.items()):
            what = "unchanged"
    if writes and what != "unchanged":
        task_id = _ready(flow, task_id, found.file.stem)
        flow.update_task_context(task_id, context)
    return {**item, "task_id": task_id, "keys": len(found.context), "what": what, "reason": ""}


def _made_before(flow: Flow, name: str) -> str | None:
    made = flow.tasks_with(SOURCE_KEY, name)
    return made[0].task_id if made else None


def _exists(flow: Flow, task_id: str) -> bool:
    try:
        flow.task(task_id)
    except NotFound:
        return False
    return True


def _ready(flow: Flow, task_id: str | None, name: str) -> str:
    """The id of a task that exists; made when it does not."""
    at = utc_now_ms()
    with flow.store.write() as change:
        if task_id is None:
            task_id = change.new_task_id(flow.plan_id)
        elif change.task(flow.plan_id, task_id) is not None:
            return task_id
        else:
            change.reserve_task_id(flow.plan_id, task_id)
        row = TaskRow(plan_id=flow.plan_id, task_id=task_id, name=name, created_at=at)
        change.put_task(row, at=at)
    return task_id


def _print(items: list[dict[str, object]], terminal: Terminal, *, writes: bool) -> None:
    rows = [
        [
            plain(Path(str(item["file"])).name),
            str(item["task_id"] or ""),
            str(item["keys"]),
            [Painted(plain(f"damaged: {item['reason']}"), "red")]
            if item["what"] == "damaged"
            else str(item["what"]),
        ]
        for item in items
    ]
    print_table(_COLUMNS, rows, terminal)
    if not writes:
        terminal.print()
        terminal.print("nothing was written; to do it: the same command with --yes")
