"""The box under a cell in which a person types an answer, without blocking on it.

Built by `shell.opening` for the session's questions.

What ipykernel does for `input()`, in two halves: `ask` sends the request and `poll` looks whether
an answer is there, so that an answer from elsewhere can come first. A box that was left open by
then may still be typed into: its answer is dropped, where the client says which box it belongs to,
or when the next box is opened.

The protocol has no message that closes a box, and JupyterLab runs no cell while one is open. There,
and in Notebook 7, a line of script presses Enter in it; the output that carried it is emptied.
"""

from collections import deque
from typing import Any, Final

import zmq

from flow_kernel.shell.taps.guard import say

PRESSED: Final = "\u2060"
"""What a button of ours types into the box beside it, to close it: no answer."""
_REMEMBERED: Final = 100
_CLOSING_MS: Final = 500
"""How long a browser that is still there needs to answer, with plenty to spare."""
_PRESS_ENTER: Final = """<script>
for (const box of document.currentScript?.closest(".jp-CodeCell")
    ?.querySelectorAll(".jp-Stdin-input") ?? []) {
  box.value = "";
  box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
}
</script>"""


class InputBox:
    """Requests for input of the running cell of `kernel`."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._request = ""
        self._is_open = False
        self._given_up: deque[str] = deque(maxlen=_REMEMBERED)

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

    def poll(self, timeout_s: float) -> str | None:
        """What was typed into the box, after `timeout_s` at most; None while nothing was."""
        if not self._kernel.stdin_socket.poll(int(timeout_s * 1000), zmq.POLLIN):
            return None
        reply = self._receive()
        if not reply or reply.get("parent_header", {}).get("msg_id", "-") in self._given_up:
            return None
        self._is_open = False
        value = reply["content"].get("value")
        return value if type(value) is str and value != PRESSED else None

    def done(self) -> None:
        """Close the box where the client can; elsewhere what is typed into it is dropped."""
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
