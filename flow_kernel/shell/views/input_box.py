"""The box under a cell in which a person types an answer, without blocking on it.

Built by `shell.opening` for the session's questions.

What ipykernel does for `input()`, in two halves: `ask` sends the request and `poll` looks whether
an answer is there, so that an answer from elsewhere can come first. A box that was left open by
then may still be typed into: its answer is dropped, where the client says which box it belongs to,
or when the next box is opened.

The protocol has no message that closes a box, and JupyterLab runs no cell while one is open. There,
and in Notebook 7, a line of script presses Enter in it; the output that carried it is emptied.
"""

import socket
from collections import deque
from contextlib import suppress
from typing import Any, Final

import zmq

from flow_kernel.shell.taps.guard import say

PRESSED: Final = "\u2060"
"""What a button of ours types into the box beside it, to close it: no answer."""
_REMEMBERED: Final = 100
_RINGS: Final = 64
_CLOSING_MS: Final = 500
"""How long a browser that is still there needs to answer, with plenty to spare."""
_PRESS_ENTER: Final = """<script>
for (const box of document.currentScript?.closest(".jp-CodeCell")
    ?.querySelectorAll(".jp-Stdin-input") ?? []) {
  box.value = "";
  box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
}
</script>"""


def _new_bell() -> tuple[socket.socket, socket.socket] | None:
    """Both ends of what ends a poll; None where there can be no more descriptors."""
    try:
        bell = socket.socketpair()
    except OSError:
        return None
    for end in bell:
        end.setblocking(False)
    return bell


class InputBox:
    """Requests for input of the running cell of `kernel`."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._request = ""
        self._is_open = False
        self._given_up: deque[str] = deque(maxlen=_REMEMBERED)
        self._bell: tuple[socket.socket, socket.socket] | None = None

    @property
    def can_ask(self) -> bool:
        """True when the client of the running cell answers requests for input."""
        return getattr(self._kernel, "_allow_stdin", False) is True

    def ask(self, prompt: str, *, is_password: bool = False, is_question: bool = True) -> None:
        """Show a box for an answer; what was typed into earlier ones is dropped.

        Args:
            prompt: Beside the box.
            is_password: True to show nothing of what is typed.
            is_question: False for `input()`.
        """
        kernel = self._kernel
        while self._receive() is not None:
            pass
        self._given_up.append(self._request)
        sent = kernel.session.send(
            kernel.stdin_socket,
            "input_request",
            {"prompt": prompt, "password": is_password},
            kernel.get_parent("shell"),
            ident=kernel._get_shell_context_var(kernel._shell_parent_ident),
            # A program tells it by this from `input()`, which nobody else can answer.
            metadata={"flow": {"question": True}} if is_question else None,
        )
        self._request = sent["header"]["msg_id"] if sent else ""
        self._is_open = bool(sent)
        if is_question and self._bell is None:
            self._bell = _new_bell()

    def poll(self, timeout_s: float) -> str | None:
        """What was typed into the box, after `timeout_s` at most; None while nothing was."""
        if not self._waits_for_message(timeout_s):
            return None
        reply = self._receive()
        if not reply or reply.get("parent_header", {}).get("msg_id", "-") in self._given_up:
            return None
        self._is_open = False
        value = reply["content"].get("value")
        return value if type(value) is str and value != PRESSED else None

    def wake(self) -> None:
        """End a `poll` that goes on, or the next one; callable in any thread."""
        if (bell := self._bell) is not None:
            with suppress(OSError):  # it has been closed, or rings already
                bell[1].send(b"!")

    def done(self) -> None:
        """Close the box where the client can; elsewhere what is typed into it is dropped."""
        if (bell := self._bell) is not None:
            self._bell = None
            for end in bell:
                end.close()
        if self._is_open:
            self.poll(0)  # a button that was pressed has closed it
        if not self._is_open:
            return
        self._is_open = False
        self._given_up.append(self._request)
        # JupyterLab and Notebook 7 alone send this with a cell.
        if "deletedCells" in (self._kernel.get_parent("shell").get("metadata") or {}):
            self._publish("display_data", {"text/html": _PRESS_ENTER})
            self._publish("update_display_data", {})
            # Its answer must not be left for an `input()` of the same cell.
            if self._kernel.stdin_socket.poll(_CLOSING_MS, zmq.POLLIN):
                self._receive()

    def _waits_for_message(self, timeout_s: float) -> bool:
        """True where a message is there; False after a while, and when it is woken."""
        stdin, bell = self._kernel.stdin_socket, self._bell
        timeout_ms = int(timeout_s * 1000)
        if bell is None or not isinstance(stdin, zmq.Socket):  # a forked cell has another way
            return bool(stdin.poll(timeout_ms, zmq.POLLIN))
        poller = zmq.Poller()
        poller.register(stdin, zmq.POLLIN)
        poller.register(bell[0], zmq.POLLIN)
        found = dict(poller.poll(timeout_ms))
        if bell[0].fileno() in found:
            with suppress(OSError):
                bell[0].recv(_RINGS)
        return stdin in found

    def _publish(self, kind: str, data: dict[str, str]) -> None:
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            kind,
            {"data": data, "metadata": {}, "transient": {"display_id": self._request}},
            kernel.get_parent("shell"),
            ident=kernel._topic(kind),
        )

    def _receive(self) -> dict[str, Any] | None:
        """The next message; empty for one that is none of our client's."""
        try:
            _, message = self._kernel.session.recv(self._kernel.stdin_socket)
        except (ValueError, TypeError, KeyError) as error:
            say(f"flow: a message on the stdin channel was dropped ({error})\n")
            return {}
        return message  # type: ignore[no-any-return]  # ipykernel has no types
