"""Checkpoints that a session takes by itself, and what it follows for them.

Built by `session.assembly_state`; told by `tracking` of cells, by `session.tasks` of steps and
tasks, and by the shell of cells that were approved.

Nothing here fails a cell: what goes wrong is said.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.errands import Errands, Wish
from flow_kernel.session.checkpoints.reach_look import Reach
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.taking import Taking
from flow_kernel.session.checkpoints.tracking import Ran, Tracking
from flow_kernel.settings import CheckpointSettings

_WHOLE_EVERY: Final = 20
"""Each so many automatic checkpoints everything is looked at, whatever was thought to change."""
_NAME_CHARS: Final = 120
_NUMBER: Final = re.compile(r"\b[0-9a-f]*[0-9][0-9a-f]*\b")
"""Ids and sizes, by which one reason differs from itself."""


def is_due(settings: CheckpointSettings, *, cells: int, minutes: float) -> bool:
    """True when it is time for one.

    Args:
        settings: After how much.
        cells: That ran since the last one and may have changed something.
        minutes: Since the last one.
    """
    if not cells:
        return False
    by_count = 0 < settings.every_cells <= cells
    return by_count or 0 < settings.every_minutes <= minutes


class Automatic:
    """The checkpoints that one session takes by itself.

    Args:
        checkpoints: Takes them.
        tracking: Tells of cells.
        settings: When.
        reach: What a cell may have changed.
        is_in_cell: True while a cell runs.
        say: Tells the person, at the next cell.
        errands: Takes what is wanted of variables that a worker holds.
        now_s: A clock that does not jump.
    """

    def __init__(  # noqa: PLR0913 - the assembly passes them once, each by name
        self,
        checkpoints: Checkpoints,
        tracking: Tracking,
        *,
        settings: CheckpointSettings,
        reach: Callable[[Ran, Checkpoints], Reach],
        is_in_cell: Callable[[], bool],
        say: Callable[[str], object],
        errands: Errands,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoints = checkpoints
        self._tracking = tracking
        self._settings = settings
        self._reach = reach
        self._is_in_cell = is_in_cell
        self._say = say
        self._errands = errands
        self._now_s = now_s
        self._cells = 0
        self._taken = 0
        self._last_s = now_s()
        self._is_approved = False
        self._failures: set[str] = set()
        self._has_taken = False
        self._due: Wish | None = None

    def follow(self) -> None:
        """From now on it matters what cells may change."""
        if not self._tracking.is_on:
            self._tracking.switch_on(
                before=self._before_cell, after=self._after_cell, in_cell=self._is_in_cell()
            )
        self._cells, self._last_s = 0, self._now_s()

    def approved(self, approval_id: str) -> None:
        """A person has said yes: what was approved runs now, and the end of its step gets a tag."""
        self._is_approved = True
        if self._settings.at_steps:
            self._take(Wish("approval", f"before {approval_id}"))

    def ended(self, kind: str, name: str) -> None:
        """A step or a task has come to its end.

        Args:
            kind: step or task.
            name: Of it.
        """
        tag, self._is_approved = self._is_approved, False
        if not self._settings.at_steps:
            return
        wish = Wish(kind, f"{kind} {name}"[:_NAME_CHARS], tag)
        is_busy = self._has_taken or self._checkpoints.pending is not None
        if is_busy and self._is_in_cell():
            # A loop may have a hundred steps: of those of one cell, the first and the last count.
            self._due = wish._replace(tag=tag or (self._due is not None and self._due.tag))
        else:
            self._has_taken = True
            self._take(wish)

    # -- told by the tracking ----------------------------------------------------------------------

    def _before_cell(self) -> None:
        # Its files are those of the moment before this cell; large ones may take longer than that.
        pending = self._checkpoints.pending
        if pending is not None:
            pending.wait_for_files(_FILES_WAIT_S)
        # Not after the cell: what was found out then would pass for what was known before it.
        self._checkpoints.turns.catch_up()

    def _after_cell(self, ran: Ran) -> None:
        due, self._due, self._has_taken = self._due, None, False
        if not ran.is_ours:
            self._count(ran, self._judged(ran))
        if due is not None:
            self._take(due)

    def _judged(self, ran: Ran) -> Reach:
        """What a cell may have changed: everything where another thread is at it for long."""
        checkpoints = self._checkpoints
        try:
            return checkpoints.turns.alone(
                partial(self._reach, ran, checkpoints), within_s=_TURN_WAIT_S
            )
        except StoreError as error:
            checkpoints.turns.later(partial(checkpoints.tracker.missed, ran.codes, error.message))
            return Reach(everything=error.message)

    def _count(self, ran: Ran, reach: Reach) -> None:
        if not self._settings.counts or not ran.ended.is_cell:
            return
        if not reach.is_nothing or ran.ended.has_bound:
            self._cells += 1
        if self._checkpoints.pending is not None:
            return  # the next one can wait: it holds what comes until then
        minutes = (self._now_s() - self._last_s) / 60
        if is_due(self._settings, cells=self._cells, minutes=minutes):
            self._take(Wish("cells", None, only_if_changed=True))

    def _take(self, wish: Wish) -> None:
        self._taken += 1
        try:
            if self._errands.want(wish):
                self._cells, self._last_s = 0, self._now_s()
                return
            if not self._checkpoints.is_quick():
                raise StoreError("this session is large and cannot be forked; try: %checkpoint")  # noqa: TRY301 - told below like the rest
            taking = self._checkpoints.begin(
                wish.name,
                reason=wish.reason,
                tag=wish.tag,
                whole=self._taken % _WHOLE_EVERY == 0,
                only_if_changed=wish.only_if_changed,
                # At the end of a cell, its reply comes first; within one, what it does next.
                after_s=0.0 if self._is_in_cell() else _REPLY_S,
                within_s=_TURN_WAIT_S,
            )
        except Exception as error:  # noqa: BLE001 - the user's cell goes on whatever became of ours
            self._failed(error)
            return
        taking.then(self._told)

    def _told(self, done: Taking) -> None:
        if done.error is not None:
            self._failed(done.error)
        else:
            self._failures.clear()

    def _failed(self, error: BaseException) -> None:
        """Say each reason once, until one is taken again."""
        reason = _NUMBER.sub("", str(error))
        if reason not in self._failures:
            self._failures.add(reason)
            self._say(f"an automatic checkpoint was not taken: {error}")

    def close(self) -> None:
        """Wait a while for what is on its way."""
        pending = self._checkpoints.pending
        if pending is not None:
            with suppress(Exception):  # it was told where it matters
                pending.wait(_LAST_WAIT_S)


_REPLY_S: Final = 0.02
_FILES_WAIT_S: Final = 2.0
_TURN_WAIT_S: Final = 2.0
_LAST_WAIT_S: Final = 4.0
"""Clients kill a kernel five seconds after they asked it to end."""
