"""The panel in a notebook: one widget, and the thread that tells it what is new.

Built by `shell.panel.panels`. The thread looks four times a second and sends what has changed since
the look before; where nothing has, it sends nothing. Without a panel there is no thread.

    press ─▶ thread of the shell channel ─┬▶ an answer: into the store, at once
                                          └▶ rollback, stop: into the queue ─▶ thread of the panel
"""

import queue
import threading
from contextlib import suppress
from typing import Any, Final

from flow_kernel.errors import FlowError
from flow_kernel.session.approval_buttons import CHANNEL, Answer
from flow_kernel.session.person import user_name
from flow_kernel.session.session import Session
from flow_kernel.shell.channels.own_comms import OwnComms
from flow_kernel.shell.panel.board import Board
from flow_kernel.shell.panel.main_thread import MainThread
from flow_kernel.shell.panel.orders import Orders, read_order
from flow_kernel.shell.panel.output import WidgetOutput
from flow_kernel.shell.panel.questions import take_answer
from flow_kernel.shell.panel.still import StillPanel
from flow_kernel.shell.panel.wire import Widget

LOOK_S: Final = 0.25
_MOST_WAITING: Final = 16
_STILL_AFTER: Final = 4
"""Looks without news, after which the still form is brought up to date."""
_END_S: Final = 5.0


class LivePanel:
    """One panel; `show` begins it, and it ends when either side closes the comm.

    Args:
        kernel: Of ipykernel.
        comms: That hear what is pressed.
        session: What it shows.
    """

    def __init__(self, kernel: Any, comms: OwnComms, session: Session) -> None:
        self._session = session
        self._board = Board(session)
        self._orders = Orders(session, MainThread(kernel, session))
        self._waiting: queue.Queue[dict[str, object] | None] = queue.Queue(_MOST_WAITING)
        self._widget = Widget(
            kernel,
            comms,
            state=lambda: {"flow": {"what": "panel", **self._board.now}},
            on_said=self._said,
            on_close=self._wake,
        )
        self._output = WidgetOutput(kernel, self._widget)
        self._thread = threading.Thread(target=self._run, name="flow-panel", daemon=True)
        self._quiet = 0

    @property
    def is_open(self) -> bool:
        """False once it has ended."""
        return self._widget.is_open

    def show(self) -> None:
        """Show it below the cell that runs now."""
        self._board.look()
        self._output.show(StillPanel(self._board.now))
        self._thread.start()

    def close(self) -> None:
        """Leave the still form in its place."""
        if self._widget.is_open:
            self._output.end(StillPanel(self._board.now))
            self._widget.close()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    # -- what is heard, in whichever thread that is ------------------------------------------------

    def _said(self, said: Any) -> None:
        if type(said) is not dict:
            return
        if said.get("op") == "hello":
            self._widget.say({"op": "all", **self._board.now})
        elif said.get("op") == "answer":
            take_answer(said, self._widget.say, self._answer_to)
            self._wake()
        else:
            try:
                self._waiting.put_nowait(said)
            except queue.Full:
                self._tell(said, "refused", ["too much was pressed at once; this was not done"])

    def _answer_to(self, approval_id: str) -> Answer:
        def answer(decision: str, comment: str) -> object:
            return self._session.beside.decide(
                approval_id, decision, by=user_name(), channel=CHANNEL, comment=comment
            )

        return answer

    def _wake(self) -> None:
        with suppress(queue.Full):
            self._waiting.put_nowait(None)

    # -- the thread of the panel -------------------------------------------------------------------

    def _run(self) -> None:
        while self._widget.is_open:
            try:
                said = self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                said = None
            if not self._widget.is_open:
                return
            with suppress(Exception):  # a look that fails is a look later; the session goes on
                if said is not None:
                    self._do(said)
                self._send_news()

    def _send_news(self) -> None:
        news = self._board.look().document()
        if news:
            self._widget.say(news)
            self._quiet = 0
        elif self._quiet <= _STILL_AFTER:
            self._quiet += 1
            if self._quiet == _STILL_AFTER:
                self._output.change(StillPanel(self._board.now))

    def _do(self, said: dict[str, object]) -> None:
        try:
            op, target, is_sure = read_order(said)
            do = self._orders.rollback if op == "rollback" else self._orders.stop
            with self._session.turns.held():
                lines = do(target, is_sure=is_sure)
        except FlowError as error:
            self._tell(said, "refused", [error.message, *([error.hint] if error.hint else [])])
        except BaseException as error:  # noqa: BLE001 - of a user's class, or an interrupt
            self._tell(said, "refused", [f"{type(error).__name__}: {error}"[:300]])
        else:
            self._tell(said, "done" if is_sure else "sure", lines)

    def _tell(self, said: dict[str, object], op: str, lines: list[str]) -> None:
        echo = {key: said.get(key) for key in ("id", "view") if type(said.get(key)) is str}
        self._widget.say({"op": op, "of": str(said.get("op"))[:20], "lines": lines, **echo})
