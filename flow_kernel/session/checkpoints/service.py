"""The time machine of one session: takes checkpoints and goes back to them.

Called by the `%checkpoint` and `%rollback` magics and by users through
`flow_kernel.current_session()`.

    begin:   what has to be saved again (`plan`) ─▶ variables frozen (`keeper`) ─▶ the cell goes on
    finish:  files, variables, manifest (`making`) ─▶ acknowledged ─▶ journal

What an interrupted one leaves behind is thrown away by `prune`.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any, Final

from flow_kernel.errors import FlowError, StoreError
from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.capture import Look, capture, capture_here
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, Difference, differing
from flow_kernel.session.checkpoints.freezing import frozen
from flow_kernel.session.checkpoints.hidden_state import is_hidden
from flow_kernel.session.checkpoints.keeper import Keeper, can_fork
from flow_kernel.session.checkpoints.making import Making, Moment
from flow_kernel.session.checkpoints.parts import (
    NO_HEAD,
    Asked,
    CheckpointParts,
    Head,
    checked_name,
)
from flow_kernel.session.checkpoints.plan import Base, base_of, facts_for_cells, merged, planned
from flow_kernel.session.checkpoints.project_files import ProjectFiles, TakenFiles
from flow_kernel.session.checkpoints.pruning import Pruned, clear, prune
from flow_kernel.session.checkpoints.reach_tracker import ReachTracker
from flow_kernel.session.checkpoints.shelf import Shelf  # noqa: TC001 - users ask for the types
from flow_kernel.session.checkpoints.sizes import idents, is_small
from flow_kernel.session.checkpoints.taking import Taking, waited_for
from flow_kernel.session.checkpoints.turns import Turns
from flow_kernel.session.checkpoints.unsaved import References, Unsaved
from flow_kernel.session.checkpoints.variables import Variables
from flow_kernel.store.snapshots.collect import held
from flow_kernel.store.snapshots.writer import ChunkWriter, DigestWriter, Writer


class Checkpoints:
    """The checkpoints of one session; threads take turns."""

    def __init__(self, parts: CheckpointParts) -> None:
        self._parts = parts
        self.shelf: Shelf = parts.shelf
        self.tracker: ReachTracker = ReachTracker()
        """What cells may have changed in place since the last capture."""
        self.base: Base | None = None
        """What the variables were at the last capture."""
        self._head: Head = NO_HEAD
        self._count = 0
        self._pending: Taking | None = None
        self._variables = Variables(parts.namespace, parts.hidden)
        self.unsaved: Unsaved = Unsaved()
        """What the checkpoints of this session could not hold."""
        self.turns: Turns = Turns(lambda: self.pending)
        """Of the threads that take checkpoints, go back, or tell of cells."""

    @property
    def head_id(self) -> str | None:
        """The checkpoint that this session was last equal to."""
        return self._head.checkpoint_id

    @property
    def pending(self) -> Taking | None:
        """The one that is still on its way to the disk, if any."""
        pending = self._pending
        return pending if pending is not None and not pending.is_done else None

    def take(
        self,
        name: str | None = None,
        *,
        reason: str = "asked",
        tag: bool = False,
        whole: bool = True,
        with_files: bool = True,
    ) -> Checkpoint:
        """As `begin`, and wait until it is on the disk; an interrupt gives it up.

        Raises:
            StoreError: The disk or git refuses, or a tag of that name points elsewhere; session
                and files are as before.
        """
        taking = self.begin(name, reason=reason, tag=tag, whole=whole, with_files=with_files)
        return waited_for(taking)

    def begin(  # noqa: PLR0913 - each by name
        self,
        name: str | None = None,
        *,
        reason: str = "asked",
        tag: bool = False,
        whole: bool = True,
        with_files: bool = True,
        only_if_changed: bool = False,
        after_s: float = 0.0,
        within_s: float | None = None,
    ) -> Taking:
        """Keep variables and files as they are now; the way to the disk goes on by itself.

        Args:
            name: For lists and for the way back; made of the reason by default.
            reason: Why it is taken.
            tag: True to give its commit a tag as well.
            whole: False to take over what no cell could have changed since the last capture.
            with_files: False to leave the files out.
            only_if_changed: True to give back the last one where nothing differs from it.
            after_s: How long its thread lets the cell come to its end first.
            within_s: How long to wait for the one before it; None for as long as it takes.

        Raises:
            StoreError: The home cannot be written, or the one before it takes too long.
            UsageError: That is no name.
        """
        asked = Asked(name, reason, tag, whole, with_files, only_if_changed, after_s)
        return self.turns.settled(lambda: self._begin(asked), within_s=within_s)

    def _begin(self, asked: Asked) -> Taking:
        parts = self._parts
        number = max(self._count, parts.counted()) + 1
        called = f"{asked.reason}-{number}" if asked.name is None else checked_name(asked.name)
        values = self._variables.saved()
        now = self._variables.idents(values)
        # What a cell that still runs has done, nobody has judged.
        scope = None if parts.is_under_way() else self.tracker.to_save()
        files = self._files(called, number, tag=asked.tag) if asked.with_files else _NO_FILES_ASKED
        facts = parts.facts(called, asked.reason, values, self.head_id)
        facts["anchors"] = self.anchors().names()
        with ExitStack() as stack:
            # While its chunks are named by no manifest, nobody may collect them.
            stack.enter_context(held(parts.shelf.segments_dir, is_alone=False))
            if parts.shelf.has_lost():
                self.base = None  # another process may have thrown away what it names
            plan = planned(self.base, now, None if asked.whole else scope)
            again = {one: values[one] for one in values if one in plan.again}
            unsaved = self.unsaved.looked_at(again, (left[0] for left in plan.not_saved))
            document = self._document(again, is_wide=scope is None or self.base is None)
            locked = stack.pop_all()
        moment = Moment(
            facts=facts,
            base=self.base,
            scope=scope,
            plan=plan,
            idents=now,
            same_as=parts.shelf.still(self._head.checkpoint) if asked.only_if_changed else None,
        )
        making = Making(
            moment,
            document,
            files=files,
            shelf=parts.shelf,
            key=parts.key,
            made_by=parts.made_by,
            locked=locked,
        )
        before, count = self._head, self._count
        taking = Taking(
            str(facts["checkpoint_id"]),
            called,
            lambda read: self._finished(making, unsaved, read),
            making.give_up,
            on_end=lambda taken, error: self._ended(taking, taken, error, before),
            taken_over=frozenset(now.keys() - plan.again),
        )
        try:
            self._count, self._pending = number, taking
            self.tracker.save_begins()
            self._head = Head(taking.checkpoint_id, None, before.filed)
            parts.on_capture()
            return taking.start(after_s=asked.after_s)
        except BaseException:
            # As if it had never been asked for: nobody may wait for what never ends.
            making.abandon()
            self._count, self._pending, self._head = count, None, before
            self.tracker.save_failed()
            raise

    def keep(self, name: str | None, *, tag: bool = False, wait: bool | None = None) -> Taking:
        """A checkpoint that the user has asked for.

        Args:
            name: For lists and for the way back.
            tag: True to give its commit a tag as well.
            wait: True to wait for the disk, False not to; None where there is little to write.

        Raises:
            StoreError: The disk or git refuses; session and files are as before.
        """
        is_quick = is_small(self.variables().values()) if wait is None else wait
        taking = self.begin(name, tag=tag)
        if is_quick:
            waited_for(taking)
            return taking
        try:
            taking.wait_for_files()  # what the cell does next may change them
        except BaseException:
            taking.give_up()
            raise
        if taking.error is not None:
            raise taking.error
        return taking

    def is_quick(self) -> bool:
        """False where a checkpoint would hold up its cell for as long as it takes to write."""
        return can_fork() or is_small(self.variables().values())

    def settle(self) -> None:
        """Wait for the one that is on its way; what it comes to is its own affair."""
        self.turns.settled(lambda: None)

    def peek(self, *, whole: bool = True) -> Base:
        """What a checkpoint of now would hold; nothing is written, and files are not looked at."""
        return self.turns.settled(lambda: self._peek(whole=whole))

    def _peek(self, *, whole: bool) -> Base:
        values = self._variables.saved()
        now = self._variables.idents(values)
        whole = whole or self._parts.is_under_way()
        plan = planned(self.base, now, None if whole else self.tracker.to_save())
        again = {one: values[one] for one in values if one in plan.again}
        found = self._document(again, is_wide=False, keeps=False)
        if isinstance(found, Keeper):
            with closing(found) as keeper:
                keeper.disown()
                found = keeper.answer()
        elif callable(found):
            found = found()
        return merged(self.base, plan, found, now)

    def now(self) -> Checkpoint:
        """What a checkpoint of now would be, but for the files; nothing is written."""
        return self._parts.as_of(self.peek(), self.head_id, self.anchors().names())

    def difference(self, before: Checkpoint, after: Checkpoint | None = None) -> Difference:
        """How two checkpoints differ; None stands for now. No value is loaded."""
        # Its thread works with the files, too.
        files = self.turns.settled(lambda: self.files.difference(before, after))
        return differing(before, after or self.now(), files)

    def prune(self, *, keep: int) -> Pruned:
        """Delete all but the newest `keep` checkpoints of the home; see `pruning`."""
        files = self.files
        return self.turns.settled(lambda: prune(self.shelf, keep=keep, files=files.git_or_none()))

    def doubts(self) -> tuple[str, ...]:
        """Why code may run now, or may have run lately, that no cell shows."""
        return (*self.tracker.doubts, *self._parts.look_beside())

    def variables(self) -> dict[str, object]:
        """The user's variables as they are now."""
        return self._variables.now()

    def anchors(self) -> Anchors:
        """What variables may refer to and what is never saved."""
        return anchors_of(self._parts.namespace, self._parts.anchors())

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables of the session, those that IPython hides among them."""
        return self._parts.namespace

    @property
    def hidden(self) -> Mapping[str, object]:
        """Those that IPython hides."""
        return self._parts.hidden

    @property
    def session(self) -> str:
        """32 hex."""
        return self._parts.session

    @property
    def files(self) -> ProjectFiles:
        """The files of the project."""
        return self._parts.files

    def moved(
        self, target: Checkpoint, fields: Mapping[str, object], *, lost: Iterable[str]
    ) -> str:
        """The session is equal to a checkpoint again.

        Args:
            target: Which.
            fields: What the log says of the way back.
            lost: Names that could not be restored.

        Returns:
            Why the log could not note it; empty when it did.
        """
        filed = self._head.filed
        if fields["what"] != "files":
            assert self.base is not None  # noqa: S101 - the safety checkpoint has seen to it
            there = idents(self.variables())
            for name in lost:  # what stands in its place is new
                there.pop(name, None)
            self.base = base_of(target, there, self.base)
            self.tracker.save_begins()
            self.tracker.saved(facts_for_cells(self.base))
        if fields["what"] != "state" and target.git is not None:
            filed = target
        # After a way back of files alone the variables are those of no checkpoint.
        equal = target if fields["what"] != "files" else None
        self._head = Head(target.checkpoint_id, equal, filed)
        unnoted = ""
        try:
            self._parts.note("rollback", {"checkpoint_id": target.checkpoint_id, **fields})
        except FlowError as error:  # it is done all the same
            unnoted = error.message.removesuffix("; nothing was changed")
        what, safety_id = str(fields["what"]), str(fields["safety_id"])
        self._parts.emit("rollback", id=target.checkpoint_id, what=what, safety_id=safety_id)
        return unnoted

    # -- inside ------------------------------------------------------------------------------------

    def _document(
        self, values: Mapping[str, object], *, is_wide: bool, keeps: bool = True
    ) -> "dict[str, Any] | Keeper | Callable[[], dict[str, Any]]":
        """What saving values comes to: at once, from a keeper, or when it is called."""
        anchors = self.anchors()
        look = Look(
            types=self.tracker.types(),
            namespace=self._parts.namespace,
            is_wide=is_wide,
            is_first=keeps and self.base is None,
        )
        writer: Callable[[], Writer] = self._writer if keeps else DigestWriter
        if not is_wide and self.tracker.is_tame(name for name in values if not is_hidden(name)):
            known = frozen(values, anchors, writer, look)
            if known is not None:
                return known
        if keeps:
            self.shelf.chunks.refresh()
        if can_fork():
            with suppress(OSError):  # there can be no more processes: it is done here
                return Keeper.start(
                    lambda wanted: capture(values, anchors, writer, look, wanted=wanted)
                )
        return capture_here(values, anchors, writer(), look)

    def _writer(self) -> ChunkWriter:
        shelf = self._parts.shelf
        return ChunkWriter(shelf.segments_dir, shelf.chunks, owner=self._parts.owner)

    def _files(self, name: str, number: int, *, tag: bool) -> TakenFiles:
        return self.files.begin(name, number=number, tag=tag, parent=self._head.filed)

    def _finished(
        self, making: Making, unsaved: References, files_are_read: Callable[[], None]
    ) -> Checkpoint:
        """In the thread of a checkpoint: it is on the disk, and said to be."""
        taken = making.finish(files_are_read)
        if making.now is not None:
            left = (name for name, *_ in making.now.not_saved)
            self.unsaved.keep(taken.checkpoint_id, unsaved, left)
            self.base = making.now
            self.turns.later(partial(self.tracker.saved, facts_for_cells(making.now)))
        if making.is_new:
            self._acknowledge(taken, making.noticed_late)
            if taken.reason != "safety":  # a way back is under way, maybe to the oldest
                self._parts.trim()
        return taken

    def _ended(
        self, taking: Taking, taken: Checkpoint | None, error: BaseException | None, before: Head
    ) -> None:
        """In the thread of a checkpoint, before anybody hears of it."""
        is_head = self._head.checkpoint_id == taking.checkpoint_id
        if error is not None or taken is None:
            self.turns.later(self.tracker.save_failed)
            if is_head:
                self._head = before
            if isinstance(error, StoreError):
                clear(self._parts.shelf)
        elif is_head:
            filed = before.filed if taken.git is None and taken.files is None else taken
            self._head = Head(taken.checkpoint_id, taken, filed)

    def _acknowledge(self, taken: Checkpoint, late: list[str]) -> None:
        # `seq` is the number of the record itself.
        fields = {key: value for key, value in taken.item().items() if key != "seq"}
        self._parts.note("checkpoint", {"after_seq": taken.seq, "noticed_late": late, **fields})
        self._parts.emit(
            "checkpoint",
            id=taken.checkpoint_id,
            title=taken.name,
            variables=len(taken.variables),
            not_saved=len(taken.not_saved),
        )


_NO_FILES_ASKED: Final = "only the variables were kept"
