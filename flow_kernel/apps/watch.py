"""`jupyter flow watch`: what happens in a home, live in a terminal.

Called by `cli`. One thread collects (`watch_gather`), this one draws what `watch_view` makes of it
and reads keys; only lines that have changed are written, in one piece, four times a second at most.
"""

import argparse
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Final

from flow_kernel.apps.sources import find_home
from flow_kernel.apps.state import add_home
from flow_kernel.apps.tables import Painter
from flow_kernel.apps.terminal import Terminal
from flow_kernel.apps.watch_gather import Gatherer, Snapshot
from flow_kernel.apps.watch_view import Decide, Hand, plain_lines, press, render
from flow_kernel.errors import FlowError
from flow_kernel.records.home import Home
from flow_kernel.session.approval_text import document_of as approval_document
from flow_kernel.session.isolation.worker_text import document_of as worker_document

try:
    import termios
except ImportError:  # Windows has none: one look is what can be had there
    termios = None  # type: ignore[assignment]  # the other case

_EACH_S: Final = 0.25
"""Between two looks, and between two drawings."""
_BEGIN: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_END: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_TAKES: Final = 64
_EPILOG: Final = """\
keys: j and k (or the arrows) select a question, a approves it and r rejects it once y confirms;
q or Ctrl-C ends. Where there is no terminal, or none whose keys can be read (Windows), it is
one look.

example: jupyter flow watch
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `watch`."""
    parser.add_argument("--json", action="store_true", help="one document for programs, once")
    add_home(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Watch until somebody has seen enough."""
    home = find_home(terminal, options.home)
    if options.json or termios is None or not (terminal.is_tty and sys.stdin.isatty()):
        _once(home, terminal, as_json=options.json)
        return 0
    collector = _Collector(home)
    try:
        with _screen(terminal) as resized:
            _watch(collector, terminal, resized)
    finally:
        collector.close()
    if collector.error is not None:
        raise collector.error
    return 0


def _once(home: Home, terminal: Terminal, *, as_json: bool) -> None:
    gatherer = Gatherer(home)
    try:
        gatherer.take()
        time.sleep(_EACH_S)  # what workers use now, and not since their start
        snapshot = gatherer.take()
    finally:
        gatherer.close()
    if as_json:
        terminal.document(_document(snapshot))
        return
    for line in plain_lines(snapshot, Painter.of(terminal), columns=terminal.columns):
        terminal.print(line)
    terminal.remark("no terminal to watch in: this was one look")


def _document(snapshot: Snapshot) -> dict[str, object]:
    return {
        "home": snapshot.home,
        "at": snapshot.at,
        "sessions": [asdict(line) for line in snapshot.sessions],
        "approvals": [approval_document(row) for row in snapshot.approvals],
        "tasks": [
            {
                "plan_id": task.plan_id,
                "task_id": task.task_id,
                "name": task.name,
                "status": task.status,
                "started_at": task.started_at,
                "ended_at": task.ended_at,
            }
            for task in snapshot.tasks
        ],
        "workers": [worker_document(view) for view in snapshot.workers],
        "records": [dict(record) for record in snapshot.records],
    }


class _Collector:
    """The thread that looks; questions are answered there, too.

    Args:
        home: Whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._wanted: SimpleQueue[Decide | None] = SimpleQueue()
        self._wakes, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self.snapshot: Snapshot | None = None
        self.message: str | None = None
        self.error: FlowError | OSError | None = None
        self.is_closed: bool = False
        self._thread = threading.Thread(target=self._run, name="flow-watch", daemon=True)
        self._thread.start()

    @property
    def fd(self) -> int:
        """Can be read when there is something new."""
        return self._wakes

    def decide(self, wanted: Decide) -> None:
        """Have a question answered; `message` will say what came of it."""
        self._wanted.put(wanted)

    def close(self) -> None:
        """End the thread."""
        self.is_closed = True
        self._wanted.put(None)
        self._thread.join(5.0)
        os.close(self._wakes)
        os.close(self._wake)

    def _run(self) -> None:
        gatherer = Gatherer(self._home)
        try:
            while not self.is_closed:
                self.snapshot = gatherer.take()
                self._tell()
                with suppress(Empty):
                    wanted = self._wanted.get(timeout=_EACH_S)
                    if wanted is not None:
                        self.message = gatherer.decide(wanted.approval_id, wanted.decision)
        except (FlowError, OSError) as error:
            self.error = error
            self._tell()
        finally:
            gatherer.close()

    def _tell(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake, b"\0")


class _Resized:
    """Whether the window has another size; a handler of signals may not wait for a lock."""

    def __init__(self) -> None:
        self.is_so: bool = False

    def note(self) -> None:
        """It has."""
        self.is_so = True


class _Canvas:
    """What stands on the screen: only what is another line is written."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown: list[str] = []
        self._size = (0, 0)

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:
        """Show lines, each within the width of the screen."""
        parts: list[str] = []
        if size != self._size:
            self._shown, self._size = [], size
            parts.append("\x1b[2J")
        for number, line in enumerate(lines):
            if number >= len(self._shown) or self._shown[number] != line:
                parts.append(f"\x1b[{number + 1};1H{line}\x1b[K")
        self._shown = lines
        if parts:
            text = "".join(parts)
            encoding = self._terminal.out.encoding or "utf-8"
            self._terminal.out.write(text.encode(encoding, "replace").decode(encoding))
            self._terminal.flush()


def _watch(collector: _Collector, terminal: Terminal, resized: "_Resized") -> None:
    hand, painter, canvas = Hand(), Painter.of(terminal), _Canvas(terminal)
    stdin, drawn_s, is_new = sys.stdin.fileno(), 0.0, False
    while not hand.is_done and collector.error is None:
        left_s = max(0.0, drawn_s + _EACH_S - time.monotonic()) if is_new else _EACH_S
        ready, _, _ = select.select([stdin, collector.fd], [], [], left_s)
        if collector.fd in ready:
            os.read(collector.fd, 4096)
            is_new = True
        if stdin in ready:
            data = os.read(stdin, _TAKES)
            if not data:  # nobody is there any more
                return
            hand, is_new = _pressed(collector, hand, data.decode("utf-8", "replace")), True
        if collector.message is not None:
            hand, collector.message = Hand(selected=hand.selected, message=collector.message), None
            is_new = True
        is_new = is_new or resized.is_so
        if is_new and collector.snapshot is not None and time.monotonic() - drawn_s >= _EACH_S:
            resized.is_so = False
            size = _size_of(terminal)
            lines = render(collector.snapshot, hand, painter, columns=size.columns, rows=size.lines)
            canvas.draw(lines, (size.columns, size.lines))
            drawn_s, is_new = time.monotonic(), False


def _size_of(terminal: Terminal) -> os.terminal_size:
    """That of the window now; what a shell has exported is that of another moment."""
    try:
        return os.get_terminal_size(terminal.out.fileno())
    except (OSError, ValueError):
        return shutil.get_terminal_size()


def _pressed(collector: _Collector, hand: Hand, text: str) -> Hand:
    ids = [] if collector.snapshot is None else [
        row.approval_id for row in collector.snapshot.approvals
    ]  # fmt: skip
    for key in _keys(text):
        hand, wanted = press(hand, key, ids)
        if wanted is not None:
            collector.decide(wanted)
    return hand


def _keys(text: str) -> Iterator[str]:
    """Single keys; an arrow is one, though it has three characters."""
    while text:
        size = 3 if text[:2] in ("\x1b[", "\x1bO") else 1
        yield text[:size]
        text = text[size:]


@contextmanager
def _screen(terminal: Terminal) -> Iterator["_Resized"]:
    """A screen of its own, and keys as they are pressed; as it was afterwards, whatever happens.

    Yields:
        Told whenever the screen has another size.
    """
    stdin, resized = sys.stdin.fileno(), _Resized()
    before = termios.tcgetattr(stdin)
    now = termios.tcgetattr(stdin)
    now[3] &= ~(termios.ICANON | termios.ECHO)
    now[6] = [*now[6]]
    now[6][termios.VSUSP] = b"\0"  # a stopped program would leave the screen as it is
    handlers = {
        signal.SIGWINCH: lambda *_: resized.note(),
        signal.SIGTERM: _interrupt,
        signal.SIGHUP: _interrupt,
    }
    old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        termios.tcsetattr(stdin, termios.TCSADRAIN, now)
        terminal.out.write(_BEGIN)
        terminal.flush()
        yield resized
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
            terminal.out.write(_END)
            terminal.flush()
        for number, handler in old.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
