"""What the time machine of a session works with, and what it knows of a moment.

Put together by `opening`; used by `service`.
"""

import platform
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flow_kernel.errors import UsageError
from flow_kernel.records.codec import clean_text
from flow_kernel.session.announcer import Emit
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, parsed
from flow_kernel.session.checkpoints.plan import Base
from flow_kernel.session.checkpoints.project_files import ProjectFiles
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.session.place import Place
from flow_kernel.store.snapshots.manifests import FORMAT

_RESERVED: Final = frozenset(["list", "show", "diff", "verify", "prune", "status", "tree"])
_NAME_CHARS: Final = 200
_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointParts:
    """What the time machine works with.

    Attributes:
        shelf: The checkpoints of the home.
        key: The user's.
        namespace: The variables of the session.
        hidden: Those that IPython hides.
        anchors: Gives objects of the session by name, which variables may refer to.
        place: The plan, task and step of now.
        session: 32 hex.
        owner: Begins the names of the files that it writes; no two processes share one.
        counted: How many of it there are by now, where other processes take some as well; else 0.
        seq: The last record.
        now: UTC with milliseconds.
        files: The files of the project.
        note: Brings a record of a kind into the log.
        made_by: The record of the cell that made a variable, if that is known.
        emit: Tells agents.
        is_under_way: True while a cell runs that may have changed variables already.
        look_beside: Says why code that no cell shows may run at any moment.
        trim: Keeps the checkpoints of the home within their budget.
        on_capture: Told when the variables are looked at: what cells reach matters from then on.
    """

    shelf: Shelf
    key: Callable[[], bytes]
    namespace: dict[str, Any]
    hidden: Mapping[str, object]
    anchors: Callable[[], Mapping[str, object]]
    place: Callable[[], Place]
    session: str
    owner: str
    counted: Callable[[], int]
    seq: Callable[[], int]
    now: Callable[[], str]
    files: ProjectFiles
    note: Callable[[str, Mapping[str, object]], object]
    made_by: Callable[[str], int | None]
    emit: Emit
    is_under_way: Callable[[], bool]
    look_beside: Callable[[], tuple[str, ...]]
    trim: Callable[[], object]
    on_capture: Callable[[], None]

    def facts(
        self, name: str, reason: str, values: Mapping[str, object], parent_id: str | None
    ) -> dict[str, Any]:
        """What a manifest of now says, but for variables and files.

        Args:
            name: Of the checkpoint.
            reason: Why it is taken.
            values: The variables.
            parent_id: The checkpoint before it.
        """
        place = self.place()
        return {
            "format": FORMAT,
            "checkpoint_id": secrets.token_hex(_ID_BYTES),
            "name": name,
            "parent_id": parent_id,
            "created_at": self.now(),
            "reason": reason,
            "session": self.session,
            "seq": self.seq(),
            "plan_id": place.plan_id,
            "task_id": place.task_id,
            "step": place.step,
            "python": platform.python_version(),
            "libraries": _libraries(values),
        }

    def as_of(self, now: Base, parent_id: str | None, anchors: Sequence[str]) -> Checkpoint:
        """What a checkpoint of now would be, but for the files.

        Args:
            now: What it would hold.
            parent_id: The checkpoint before it.
            anchors: What the variables may refer to.
        """
        left = [
            {"name": name, "type": kind, "reason": why, "ident": now.idents[name]}
            for name, kind, why in now.not_saved
        ]
        return parsed(
            {
                **self.facts("", "peek", {}, parent_id),
                "anchors": anchors,
                "variables": now.summaries,
                "groups": now.groups,
                "not_saved": left,
                "git": None,
                "files_reason": "not looked at",
                "bytes_new": 0,
            },
            is_trusted=True,
        )


class Asked(NamedTuple):
    """What was asked for; see `Checkpoints.begin`."""

    name: str | None
    reason: str
    tag: bool
    whole: bool
    with_files: bool
    only_if_changed: bool
    after_s: float


class Head(NamedTuple):
    """What a session was last equal to.

    Attributes:
        checkpoint_id: Of the checkpoint.
        checkpoint: Once it is on the disk, and while the variables are said to be those of it.
        filed: The last one that holds the files.
    """

    checkpoint_id: str | None
    checkpoint: Checkpoint | None
    filed: Checkpoint | None


NO_HEAD: Final = Head(None, None, None)


def checked_name(name: str) -> str:
    """A name that can be given to a checkpoint.

    Raises:
        UsageError: It is empty, reserved, too long, or looks like a number back.
    """
    if not name.strip() or name in _RESERVED or len(name) > _NAME_CHARS or name.startswith("-"):
        raise UsageError(f'"{name[:60]}" cannot be the name of a checkpoint')
    return clean_text(name)


def _libraries(values: Mapping[str, object]) -> dict[str, str]:
    """Versions of the packages that the values come from."""
    found = {}
    for module in {getattr(type(value), "__module__", "") for value in values.values()}:
        top = str(module).partition(".")[0]
        version = getattr(sys.modules.get(top), "__version__", None)
        if top and type(version) is str:
            found[top] = version
    return dict(sorted(found.items()))
