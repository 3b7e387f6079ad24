"""How a worker signs and sends: as any kernel; the reply to a cell may carry variables.

Made by `shell.worker_app`. ipykernel has no place for buffers in a reply.
"""

from collections.abc import Sequence
from typing import Any

from jupyter_client.session import Session


class LoadedSession(Session):  # type: ignore[misc]  # jupyter_client has no types
    """jupyter_client's session."""

    reply_buffers: Sequence[bytes] = ()
    """Sent with the next reply to a cell, once."""

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        """Send as jupyter_client does."""
        if msg_or_type == "execute_reply" and self.reply_buffers:
            kwargs["buffers"], self.reply_buffers = self.reply_buffers, ()
        return super().send(stream, msg_or_type, *args, **kwargs)
