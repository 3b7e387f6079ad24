"""What a run shows in a terminal while it goes on: a table that is drawn again, or plain lines.

Used by `run`. In a terminal the table holds the steps that run, wait or have failed and a line that
counts the others, so it fits for any number of steps; what steps write to stderr scrolls above it.
Where nobody looks, each change is a line of its own.
"""

import threading
import time
from collections import Counter
from typing import Final, Protocol, Self

from flow_kernel.apps.tables import Painter, clip, plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.plain import counted, human_ms
from flow_kernel.workflow import events
from flow_kernel.workflow.ledger import error_of
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.states import StepState

_DRAW_S: Final = 0.1
_MOST_ROWS: Final = 12
_LOG_LINES: Final = 500
"""Of one step, in a terminal or a file; the rest is kept with the run."""
_LONGEST_LINE: Final = 4000
_RETURN: Final = "\r"
_STYLES: Final = {
    StepState.OK: "green",
    StepState.RUNNING: "cyan",
    StepState.WAITING: "yellow",
    StepState.SKIPPED: "dim",
    StepState.CANCELLED: "yellow",
}
_MARKS: Final = {
    StepState.OK: "✓",
    StepState.RUNNING: "▸",
    StepState.WAITING: "?",
    StepState.SKIPPED: "·",
    StepState.CANCELLED: "-",
}


class Screen(Protocol):
    """Shows a run as it goes on."""

    def tell(self, event: events.Event) -> None:
        """Something has happened."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Nothing more will happen."""


def screen_for(terminal: Terminal, *, is_quiet: bool) -> Screen:
    """What fits to where the answer goes."""
    if is_quiet:
        return Nothing()
    return Table(terminal) if terminal.is_tty else Lines(terminal)


class Nothing:
    """Shows nothing."""

    def tell(self, event: events.Event) -> None:
        """Something has happened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was shown."""


class Lines(Nothing):
    """One line for each change."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._painter = Painter.of(terminal)
        self._lines: Counter[str] = Counter()
        self._unended: dict[str, str] = {}

    def tell(self, event: events.Event) -> None:
        """Something has happened."""
        for line in self._said(event):
            self._terminal.print(line)
        if not isinstance(event, events.StepLogged):
            self._terminal.flush()

    def _said(self, event: events.Event) -> list[str]:
        match event:
            case events.RunBegan():
                return [
                    plain(f"{event.run_id} {event.workflow}: {counted(len(event.steps), 'step')}")
                ]
            case events.StepEnded():
                rest = self._unended.pop(event.step.id, "")
                return [*self._shown(event.step, [rest] if rest else []), self._ended(event)]
            case events.StepRests():
                return [
                    plain(
                        f"  {event.step.name}: attempt {event.attempt} failed"
                        f" ({message_of(event.error)}), again in {event.wait_s:g} s"
                    )
                ]
            case events.StepLogged():
                return self._logged(event.step, event.text)
            case events.Warned():
                where = f"{event.step.name}: " if event.step is not None else ""
                return [plain(f"  {where}{event.message}")]
        return []

    def _logged(self, step: Step, text: str) -> list[str]:
        """Whole lines; what has no end yet waits for it."""
        *lines, rest = (self._unended.pop(step.id, "") + text).split("\n")
        if rest:
            self._unended[step.id] = rest[-_LONGEST_LINE:]
        return self._shown(step, lines)

    def _shown(self, step: Step, lines: list[str]) -> list[str]:
        room = _LOG_LINES - self._lines[step.id]
        self._lines[step.id] += len(lines)
        name = plain(step.name)
        shown = [
            f"  {name} │ {plain(line.rpartition(_RETURN)[2])}" for line in lines[: max(0, room)]
        ]
        if 0 <= room < len(lines):
            shown.append(f"  {name} │ … the rest is kept with the run")
        return shown

    def _ended(self, event: events.StepEnded) -> str:
        return f"  {line_of(event, self._painter)}"


class Table(Lines):
    """A table below what scrolls, drawn again when something has changed."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal)
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._states: dict[str, StepState] = {}
        self._began: dict[str, float] = {}
        self._drawn = 0
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._draw_on, name="flow-screen", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing more will happen."""
        self._halt.set()
        self._thread.join()
        with self._lock:
            self._clear()
            self._terminal.flush()

    def tell(self, event: events.Event) -> None:
        """Something has happened."""
        with self._lock:
            self._note(event)
            said = self._said(event)
            if said:
                self._clear()
                for line in said:
                    self._terminal.print(line)

    def _note(self, event: events.Event) -> None:
        match event:
            case events.RunBegan():
                self._steps = {step.id: step for step in event.steps}
                self._states = dict(event.states)
            case events.StepBegan():
                self._states[event.step.id] = StepState.RUNNING
                self._began[event.step.id] = time.monotonic()
            case events.StepEnded():
                self._states[event.step.id] = StepState(event.row.state)

    def _draw_on(self) -> None:
        while not self._halt.wait(_DRAW_S):
            with self._lock:
                self._clear()
                self._draw()
                self._terminal.flush()

    def _clear(self) -> None:
        if self._drawn:
            self._terminal.out.write(f"\r\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        now, width = time.monotonic(), self._terminal.columns - 1
        running = [name for name, state in self._states.items() if state == StepState.RUNNING]
        lines = [
            clip(
                f"▸ {plain(self._steps[name].name)}  {now - self._began.get(name, now):.1f} s",
                width,
            )
            for name in running[:_MOST_ROWS]
        ]
        if len(running) > _MOST_ROWS:
            lines.append(f"  and {len(running) - _MOST_ROWS} more")
        lines.append(clip(self._counts(), width))
        for line in lines:
            self._terminal.print(self._painter.paint(line, "cyan"))
        self._drawn = len(lines)

    def _counts(self) -> str:
        counts = Counter(self._states.values())
        done = sum(
            count
            for state, count in counts.items()
            if state not in (StepState.PENDING, StepState.RUNNING, StepState.WAITING)
        )
        return f"  {done} of {len(self._steps)} steps over, {counts[StepState.RUNNING]} running"


def line_of(event: events.StepEnded, painter: Painter) -> str:
    """What became of a step, on one line."""
    row, state = event.row, StepState(event.row.state)
    mark = painter.paint(_MARKS.get(state, "✗"), _STYLES.get(state, "red"))
    parts = [plain(event.step.name)]
    if state not in (StepState.OK,):
        parts.append(str(state))
    if row.elapsed_ms is not None:
        parts.append(human_ms(row.elapsed_ms))
    if row.attempt > 1:
        parts.append(f"attempt {row.attempt}")
    if row.reused_from:
        parts.append(f"from {row.reused_from}")
    if row.approval_id and state == StepState.WAITING:
        parts.append(f"jupyter flow approve {row.approval_id}")
    if error := event.error or error_of(row):
        said = message_of(dict(error)) if state != StepState.SKIPPED else str(error["message"])
        parts.append(plain(said))
    return f"{mark} {'  '.join(parts)}"


def message_of(error: object) -> str:
    """What an error of a step says."""
    if not isinstance(error, dict):
        return ""
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    return f"{kind}: {message}" if kind and not message.startswith(kind) else message
