"""The line at which a person types an answer in a terminal, without blocking on it.

Built by `shell.opening` for the questions of a session without a kernel.

While a cell runs the terminal hands over whole lines, so a line can be waited for beside an answer
from elsewhere. What was typed when the answer came from elsewhere is thrown away: it was no code.
"""

import select
import sys
from contextlib import suppress

try:
    import termios
except ImportError:  # Windows has none, and cannot wait for a line beside anything else
    termios = None  # type: ignore[assignment]  # the other case


class TerminalBox:
    """The standard input of this process, where it is a terminal."""

    def __init__(self) -> None:
        self._is_over = False

    @property
    def can_ask(self) -> bool:
        """True when somebody may sit there."""
        with suppress(OSError, ValueError, AttributeError):
            return termios is not None and sys.stdin.isatty() and sys.stdout.isatty()
        return False

    def ask(self, prompt: str) -> None:
        """Show the prompt; what was typed before it is no answer."""
        self._is_over = False
        self._forget()
        sys.stdout.write(prompt)
        sys.stdout.flush()

    def poll(self, timeout_s: float) -> str | None:
        """The line that was typed, after `timeout_s` at most; None while there is none."""
        waiting = [] if self._is_over else [sys.stdin]
        if not select.select(waiting, [], [], timeout_s)[0]:
            return None
        line = sys.stdin.readline()
        self._is_over = not line  # Ctrl-D: an answer can still come from elsewhere
        return line or None

    def wake(self) -> None:
        """Nobody has to: the next look comes in a moment."""

    def done(self) -> None:
        """Throw away what was typed and not sent."""
        self._forget()

    def _forget(self) -> None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
