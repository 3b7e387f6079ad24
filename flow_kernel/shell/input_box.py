"""The box under a cell in which a person types an answer, without blocking on it.

Built by `shell.kernel` for the session's questions.

What ipykernel does for `input()`, in two halves: `ask` sends the request and `poll` looks whether
an answer is there, so that an answer from elsewhere can come first. A box that was left open by
then may still be typed into: its answer is dropped, where the client says which box it belongs to,
or when the next box is opened.
"""

from collections import deque
from typing import Any, Final

import zmq

from flow_kernel.shell.guard import say

_REMEMBERED: Final = 100


class InputBox:
    """Requests for input of the running cell of `kernel`."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._request = ""
        self._given_up: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def can_ask(self) -> bool:
        """True when the client of the running cell answers requests for input."""
        return getattr(self._kernel, "_allow_stdin", False) is True

    def ask(self, prompt: str) -> None:
        """Show a box for an answer; what was typed into earlier ones is dropped."""
        kernel = self._kernel
        while self._receive() is not None:
            pass
        self._given_up.append(self._request)
        sent = kernel.session.send(
            kernel.stdin_socket,
            "input_request",
            {"prompt": prompt, "password": False},
            kernel.get_parent("shell"),
            ident=kernel._get_shell_context_var(kernel._shell_parent_ident),
            # A program tells it by this from `input()`, which nobody else can answer.
            metadata={"flow": {"question": True}},
        )
        self._request = sent["header"]["msg_id"] if sent else ""

    def poll(self, timeout_s: float) -> str | None:
        """What was typed into the box, after `timeout_s` at most; None while nothing was."""
        if not self._kernel.stdin_socket.poll(int(timeout_s * 1000), zmq.POLLIN):
            return None
        reply = self._receive()
        if not reply or reply.get("parent_header", {}).get("msg_id", "-") in self._given_up:
            return None
        value = reply["content"].get("value")
        return value if type(value) is str else None

    def done(self) -> None:
        """The box stays open until something is typed into it; that is dropped, see above."""

    def _receive(self) -> dict[str, Any] | None:
        """The next message; empty for one that is none of our client's."""
        try:
            _, message = self._kernel.session.recv(self._kernel.stdin_socket)
        except (ValueError, TypeError, KeyError) as error:
            say(f"flow: a message on the stdin channel was dropped ({error})\n")
            return {}
        return message  # type: ignore[no-any-return]  # ipykernel has no types
