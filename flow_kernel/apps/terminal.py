"""What a verb knows of its process: the screen, the environment, the directory and the clock.

Made once by `cli.main` and handed to every verb; nothing else in apps asks the process for these.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from flow_kernel.errors import NotFound

_PIPE_COLUMNS: Final = 120
_MIN_COLUMNS: Final = 40
_PROBE: Final = "✓✗†…·─▸"
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class Terminal:
    """The screen and surroundings of one run of a verb."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        env: Mapping[str, str],
        cwd: Path,
        now: Callable[[], datetime],
    ) -> None:
        """Wrap the streams `out` (answers) and `err` (errors and remarks)."""
        self.out = out
        self.err = err
        self.env = env
        self.cwd = cwd
        self.now = now

    @classmethod
    def of_process(cls) -> "Terminal":
        """The terminal of this process.

        Raises:
            NotFound: The working directory was deleted.
        """
        try:
            cwd = Path.cwd()
        except FileNotFoundError:
            raise NotFound("the working directory no longer exists") from None
        return cls(sys.stdout, sys.stderr, env=os.environ, cwd=cwd, now=lambda: datetime.now(UTC))

    @property
    def is_tty(self) -> bool:
        """True when a person reads along."""
        return self.out.isatty()

    @property
    def has_colours(self) -> bool:
        """True on a terminal that shows colours, unless NO_COLOR is set."""
        return self.is_tty and not self.env.get("NO_COLOR") and self.env.get("TERM") != "dumb"

    @property
    def has_unicode(self) -> bool:
        """True when the marks of the tables can be printed."""
        try:
            _PROBE.encode(self.out.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    @property
    def columns(self) -> int:
        """The width that a line may take; COLUMNS wins, a pipe has 120."""
        asked = self.env.get("COLUMNS", "")
        if asked.isascii() and asked.isdigit() and int(asked) > 0:
            return max(int(asked), _MIN_COLUMNS)
        try:
            found = os.get_terminal_size(self.out.fileno()).columns
        except (OSError, ValueError):
            found = 0
        return max(found, _MIN_COLUMNS) if found else _PIPE_COLUMNS

    def print(self, text: str = "") -> None:
        """Write one line of an answer; characters that the encoding lacks become `?`."""
        encoding = self.out.encoding or "utf-8"
        if not text.isascii():
            text = text.encode(encoding, "replace").decode(encoding)
        self.out.write(text + "\n")

    def remark(self, text: str) -> None:
        """Write one line beside the answer, on stderr."""
        self.err.write(text + "\n")

    def document(self, value: object) -> None:
        """Write `value` as one JSON document in UTF-8, and a newline."""
        # A lone surrogate (a file name that is not UTF-8) leaves as its JSON escape.
        text = json.dumps(value, ensure_ascii=False)
        self.bytes_line(text.encode("utf-8", "backslashreplace"))

    def bytes_line(self, line: bytes) -> None:
        """Write `line` as it is, and a newline."""
        buffer = getattr(self.out, "buffer", None)
        if buffer is None:
            self.out.write(line.decode("utf-8", "replace") + "\n")
            return
        self.out.flush()
        buffer.write(line + b"\n")

    def flush(self) -> None:
        """Hand everything to the operating system, so that its refusal is seen here."""
        self.out.flush()
        self.err.flush()


def open_closed_streams() -> None:
    """Open the standard streams that the caller has closed (`>&-`) on nothing.

    Python has None for them, and the next file that is opened, be it the store, gets their number.
    """
    for fd, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is not None:
            continue
        null = os.open(os.devnull, os.O_RDWR)
        if null == fd:
            os.set_inheritable(fd, True)
        else:
            os.dup2(null, fd)
            os.close(null)
        setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as the process
