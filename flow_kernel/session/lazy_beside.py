"""The questions of a session beside its cells, put together when they are first asked for.

Built by `session.assembly`. What they need of the store takes 20 ms to load, which most sessions
need not pay.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from flow_kernel.records.home import Home
from flow_kernel.session.announcer import Emit
from flow_kernel.session.approval_waits import Waits
from flow_kernel.session.recorder import Recorder
from flow_kernel.session.sealing import RecorderParts

if TYPE_CHECKING:
    from flow_kernel.session.approvals import Approvals
    from flow_kernel.session.beside import Beside
    from flow_kernel.store.contract import ApprovalRow


class LazyBeside:
    """Those of one session; called in any thread.

    Args:
        home: Where the state lies.
        parts: What the recorder works with.
        recorder: Knows who has sent the cell that runs.
        emit: Tells agents.
        on_carried: Told when there may be something new in the logs.
        closers: Told what ends with the session.
        waiting: Gives the questions whose cells may wait, once there are any.
        waits: Of these cells.
    """

    def __init__(  # noqa: PLR0913 - passed once, each by name
        self,
        home: Home,
        parts: RecorderParts,
        recorder: Recorder,
        *,
        emit: Emit,
        on_carried: Callable[[], None],
        closers: list[Callable[[], None]],
        waiting: "Callable[[], Approvals | None]",
        waits: Waits,
    ) -> None:
        self._home = home
        self._parts = parts
        self._recorder = recorder
        self._emit = emit
        self._on_carried = on_carried
        self._closers = closers
        self._lock = threading.Lock()
        self._found: Beside | None = None
        self._waiting = waiting
        self._waits = waits

    def __call__(self) -> "Beside":
        """They; nothing of the store is opened yet."""
        with self._lock:
            if self._found is None:
                self._found = self._made()
            return self._found

    def decide(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> "ApprovalRow":
        """Answer a question; see `Beside.decide`."""
        return self().decide(approval_id, decision, by=by, channel=channel, comment=comment)

    def _made(self) -> "Beside":
        with self._recorder.own_imports():
            from flow_kernel.session.assembly_beside import open_beside  # as the text above says

        return open_beside(
            self._home,
            self._parts,
            self._recorder,
            emit=self._emit,
            on_carried=self._on_carried,
            closers=self._closers,
            waiting=self._waiting,
            waits=self._waits,
        )
