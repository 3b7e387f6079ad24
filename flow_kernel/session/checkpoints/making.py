"""One checkpoint in the making: what was fixed at its moment, and the rest of the way to the disk.

Started by `service`, in the cell; finished in a thread of its own.

    its moment: variables frozen by a fork, id, place in the log
    then:       files ─▶ variables on the disk ─▶ manifest, signed ─▶ journal

A manifest names only what is on the disk already. Until it is written there is no checkpoint: both
parts come about or none.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flow_kernel.session.checkpoints.checkpoint import Checkpoint, parsed
from flow_kernel.session.checkpoints.keeper import Keeper
from flow_kernel.session.checkpoints.plan import Base, Plan, Scope, is_same, merged, noticed_late
from flow_kernel.session.checkpoints.project_files import KeptParts, TakenFiles
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.manifests import put, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a checkpoint is, fixed when it was asked for.

    Attributes:
        facts: What the manifest says already: id, name, parent, place, time.
        base: What the variables were at the last capture.
        scope: What was thought to have changed since.
        plan: What is saved again.
        idents: `id` of each variable.
        same_as: Given back in its place when nothing differs from it; None to take it anyway.
    """

    facts: Mapping[str, Any]
    base: Base | None
    scope: Scope
    plan: Plan
    idents: Mapping[str, int]
    same_as: Checkpoint | None = None


class Making:
    """Brings one checkpoint to the disk.

    Args:
        moment: What it is.
        document: What was saved already, or who says so.
        files: The files' part; None where there is none, and why.
        shelf: Where it goes.
        key: The user's.
        made_by: The record of the cell that made a variable.
        locked: Let go of at the end.
    """

    def __init__(  # noqa: PLR0913 - called once, each by name
        self,
        moment: Moment,
        document: dict[str, Any] | Keeper | Callable[[], dict[str, Any]],
        *,
        files: TakenFiles | str,
        shelf: Shelf,
        key: Callable[[], bytes],
        made_by: Callable[[str], int | None],
        locked: ExitStack,
    ) -> None:
        self._moment = moment
        self._document = document
        self._files = files
        self._shelf = shelf
        self._key = key
        self._made_by = made_by
        self._locked = locked
        self.now: Base | None = None
        self.noticed_late: list[str] = []
        self.is_new: bool = False

    def finish(self, files_are_read: Callable[[], None]) -> Checkpoint:
        """Go the rest of the way; the checkpoint is on the disk when this returns.

        Raises:
            StoreError: The disk or git refuses; nothing is left behind that anybody sees.
        """
        files = self._files
        try:
            try:
                kept = KeptParts(reason=files) if isinstance(files, str) else files.take()
            finally:
                if isinstance(self._document, Keeper):
                    self._document.disown()  # it has forked meanwhile
            files_are_read()
            found = self._document
            if isinstance(found, Keeper):
                found = found.answer()
            elif callable(found):
                found = found()
            return self._put(found, kept)
        except BaseException:
            if not isinstance(files, str):
                files.forget()  # both parts or none
            raise
        finally:
            self.give_up()
            self._locked.close()

    def give_up(self) -> None:
        """Nobody waits for the variables any more."""
        if isinstance(self._document, Keeper):
            self._document.close()

    def abandon(self) -> None:
        """It will never be finished."""
        if isinstance(self._document, Keeper):
            self._document.disown()
        self.give_up()
        self._locked.close()

    def _put(self, found: Mapping[str, Any], kept: KeptParts) -> Checkpoint:
        moment = self._moment
        now = merged(moment.base, moment.plan, found, moment.idents)
        self.noticed_late = noticed_late(moment.base, moment.scope, now)
        same = moment.same_as
        is_equal = isinstance(self._files, str) or (same is not None and kept.is_same_as(same))
        if same is not None and is_same(moment.base, now) and is_equal:
            if not isinstance(self._files, str):
                self._files.forget()
            self.now = now
            return same
        manifest = {
            **moment.facts,
            "variables": now.summaries,
            "groups": list(now.groups),
            "statuses": dict(now.statuses),
            "loose": sorted(now.loose),
            "not_saved": [
                {
                    "name": name,
                    "type": kind,
                    "reason": why,
                    "seq": self._made_by(name),
                    "ident": moment.idents[name],
                }
                for name, kind, why in now.not_saved
            ],
            **kept.document(),
            "bytes_new": found["bytes_new"] + kept.bytes_new,
        }
        put(
            self._shelf.manifests_dir,
            str(manifest["checkpoint_id"]),
            seal(manifest, self._key()),
        )
        self._shelf.chunks.refresh()
        self.now, self.is_new = now, True
        return parsed(manifest, is_trusted=True)
