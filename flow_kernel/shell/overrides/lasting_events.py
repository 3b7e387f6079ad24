"""IPython's events, whose callbacks end nothing but themselves.

Used by the shells of `shell.kernel` and `shell.worker.app`.

IPython shows the error of a callback and goes on, except for SystemExit: with that the cell has no
reply, the other callbacks are not called, and the kernel ends. Here it is an error like any other.

Proven for IPython 9.0 to 9.18: `trigger` is IPython's, with a wider net; `is_usable` looks for it.
"""

import inspect
from typing import Any

from IPython.core.events import EventManager, available_events
from IPython.core.interactiveshell import InteractiveShell

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


def is_usable() -> bool:
    """IPython calls callbacks as we know it."""
    try:
        parameters = [*inspect.signature(EventManager.trigger).parameters]
        return parameters == ["self", "event", "args", "kwargs"] and type(available_events) is dict
    except (AttributeError, TypeError, ValueError):
        return False


class LastingEvents(EventManager):  # type: ignore[misc]  # IPython has no types
    """The callbacks of one shell."""

    def trigger(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Call those of `event`."""
        for func in self.callbacks[event][:]:
            try:
                func(*args, **kwargs)
            except BaseException:  # noqa: BLE001 - it is shown, as IPython shows others
                if self.print_on_error:
                    print(  # noqa: T201 - the words and the way of IPython
                        f"Error in callback {func} (for {event}), with arguments args {args},"
                        f"kwargs {kwargs}:"
                    )
                self.shell.showtraceback()


LastingEvents.__name__ = LastingEvents.__qualname__ = EventManager.__name__
LastingEvents.__module__ = EventManager.__module__


class LastingEventsShell(InteractiveShell):  # type: ignore[misc]  # IPython has no types
    """A shell with such events."""

    def init_events(self) -> None:
        """Make the events as IPython does."""
        super().init_events()
        if is_usable() and type(self.events) is EventManager:
            self.events.__class__ = LastingEvents
