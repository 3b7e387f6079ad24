"""One cell that was sent to the kernel: what came of it so far (pure but for its spool).

Made by `cells`; fed by `link` with the messages of the kernel.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from flow_kernel.apps.mcp.spool import Budget, Spool
from flow_kernel.errors import RepeatedRequest

Message = Mapping[str, Any]
_MOST_SHOWN: Final = 20
LEFT: Final = "KernelLeft"
"""Lost, because the server has turned to another kernel."""


class CellRun:
    """A run, from sending to its end.

    Args:
        run_id: The id of the message that asks the kernel.
        label: What it is of, for people: a tool.
        budget: Of what it prints, shared with other runs.

    Attributes:
        state: queued, running, done or lost.
        out: What it printed, and what it displayed as text.
        err: What it wrote to stderr.
        result: Its value, as text.
        latest: Where it has written last, of `out` and `err`.
        lines: So many it has written.
        shown: Media types of what is no text.
        reply: The answer of the kernel; None while there is none.
        loss: Why there will be none.
        loss_kind: Of that, as agents read it.
        is_joined: An earlier server has sent it: its reply goes there.
        is_withdrawn: It was cancelled before it began: the kernel will not run it.
        must_cancel: It is cancelled, and the kernel has not followed yet.
        ended: Set at its end.
    """

    def __init__(
        self, run_id: str, label: str, *, budget: Budget | None = None, is_joined: bool = False
    ) -> None:
        self.run_id = run_id
        self.label = label
        self.is_joined = is_joined
        self.state: str = "queued"
        self.out: Spool = Spool(budget)
        self.err: Spool = Spool(budget)
        self.result: Spool = Spool(budget)
        self.latest: Spool = self.out
        self.lines: int = 0
        self.shown: list[str] = []
        self.reply: Message | None = None
        self.loss: str = ""
        self.loss_kind: str = ""
        self.record: dict[str, object] | None = None
        self.progress: str = ""
        self.is_withdrawn: bool = False
        self.must_cancel: bool = False
        self.ended: asyncio.Event = asyncio.Event()
        self.began_s: float = time.monotonic()
        self._is_idle = False

    @property
    def has_ended(self) -> bool:
        """True once nothing more comes."""
        return self.ended.is_set()

    def hear(self, message: Message) -> None:
        """Take in one message of the kernel, whichever channel it came on."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            text = str(content.get("text", ""))
            self.latest = self.err if content.get("name") == "stderr" else self.out
            self.lines += text.count("\n")
            self.latest.add(text)
        elif kind in ("execute_result", "display_data"):
            self._show(content, is_result=kind == "execute_result")
        elif kind == "execute_input":
            self.state = "running"
        elif kind == "status":
            self._is_idle = self._is_idle or content.get("execution_state") == "idle"
        elif kind == "execute_reply":
            self.reply = message
            for page in content.get("payload") or ():
                self._show(page, is_result=False)
        if self._is_idle and (self.reply is not None or self.is_joined):
            self._end("done")

    @property
    def elapsed_s(self) -> float:
        """Since it was sent."""
        return round(time.monotonic() - self.began_s, 1)

    @property
    def is_repeat(self) -> bool:
        """True where the kernel says that this request came before, and did not run it again."""
        content = (self.reply or {}).get("content") or {}
        return content.get("ename") == RepeatedRequest.__name__

    def lose(self, reason: str, *, kind: str = "KernelDied") -> None:
        """No reply will come."""
        if not self.has_ended:
            self.loss, self.loss_kind = reason, kind
            self._end("lost")

    def settle(self, record: dict[str, object]) -> None:
        """It had ended before it was asked for: what the log says of it."""
        self.record = record
        self._end("done")

    def close(self) -> None:
        """Let go of what it printed."""
        self.out.close()
        self.err.close()
        self.result.close()

    def _end(self, state: str) -> None:
        self.state = state
        self.ended.set()

    def _show(self, content: object, *, is_result: bool) -> None:
        data = content.get("data") if isinstance(content, Mapping) else None
        if not isinstance(data, Mapping):
            return
        text = data.get("text/plain")
        if isinstance(text, str) and is_result:
            self.result.add(f"\n{text}" if self.result.chars else text)
        elif isinstance(text, str):
            self.out.add(f"{text}\n")
        media = [str(kind)[:60] for kind in data if str(kind).startswith(("image/", "video/"))]
        self.shown = [*self.shown, *media][:_MOST_SHOWN]
