"""What the buttons of the panel do, but for answers to questions: go back, stop a worker.

Built by `shell.panel.live`, whose thread does it. Each is told first what it would do, and is done
only when it comes back with `sure`; both are recorded as what they are wherever they are asked for.
"""

from collections.abc import Mapping
from typing import Final

from flow_kernel.errors import IllegalTransition, NotFound, UsageError
from flow_kernel.session.checkpoints.rollback import Rollback
from flow_kernel.session.isolation.worker_looks import find
from flow_kernel.session.isolation.worker_text import title_of
from flow_kernel.session.session import Session
from flow_kernel.shell.panel.main_thread import MainThread
from flow_kernel.shell.views.checkpoint_display import RollbackCard

_MOST_LINES: Final = 30


class Orders:
    """Of one session.

    Args:
        session: Whose.
        main: The thread of its cells.
    """

    def __init__(self, session: Session, main: MainThread) -> None:
        self._session = session
        self._main = main

    def rollback(self, checkpoint_id: str, *, is_sure: bool) -> list[str]:
        """Go back, or say what that would change; the dry run changes nothing.

        Raises:
            FlowError: It cannot be done; nothing was changed.
        """
        session = self._session
        if session.settings.isolate_all:
            raise IllegalTransition(
                "the variables of this session live in its worker; nothing was changed",
                hint=f"run: %rollback {checkpoint_id}",
            )

        def go_back() -> Rollback:
            if is_sure:
                session.still.stir()  # workers have to be sent what comes back
            try:
                return session.rollback(checkpoint_id, dry_run=not is_sure)
            finally:
                if is_sure:  # no cell of anybody's has done it
                    session.recorder.changed_unseen()
                    session.recorder.rev()

        back = self._main.do(go_back)
        assert isinstance(back, Rollback)  # noqa: S101 - it is what was done
        return _lines(repr(RollbackCard(back)))

    def stop(self, worker_id: str, *, is_sure: bool) -> list[str]:
        """End a worker, or say what that would do.

        Raises:
            NotFound: There is none.
            IsolationUnavailable: It does not end.
        """
        isolation = self._session.find_isolation()
        if isolation is None:
            raise NotFound("this session has no workers")
        if is_sure:
            return [f"{title_of(isolation.steering.stop(worker_id))} has ended"]
        view = find(isolation.steering.views(), worker_id)
        runs = f"it is {view.line.state}; " if view.line.state != "idle" else ""
        return [
            f"stop {title_of(view)}?",
            f"  {runs}a cell that runs there ends with an error, and its variables are gone",
        ]


def read_order(said: Mapping[str, object]) -> tuple[str, str, bool]:
    """What is wanted, of what, and whether that is sure.

    Raises:
        UsageError: It is nothing that can be pressed.
    """
    op, target, sure = said.get("op"), said.get("id"), said.get("sure", False)
    if op not in ("rollback", "stop") or type(target) is not str or not 0 < len(target) <= 100:
        raise UsageError("that is nothing that can be pressed")
    return str(op), target, sure is True


def _lines(text: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        return [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} lines more"]
    return lines
