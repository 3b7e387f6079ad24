"""Questions of ours leave the kernel's state alone: no `busy`, no `idle`.

Used by the kernel of `shell.kernel`.

ipykernel publishes both around each request of the control channel, and front ends draw the state
of the kernel from the last one they saw. A panel that asks four times a second would have it
flicker, and show a kernel as idle whose cell runs.

Proven for ipykernel 7.0 to 7.4, and its own way where that has another shape.
"""

import inspect
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.channels.control_channel import REQUEST

globals()["__builtins__"] = FROZEN_BUILTINS

_CONTROL: Final = "control"


def is_usable() -> bool:
    """True where ipykernel publishes its state as we know it."""
    try:
        taken = [*inspect.signature(IPythonKernel._publish_status).parameters]
        inspect.signature(IPythonKernel.get_parent).bind(None, _CONTROL)
    except (AttributeError, TypeError, ValueError):
        return False
    return taken == ["self", "status", "channel", "parent"]


_IS_USABLE: Final = is_usable()


class QuietRequestsKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel that is as busy as its cells."""

    def _publish_status(self, status: str, channel: str, *more: Any, **named: Any) -> None:
        if channel == _CONTROL and _IS_USABLE:
            asked = self.get_parent(_CONTROL).get("header") or {}
            if asked.get("msg_type") == REQUEST:
                return
        super()._publish_status(status, channel, *more, **named)
