"""The time machine of one session: takes checkpoints and goes back to them.

Called by the `%checkpoint` and `%rollback` magics and by users through
`flow_kernel.current_session()`.

    take:  variables (a child writes chunks) ┐
           files (git commit, held by a ref) ┴▶ manifest, signed ─▶ acknowledged ─▶ journal

A manifest names only what is on the disk already. Until it is written there is no checkpoint; what
an interrupted one leaves behind is thrown away by `prune`.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.errors import UsageError
from flow_kernel.records.codec import clean_text
from flow_kernel.records.diff import Visibility
from flow_kernel.records.summaries import summarise
from flow_kernel.session.announcer import Emit
from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.capture import Captured, capture
from flow_kernel.session.checkpoints.checkpoint import (
    Checkpoint,
    Difference,
    differing,
    identified,
    parsed,
)
from flow_kernel.session.checkpoints.project_files import ProjectFiles
from flow_kernel.session.checkpoints.pruning import Pruned, prune
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.place import Whereabouts
from flow_kernel.store.snapshots.collect import held
from flow_kernel.store.snapshots.manifests import put, seal
from flow_kernel.store.snapshots.writer import ChunkWriter, DigestWriter, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointParts:
    """What the time machine works with; put together by `session.assembly`.

    Attributes:
        shelf: The checkpoints of the home.
        key: The user's.
        namespace: The variables of the session.
        hidden: Those that IPython hides.
        anchors: Gives objects of the session by name, which variables may refer to.
        where: The plan, task and step of now.
        session: 32 hex.
        seq: The last record.
        now: UTC with milliseconds.
        files: The files of the project.
        note: Brings a record of a kind into the log.
        made_by: The record of the cell that made a variable, if that is known.
        emit: Tells agents.
    """

    shelf: Shelf
    key: Callable[[], bytes]
    namespace: dict[str, Any]
    hidden: Mapping[str, object]
    anchors: Callable[[], Mapping[str, object]]
    where: Whereabouts
    session: str
    seq: Callable[[], int]
    now: Callable[[], str]
    files: ProjectFiles
    note: Callable[[str, Mapping[str, object]], object]
    made_by: Callable[[str], int | None]
    emit: Emit


class Checkpoints:
    """The checkpoints of one session; one thread at a time."""

    def __init__(self, parts: CheckpointParts) -> None:
        self._parts = parts
        self.shelf: Shelf = parts.shelf
        self._head: Checkpoint | None = None
        self._count = 0

    @property
    def head(self) -> Checkpoint | None:
        """The checkpoint that this session was last equal to."""
        return self._head

    def take(
        self, name: str | None = None, *, reason: str = "asked", tag: bool = False
    ) -> Checkpoint:
        """Keep variables and files as they are now.

        Args:
            name: For lists and for the way back; made of the reason by default.
            reason: Why it is taken.
            tag: True to give its commit a tag as well.

        Returns:
            The checkpoint; it is on the disk, power loss or not.

        Raises:
            StoreError: The disk or git refuses, or a tag of that name points elsewhere; session
                and files are as before.
        """
        parts = self._parts
        number = self._count + 1
        called = _checked(name) if name is not None else f"{reason}-{number}"
        # While its chunks are named by no manifest, nobody may collect them.
        with held(parts.shelf.segments_dir, is_alone=False):
            parts.shelf.chunks.refresh()
            files = parts.files.begin(called, number=number, tag=tag, parent=self._head)
            try:
                whole = self._whole(called, reason, self._writer, files.take)
                data = seal(whole, parts.key())
                put(parts.shelf.manifests_dir, str(whole["checkpoint_id"]), data)
            except BaseException:
                files.forget()  # both parts or none
                raise
        taken = parsed(whole, is_trusted=True)
        self._head, self._count = taken, number
        # `seq` is the number of the record itself.
        parts.note(
            "checkpoint",
            {
                "after_seq": taken.seq,
                **{key: value for key, value in taken.item().items() if key != "seq"},
            },
        )
        parts.emit(
            "checkpoint",
            id=taken.checkpoint_id,
            title=taken.name,
            variables=len(taken.variables),
            not_saved=len(taken.not_saved),
        )
        return taken

    def peek(self) -> Checkpoint:
        """What a checkpoint of now would hold; nothing is written, and files are not looked at."""
        return parsed(
            self._whole("", "peek", DigestWriter, lambda: (None, "not looked at")), is_trusted=True
        )

    def difference(self, before: Checkpoint, after: Checkpoint | None = None) -> Difference:
        """How two checkpoints differ; None stands for now. No value is loaded."""
        files = self.files.difference(before, after)
        return differing(before, after or self.peek(), files)

    def prune(self, *, keep: int) -> Pruned:
        """Delete all but the newest `keep` checkpoints of the home; see `pruning`."""
        return prune(self._parts.shelf, keep=keep, files=self.files.git_or_none())

    def variables(self) -> dict[str, object]:
        """The user's variables as they are now."""
        visible = Visibility(self._parts.hidden)
        found = dict(self._parts.namespace)
        return {
            name: value
            for name, value in found.items()
            if type(name) is str and visible(name, id(value)) and not name.startswith("__")
        }

    def anchors(self) -> Anchors:
        """What variables may refer to and what is never saved."""
        return anchors_of(self._parts.namespace, self._parts.anchors())

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables of the session, those that IPython hides among them."""
        return self._parts.namespace

    @property
    def session(self) -> str:
        """32 hex."""
        return self._parts.session

    def moved(self, target: Checkpoint, fields: Mapping[str, object]) -> None:
        """The session is equal to a checkpoint again.

        Args:
            target: Which.
            fields: What the log says of the way back.
        """
        self._head = target
        self._parts.note("rollback", {"checkpoint_id": target.checkpoint_id, **fields})
        what, safety_id = str(fields["what"]), str(fields["safety_id"])
        self._parts.emit("rollback", id=target.checkpoint_id, what=what, safety_id=safety_id)

    @property
    def files(self) -> ProjectFiles:
        """The files of the project."""
        return self._parts.files

    # -- inside ------------------------------------------------------------------------------------

    def _whole(
        self,
        name: str,
        reason: str,
        writer: Callable[[], Writer],
        files: "Callable[[], tuple[dict[str, Any] | None, str]]",
    ) -> dict[str, Any]:
        """A manifest of now, with its id."""
        values, anchors = self.variables(), self.anchors()
        captured = capture(values, anchors, writer, forks=_can_fork())
        git, files_reason = files()
        manifest = self._manifest(name, reason, values, captured)
        manifest |= {"anchors": anchors.names(), "git": git, "files_reason": files_reason}
        return identified(manifest)

    def _writer(self) -> ChunkWriter:
        shelf = self._parts.shelf
        return ChunkWriter(shelf.segments_dir, shelf.chunks, owner=self._parts.session[:16])

    def _manifest(
        self, name: str, reason: str, values: Mapping[str, object], captured: Captured
    ) -> dict[str, Any]:
        parts = self._parts
        place = parts.where.now
        saved = sorted(name for group in captured.groups for name in group["names"])
        return {
            "name": name,
            "parent_id": None if self._head is None else self._head.checkpoint_id,
            "created_at": parts.now(),
            "reason": reason,
            "session": parts.session,
            "seq": parts.seq(),
            "plan_id": place.plan_id,
            "task_id": place.task_id,
            "step": place.step,
            "python": platform.python_version(),
            "libraries": _libraries(values),
            "variables": {one: dict(summarise(values[one])) for one in saved},
            "groups": captured.groups,
            "not_saved": [
                {
                    "name": left.name,
                    "type": left.type,
                    "reason": left.reason,
                    "seq": parts.made_by(left.name),
                    "ident": id(values[left.name]),
                }
                for left in captured.not_saved
            ],
            "bytes_new": captured.bytes_new,
        }


_RESERVED: Final = frozenset(["list", "show", "diff", "verify", "prune", "status"])
_NAME_CHARS: Final = 200


def _checked(name: str) -> str:
    """A name that can be given.

    Raises:
        UsageError: It is empty, reserved, too long, or looks like a number back.
    """
    if not name.strip() or name in _RESERVED or len(name) > _NAME_CHARS or name.startswith("-"):
        raise UsageError(f'"{name[:60]}" cannot be the name of a checkpoint')
    return clean_text(name)


def _can_fork() -> bool:
    return sys.platform == "linux"


def _libraries(values: Mapping[str, object]) -> dict[str, str]:
    """Versions of the packages that the values come from."""
    found = {}
    for value in values.values():
        top = str(getattr(type(value), "__module__", "")).partition(".")[0]
        version = getattr(sys.modules.get(top), "__version__", None)
        if top and type(version) is str:
            found[top] = version
    return dict(sorted(found.items()))
