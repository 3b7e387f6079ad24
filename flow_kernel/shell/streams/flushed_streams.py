"""A result, a display and an error arrive, whatever the cell has made of `sys.stdout`.

Used by the shells of `shell.kernel` and `shell.worker.app`.

Before each of them ipykernel flushes `sys.stdout` and `sys.stderr`, and sends nothing when that
fails. Here a stream that cannot be flushed is not flushed.

Proven for ipykernel 7.0 to 7.4: the three places are overridden by their names, and each does
nothing but what ipykernel does there; one that is missing in another version is called by nobody.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from traitlets import Type

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


def is_usable() -> bool:
    """Results, displays and errors are sent where we know it."""
    places = (
        (ZMQShellDisplayHook, "finish_displayhook"),
        (ZMQShellDisplayHook, "update_user_ns"),
        (ZMQDisplayPublisher, "_flush_streams"),
        (ZMQInteractiveShell, "_showtraceback"),
        (ZMQInteractiveShell, "set_parent"),
    )
    return all(callable(getattr(owner, name, None)) for owner, name in places)


class FlushingDisplayHook(ZMQShellDisplayHook):  # type: ignore[misc]  # ipykernel has no types
    """Shows results."""

    def update_user_ns(self, result: Any) -> None:
        """Keep the result under its names, which the cell may have lost."""
        repairs = getattr(getattr(self.shell, "kernel", None), "repairs", None)
        if repairs is not None:
            repairs.names.mend()
        super().update_user_ns(result)

    def finish_displayhook(self) -> None:
        """Send the result."""
        with _whole_streams(self.shell):
            super().finish_displayhook()


class FlushingDisplayPublisher(ZMQDisplayPublisher):  # type: ignore[misc]  # ipykernel has no types
    """Publishes what is displayed."""

    def _flush_streams(self) -> None:
        with _whole_streams(self.shell):
            super()._flush_streams()


class FlushingShell(ZMQInteractiveShell):  # type: ignore[misc]  # ipykernel has no types
    """A shell with them."""

    displayhook_class: Any = Type(FlushingDisplayHook)
    display_pub_class: Any = Type(FlushingDisplayPublisher)

    def set_parent(self, parent: Any) -> None:
        """A request begins: its output is its own, also where its stream is not in its place yet.

        ipykernel tells it `sys.stdout`; the kernel's own, put back in the midst of a cell, would
        print below an older one, and so would descriptors meanwhile.
        """
        super().set_parent(parent)
        repairs = getattr(self.kernel, "repairs", None)
        if repairs is not None:
            repairs.streams.set_parent(parent)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        with _whole_streams(self):
            super()._showtraceback(etype, evalue, stb)


for _ours, _theirs in (
    (FlushingDisplayHook, ZMQShellDisplayHook),
    (FlushingDisplayPublisher, ZMQDisplayPublisher),
):
    # Libraries look at the names of classes to know where they are.
    _ours.__name__ = _ours.__qualname__ = _theirs.__name__
    _ours.__module__ = _theirs.__module__


def _whole_streams(shell: Any) -> AbstractContextManager[None]:
    repairs = getattr(getattr(shell, "kernel", None), "repairs", None)
    return nullcontext() if repairs is None else repairs.streams.whole()
