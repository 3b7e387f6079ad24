"""Sees output where there are no messages: in terminal IPython.

Called by `shell.attach` when the shell has no kernel.

Text is seen as it is written; what IPython writes while it shows a result, a display or a traceback
is taken from the bundle instead, so it is not counted twice. A subprocess that writes straight to
the terminal is not seen.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.taps.message_tap import Sink

globals()["__builtins__"] = FROZEN_BUILTINS

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


class TerminalTap:
    """Listens to the writes, displays and tracebacks of a terminal shell."""

    def __init__(self, shell: Any, sink: Sink, guard: Callable[..., Any]) -> None:
        self._shell = shell
        self._sink = sink
        self._guard = guard
        self._undo: list[Callable[[], None]] = []
        self.speaker: Callable[[], str | None] = lambda: None
        """Says whose output this thread writes; None for that of the latest cell."""

    def install(self) -> None:
        """Begin to listen."""
        shell, sink, guard = self._shell, self._sink, self._guard

        def formatted(data: Any, *_: Any) -> None:
            guard(sink.display, None, data, is_result=True)

        def published(data: Any = None, *_: Any, **kwargs: Any) -> None:
            guard(sink.display, None, data or kwargs.get("data") or {}, is_result=False)

        def shown(kind: Any, _value: Any, lines: Any) -> None:
            guard(sink.failed, None, _error(kind, lines))

        self._before(shell.displayhook, "write_format_data", formatted)
        self._before(shell.display_pub, "publish", published)
        self._before(shell, "_showtraceback", shown)

    def remove(self) -> None:
        """Leave the shell as it was."""
        while self._undo:
            self._undo.pop()()

    def write(self, name: str, text: str) -> None:
        """A cell wrote `text`; what belongs to a bundle is left out."""
        shell = self._shell
        if (speaker := self.speaker()) is not None:
            self._sink.stream(speaker, name, text)
            return
        if (
            shell.display_pub.is_publishing
            or shell.displayhook.is_active
            or shell.showing_traceback
        ):
            return
        self._sink.stream(None, name, text)

    def _before(self, owner: Any, name: str, tell: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def tapped(*args: Any, **kwargs: Any) -> Any:
            tell(*args, **kwargs)
            return original(*args, **kwargs)

        setattr(owner, name, tapped)

        def undo() -> None:
            if vars(owner).get(name) is tapped:
                delattr(owner, name)

        self._undo.append(undo)


def _error(kind: Any, lines: Any) -> dict[str, object]:
    texts = [line for line in lines if type(line) is str] if type(lines) is list else []
    name = type.__dict__["__name__"].__get__(kind) if isinstance(kind, type) else "Error"
    last = _ANSI.sub("", texts[-1]).strip().rpartition("\n")[2] if texts else ""
    return {"ename": name, "evalue": last.partition(": ")[2], "traceback": texts}
