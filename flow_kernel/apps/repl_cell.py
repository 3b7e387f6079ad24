"""One running cell of `jupyter flow repl`: what comes of it, and the answer in the end (pure).

Called by `repl_session` with the messages of the kernel.

Output is kept within a budget, head and tail, so a flood costs neither memory nor a client that
chokes on its answer; `truncated` has the full size of what was cut.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flow_kernel.apps import repl_protocol as protocol
from flow_kernel.apps.repl_protocol import RunCell
from flow_kernel.records.output import Kept, StreamBuffer
from flow_kernel.records.plain import strip_controls

STREAM_CHARS: Final = 4 * 2**20
"""Characters of a stream in an answer."""
RESULT_CHARS: Final = 2**20

Said = dict[str, object]


class RunningCell:
    """What is known of a cell that was sent.

    Args:
        request: What was asked for.
        msg_id: The message that asks the kernel.
    """

    def __init__(self, request: RunCell, msg_id: str) -> None:
        self.request = request
        self.msg_id = msg_id
        self.has_begun: bool = False
        self.is_idle: bool = False
        self.reply: Mapping[str, Any] | None = None
        self._streams: dict[str, StreamBuffer] = {}
        self._results: list[str] = []

    def show(self, kind: str, content: Mapping[str, Any]) -> Iterator[Said]:
        """Take in one message of output that is no stream; gives what is to be told now."""
        if kind == "execute_input":
            self.has_begun = True
        elif kind == "status":
            self.is_idle = self.is_idle or content.get("execution_state") == "idle"
        elif kind in ("execute_result", "display_data"):
            text = _plain_text(content)
            if text is None:
                return
            if kind == "execute_result":
                self._results.append(text)
            else:
                yield from self.print("stdout", f"{text}\n")

    def print(self, stream: str, text: str) -> Iterator[Said]:
        """Take in text of a stream; gives its pieces, where they were asked for."""
        self._streams.setdefault(stream, StreamBuffer(STREAM_CHARS)).add(text)
        if self.request.is_streamed:
            for piece in protocol.chunks(text):
                yield protocol.chunk(self.request.id, stream, piece)

    def end(self, reply: Mapping[str, Any]) -> Iterator[Said]:
        """Take in the reply; gives the text of help pages that came with it."""
        self.reply = reply
        payloads = reply["content"].get("payload")
        for payload in payloads if isinstance(payloads, list) else ():
            text = _plain_text(payload)
            if text is not None and payload.get("source") == "page":
                yield from self.print("stdout", strip_controls(text, keep="\n\t") + "\n")

    def answer(self, elapsed_ms: float, failure: Mapping[str, object] | None = None) -> Said:
        """The answer.

        Args:
            elapsed_ms: From sending to now; the recorder's own figure goes first.
            failure: What ended the cell from outside; None as the reply says.
        """
        reply = self.reply or {}
        content = reply.get("content") or {}
        told = (reply.get("metadata") or {}).get("flow")
        facts = told if isinstance(told, dict) else {}
        error = failure or _error(content)
        texts = {
            "stdout": self._kept("stdout"),
            "stderr": self._kept("stderr"),
            "result": _clipped("\n".join(self._results)) if self._results else None,
        }
        cut = {name: kept.full_bytes for name, kept in texts.items() if kept and kept.full_bytes}
        said: Said = {
            "id": self.request.id,
            "success": error is None,
            **{name: kept.text if kept else None for name, kept in texts.items()},
            "error": error,
            "debug_info": {
                "added_vars": facts.get("added_vars", []),
                "added_imports": facts.get("added_imports", []),
                "elapsed_ms": facts.get("elapsed_ms", round(elapsed_ms, 3)),
                "execution": facts.get("execution", "local" if content else "error"),
                "seq": facts.get("seq"),
            },
        }
        return {**said, "truncated": cut} if cut else said

    def _kept(self, stream: str) -> Kept:
        return self._streams.get(stream, StreamBuffer(0)).kept(_whole)


def failure_of(ename: str, evalue: str) -> dict[str, object]:
    """An error of ours in the form of one of the cell's."""
    return {"ename": ename, "evalue": evalue, "traceback": []}


def _plain_text(message: object) -> str | None:
    # A cell can send messages of its own making.
    data = message.get("data") if isinstance(message, dict) else None
    text = data.get("text/plain") if isinstance(data, dict) else None
    return text if isinstance(text, str) else None


def _error(content: Mapping[str, Any]) -> dict[str, object] | None:
    status = content.get("status")
    if status == "ok":
        return None
    if status != "error":
        return failure_of("Aborted", "the kernel did not run the cell")
    lines = content.get("traceback")
    shown = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    traceback = strip_controls(shown, keep="\n\t")
    kept = _clipped(traceback).text
    return {
        "ename": str(content.get("ename", "")),
        "evalue": _clipped(str(content.get("evalue", ""))).text,
        "traceback": kept.split("\n") if kept else [],
    }


def _clipped(text: str) -> Kept:
    buffer = StreamBuffer(RESULT_CHARS)
    buffer.add(text)
    return buffer.kept(_whole)


def _whole(text: str) -> tuple[str, int]:
    """No secret is taken out: the client has asked for its own output."""
    return text, 0
