"""Builds the time machine of a session, and the shelf of a home for other programs.

Called by `session.assembly` when a session is first asked for its checkpoints, and by the command
line.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from flow_kernel.errors import FlowError, StoreError
from flow_kernel.records.home import Home
from flow_kernel.session.announcer import Emit
from flow_kernel.session.checkpoints.budget import default_budget
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.parts import CheckpointParts
from flow_kernel.session.checkpoints.project_files import FilesPlace, ProjectFiles
from flow_kernel.session.checkpoints.pruning import keep_within
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.checkpoints.surroundings import Surroundings
from flow_kernel.session.checkpoints.user_key import user_key
from flow_kernel.session.history import History
from flow_kernel.session.place import Place
from flow_kernel.store.contract import Store
from flow_kernel.store.files.snapshots import ChunkedFiles
from flow_kernel.store.git.find import find
from flow_kernel.store.git.snapshots import GitSnapshots

_MOST_LOOKED_AT: Final = 50
"""For files that need not be hashed again; one that is found in none of these is."""

Note = Callable[[str, Mapping[str, object]], object]
"""Brings a record of a kind, with these fields, into the log."""


def noting(
    store: Store,
    *,
    place: Callable[[], Place],
    now: Callable[[], str],
    carry: Callable[[], object],
) -> Note:
    """What notes checkpoints in the store, on their way into the log.

    Args:
        store: Of the home.
        place: The task and step of now.
        now: UTC with milliseconds.
        carry: Brings notes into the log, and the log to the disk.
    """

    def note(kind: str, fields: Mapping[str, object]) -> None:
        here = place()
        with store.write(is_durable=True) as change:
            change.note(kind, here.plan_id, here.task_id, now(), dict(fields))
        with suppress(StoreError):  # it waits in the outbox; the checkpoint itself is safe
            carry()

    return note


def shelf_of(home: Home, key_path: Path) -> Shelf:
    """The checkpoints of a home."""
    return Shelf(home, key=cache(lambda: user_key(key_path)))


def _of(shelf: Shelf, session: str) -> list[Checkpoint]:
    """The checkpoints of a session, the oldest first."""
    return [one for one in shelf.all() if one.session == session]


def _taken(shelf: Shelf, session: str) -> int:
    """How many checkpoints a session has taken, or the number of its last one in git."""
    taken = _of(shelf, session)
    refs = (str((one.git or {}).get("ref") or "").rpartition("/")[2] for one in taken)
    numbers = [
        int(number) for number in (ref.partition("-")[0] for ref in refs) if number.isdigit()
    ]
    return max([len(taken), *numbers])


def offer_of(home: Home, session: str, key_path: Path) -> str:
    """A sentence about the checkpoint where a session stood that died; empty where it has none.

    Raises:
        StoreError: The user's key cannot be read.
    """
    taken = _of(shelf_of(home, key_path), session)
    if not taken:
        return ""
    one = _stood_at(home, session, taken)
    return (
        f"its variables of {one.created_at[11:19]} UTC come back with:"
        f" %rollback {one.checkpoint_id} --state"
    )


def _stood_at(home: Home, session: str, taken: Sequence[Checkpoint]) -> Checkpoint:
    """The newest one; where a way back has followed it, that to which it went."""
    newest, target = taken[-1], None
    for record in History(home, session).records("rollback"):
        has_moved = record.get("what") != "files" and record.get("safety_id")
        if has_moved == newest.checkpoint_id:
            target = record.get("checkpoint_id")
    return next((one for one in taken if one.checkpoint_id == target), newest)


def project_files(  # noqa: PLR0913 - called twice, each by name
    home: Home,
    shelf: Shelf,
    *,
    git: Callable[[], GitSnapshots],
    session: str,
    owner: str = "",
    cwd: Path,
    user_home: Path,
    say: Callable[[str], object],
) -> ProjectFiles:
    """The files of a project.

    Args:
        home: Of the project.
        shelf: The checkpoints of it; no other thread looks at them through this one.
        git: Gives the repository; raises StoreError where there is none.
        session: 32 hex.
        owner: Begins the names of the files that are written; empty for that of the session.
        cwd: Where the session works.
        user_home: Never captured as a whole.
        say: Tells the person.
    """

    def newest() -> Mapping[str, Any] | None:
        latest = islice(shelf.newest_first(), _MOST_LOOKED_AT)
        return next((one.files for one in latest if one.is_trusted and one.files), None)

    place = FilesPlace(
        git=git,
        newest=newest,
        chunked=lambda root: ChunkedFiles(root, shelf.segments_dir, owner=owner or session[:16]),
        cwd=cwd,
        user_home=user_home,
        base=home.root.parent,
        say=say,
    )
    return ProjectFiles(place, session)


def open_checkpoints(  # noqa: PLR0913 - called once, each by name
    home: Home,
    around: Surroundings,
    *,
    env: Mapping[str, str],
    session: str,
    place: Callable[[], Place],
    seq: Callable[[], int],
    now: Callable[[], str],
    note: Note,
    closers: list[Callable[[], None]],
    emit: Emit,
    on_capture: Callable[[], None],
    say: Callable[[str], object],
    is_under_way: Callable[[], bool] = lambda: False,
    budget_bytes: int = 0,
    owner: str = "",
    is_alone: bool = True,
) -> Checkpoints:
    """The time machine of a session.

    Args:
        home: Where checkpoints lie.
        around: What the shell knows.
        env: The environment of the process.
        session: 32 hex.
        place: The task and step of now.
        seq: The last record.
        now: UTC with milliseconds.
        note: Brings a record of a kind into the log; see `noting`.
        closers: Told what ends with the session.
        emit: Tells agents.
        on_capture: Told when the variables are looked at.
        say: Tells the person.
        is_under_way: True while a cell runs that may have changed variables already.
        budget_bytes: What checkpoints may take on the disk; 0 for `default_budget`.
        owner: Begins the names of the files that are written; empty for that of the session.
        is_alone: False where other processes take checkpoints of the session as well.
    """
    home.ensure()
    owner = owner or session[:16]
    key = cache(lambda: user_key(around.key_path))
    shelf = Shelf(home, key=key)

    @cache
    def files() -> GitSnapshots:
        found = find(around.cwd, env=env, user_home=around.user_home)
        made = GitSnapshots(found, home.root / "git", owner=owner)
        closers.append(made.close)
        return made

    def trim() -> None:
        # In the thread of a checkpoint, so with a shelf of its own; a failure costs only room.
        used = shelf.chunks.nbytes
        if used > (budget_bytes or default_budget(shelf.segments_dir, used)):
            with suppress(FlowError, OSError):
                keep_within(Shelf(home, key=key), budget_bytes=budget_bytes, files=git_or_none())

    def git_or_none() -> GitSnapshots | None:
        with suppress(StoreError):
            return files()
        return None

    history = History(home, session)

    def made_by(name: str) -> int | None:
        touches = history.why(name)
        return touches[0].seq if touches else None

    return Checkpoints(
        CheckpointParts(
            shelf=shelf,
            key=key,
            namespace=around.namespace,
            hidden=around.hidden,
            anchors=around.anchors,
            place=place,
            session=session,
            owner=owner,
            counted=lambda: 0 if is_alone else _taken(shelf, session),
            seq=seq,
            now=now,
            files=project_files(
                home,
                Shelf(home, key=key),
                git=files,
                session=session,
                owner=owner,
                cwd=around.cwd,
                user_home=around.user_home,
                say=say,
            ),
            note=note,
            made_by=made_by,
            emit=emit,
            is_under_way=is_under_way,
            look_beside=around.look_around.beside,
            trim=trim,
            on_capture=on_capture,
        )
    )
