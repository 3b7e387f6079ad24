"""What a session does that is held by a cell, in words and as documents (pure).

Called by `held`, by the verb `jupyter flow workers` and by `%flow status`.

    the system says    and its stack, innermost first               state
    T, t               –                                            stopped
    D                  –                                            waiting_io
    any                ipykernel or one of our boxes asks           waiting_input
    not running        `subprocess`, or a cell in a worker          waiting_child
    not running        `threading`, `queue`, `concurrent.futures`   waiting_lock
    R, or much CPU     –                                            running
    S                  – (by the call that it sleeps in)            waiting_child, waiting_lock,
                                                                    waiting_io
    S                  –                                            sleeping
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from flow_kernel.records.plain import human_bytes, human_ms, one_line

if TYPE_CHECKING:
    from flow_kernel.session.held import KernelView

_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d{1,9}) in (?P<function>.*)')
_CELL: Final = re.compile(r"<ipython-input-.*|(?:.*[/\\])?ipykernel_\d+[/\\][^/\\]+\.py")
_CURRENT: Final = ("Current thread ", "Stack (most recent call first)")
_THREAD: Final = re.compile(r"(?:Current t|T)hread 0x|Stack \(most recent")
_BUSY_PCT: Final = 50.0
_ASKING: Final = (
    "ipykernel/kernelbase.py",
    "flow_kernel/shell/views/input_box.py",
    "terminal_box.py",
)
_DEEP: Final = 10
"""Before it asks, it waits until what was printed is out: below the frames of that wait."""
_ASKS: Final = ("raw_input", "getpass", "_input_request", "poll", "ask")
_CHILD: Final = ("/subprocess.py", "flow_kernel/session/isolation/run.py", "/pexpect/")
_LOCKS: Final = ("/threading.py", "/queue.py", "/concurrent/futures/_base.py")
_CALLS: Final = ("waiting_child", "waiting_lock", "waiting_io")
_LOOP: Final = ("/asyncio/",)
_BELOW: Final = ("IPython/core/interactiveshell.py", "run_code")
_SHOWN_FRAMES: Final = 12
_LINE_CHARS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a stack.

    Attributes:
        file: As Python names it; `cell` for that of a cell.
        line: In it.
        function: As Python names it.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{one_line(self.file, _LINE_CHARS)}:{self.line} in {one_line(self.function, 60)}"


def frames_of(text: str) -> tuple[Frame, ...]:
    """The frames of the main thread in what faulthandler has written, down to those of the shell.

    The signal is handled by the main thread, which is the current one then.
    """
    found: list[Frame] = []
    is_main = False
    for row in text.splitlines():
        if _THREAD.match(row):
            is_main = row.startswith(_CURRENT)
        elif is_main and (match := _FRAME.match(row)):
            if match["file"].endswith(_BELOW[0]) and match["function"] == _BELOW[1]:
                break
            file = "cell" if _CELL.match(match["file"]) else match["file"]
            found.append(Frame(file=file, line=int(match["line"]), function=match["function"]))
    return tuple(found)


def state_of(  # noqa: PLR0911 - a line for each row of the table
    letter: str, frames: Sequence[Frame], cpu_pct: float | None, *, call: str = ""
) -> str:
    """What a session does; see the table above.

    Args:
        letter: Of its main thread, as the system writes it; empty where it does not say.
        frames: Of its main thread, innermost first.
        cpu_pct: Of its process.
        call: What the call of the system means that it sleeps in, where that is known.
    """
    if letter in ("T", "t"):
        return "stopped"
    if letter == "D":
        return "waiting_io"
    if any(_is_in(frame, _ASKING) and frame.function in _ASKS for frame in frames[:_DEEP]):
        return "waiting_input"
    is_busy = cpu_pct is not None and cpu_pct >= _BUSY_PCT
    if letter == "R" or is_busy:
        return "running"
    if any(_is_in(frame, _CHILD) for frame in frames[:5]):
        return "waiting_child"
    if any(_is_in(frame, _LOCKS) for frame in frames[:2]):
        return "waiting_lock"
    is_awaiting = any(_is_in(frame, _LOOP) for frame in frames[:3])
    if letter == "S" and call in _CALLS and not is_awaiting:
        return call
    return "sleeping" if letter == "S" else "unknown"


def lines_of(view: "KernelView") -> list[str]:
    """One session for people: what it runs, and where that is."""
    cell = view.cell
    if cell is None:
        return [f"session {view.session[:8]} (pid {view.pid}) is {view.state}"]
    count = "" if cell.execution_count is None else f" [{cell.execution_count}]"
    head = (
        f"session {view.session[:8]} (pid {view.pid}) runs cell{count}"
        f" for {human_ms(cell.running_s * 1000)}: {view.state}"
    )
    facts = [] if view.cpu_pct is None else [f"{view.cpu_pct:.0f} % CPU"]
    facts += [] if view.rss_bytes is None else [human_bytes(view.rss_bytes)]
    shown = [f"    {frame}" for frame in view.frames[:_SHOWN_FRAMES]]
    more = len(view.frames) - len(shown)
    return [
        ", ".join([head, *facts]),
        f"  {one_line(_first_line(cell.code), _LINE_CHARS)}",
        *shown,
        *([f"    … {more} more"] if more > 0 else []),
    ]


def summary_of(view: "KernelView") -> str:
    """The same as a line that stands beside the name of the session."""
    if view.cell is None:
        return view.state
    where = f", at {view.frames[0]}" if view.frames else ""
    running = human_ms(view.cell.running_s * 1000)
    return f"{view.state} for {running}: {one_line(_first_line(view.cell.code), 60)}{where}"


def document_of(view: "KernelView") -> dict[str, object]:
    """The same for programs."""
    cell = view.cell
    return {
        "session": view.session,
        "pid": view.pid,
        "notebook": view.notebook,
        "state": view.state,
        "cell": None
        if cell is None
        else {
            "execution_count": cell.execution_count,
            "code": _first_line(cell.code),
            "began_at": cell.began_at,
            "running_s": cell.running_s,
            "task_id": cell.task_id,
        },
        "stack": [
            {"file": frame.file, "line": frame.line, "function": frame.function}
            for frame in view.frames
        ],
        "cpu_pct": view.cpu_pct,
        "rss_bytes": view.rss_bytes,
    }


def _is_in(frame: Frame, files: Sequence[str]) -> bool:
    path = PurePath(frame.file).as_posix()
    return any(file in path for file in files)


def _first_line(code: str) -> str:
    return next((row for row in code.splitlines() if row.strip()), "")
