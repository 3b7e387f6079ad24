"""A run that goes on below its cell: drawn again as things happen, told to agents, stopped.

Called by `shell.workflows.answers`.

    thread of the cell                      thread of the run
      begin ───────────────────────────────▶ its own event loop: `Service.go`
      look ◀─────────── Watch.note ◀──────── events
      draw (4 times a second at most), tell agents
      Ctrl-C ──▶ stop ──────────────────────▶ what runs is ended and written down
      draw the end ◀──────────────────────── over

The run has a loop of its own because that of the kernel is busy with the cell.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from IPython.display import display

from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.session.announcer import Emit
from flow_kernel.shell.workflows.display import has_displays
from flow_kernel.store.run_rows import RunRow
from flow_kernel.workflow import events
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.picture_html import Drawing
from flow_kernel.workflow.picture_sight import MARKS, Sight, error_text, facts_of
from flow_kernel.workflow.picture_watch import Watch, step_of
from flow_kernel.workflow.service import Service
from flow_kernel.workflow.states import StepState
from flow_kernel.workflow.views import Run

_DRAW_S: Final = 0.25
_LOOK_S: Final = 0.1
_ERROR_CHARS: Final = 200
_TICKS: Final = ((10.0, 0.5), (60.0, 1.0), (600.0, 5.0))
"""How often time alone makes it be drawn again: until then, every so many seconds."""
_SLOW_TICK_S: Final = 30.0


class Outcome:
    """How a run ended here: what is stored of it, and whether an interrupt has stopped it."""

    def __init__(self, run: Run, *, was_interrupted: bool) -> None:
        self.run = run
        self.was_interrupted = was_interrupted


class Live:
    """One run that goes on in this process.

    Args:
        service: Of the home.
        row: The run, which this process works on.
        workflow: Its definition.
        emit: Tells agents.
        ask: Tells agents of an open question, by its id.
    """

    def __init__(
        self,
        service: Service,
        row: RunRow,
        workflow: Workflow,
        *,
        emit: Emit,
        ask: Callable[[str], None],
    ) -> None:
        self._service = service
        self._row = row
        self._emit = emit
        self._ask = ask
        self._watch = Watch(service.book.run(row.run_id), workflow, time.monotonic)
        self._screen: _Picture | _Lines = (
            _Picture(Drawing(workflow.steps)) if has_displays() else _Lines()
        )
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._told: deque[events.Event] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._found: list[Run] = []
        self._failed: list[BaseException] = []
        self._is_stale = True
        self._began_s = self._drawn_s = time.monotonic()
        self._rest_s = 0.0

    def go(self) -> Outcome:
        """Go on until nothing is left to do here; draws all but the end.

        Raises:
            StoreError: The store refuses; the run can be resumed.
        """
        thread = threading.Thread(target=self._run, name="flow-workflow")
        with NotedInterrupts() as held:  # between two of these steps it would go on unseen
            thread.start()
            is_stopped = False
            self._turn()
            while not self._is_over.wait(_LOOK_S):
                if held.was_interrupted and not is_stopped:
                    is_stopped = self._stop()
                self._turn()
            thread.join()
            self._hear()
        if self._failed:
            raise self._failed[0]
        return Outcome(self._found[0], was_interrupted=held.was_interrupted)

    def end(self, sight: Sight) -> None:
        """Draw the run as it was left."""
        self._screen.end(sight)

    # -- in the thread of the run ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self._failed.append(error)
        finally:
            self._is_over.set()

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._found.append(await self._service.go(self._row, self._tell))

    def _tell(self, event: events.Event) -> None:
        with self._lock:
            self._watch.note(event)
            self._told.append(event)

    # -- in the thread of the cell -----------------------------------------------------------------

    def _stop(self) -> bool:
        loop = self._loop
        if loop is None:  # it has not begun yet: at the next turn
            return False
        try:
            loop.call_soon_threadsafe(self._service.stop, self._row.run_id)
        except RuntimeError:  # it is over
            return True
        return True

    def _turn(self) -> None:
        self._hear()
        since_s = time.monotonic() - self._drawn_s
        if since_s >= self._rest_s and (self._is_stale or since_s >= self._tick_s()):
            self._draw()

    def _hear(self) -> None:
        with self._lock:
            told, self._told = self._told, deque()
        for event in told:
            self._is_stale = True
            self._announce(event)
            self._screen.tell(event)

    def _announce(self, event: events.Event) -> None:
        match event:
            case events.StepBegan():
                self._say("step_start", event.step.name)
            case events.StepRests():
                self._say("step_end", event.step.name, event.error)
            case events.StepEnded() if event.row.state == StepState.WAITING:
                self._ask(event.row.approval_id or "")
            case events.StepEnded() if event.row.started_at is not None and event.row.attempt:
                self._say("step_end", event.step.name, event.error)

    def _say(self, kind: str, step: str, error: Mapping[str, Any] | None = None) -> None:
        row = self._row
        told = one_line(str((error or {}).get("message", "")), _ERROR_CHARS) or None
        self._emit(kind, task_id=row.task_id, run_id=row.run_id, step=step, error=told)

    def _tick_s(self) -> float:
        so_far_s = time.monotonic() - self._began_s
        return next((tick for until, tick in _TICKS if so_far_s < until), _SLOW_TICK_S)

    def _draw(self) -> None:
        began_s = time.monotonic()
        with self._lock:
            sight = self._watch.sight()
        self._screen.draw(sight)
        self._is_stale = False
        self._drawn_s = time.monotonic()
        # A picture of very many steps takes a share of the time, and no more.
        self._rest_s = max(_DRAW_S, 5 * (self._drawn_s - began_s))


class _Picture:
    """In a notebook: one display that is drawn again."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._display_id = f"flow-run-{os.urandom(8).hex()}"
        self._is_there = False

    def tell(self, event: events.Event) -> None:
        """Something has happened, which the next drawing shows."""

    def draw(self, sight: Sight) -> None:
        """Draw it."""
        self._show(sight, has_details=False)

    def end(self, sight: Sight) -> None:
        """Draw it for the last time."""
        self._show(sight, has_details=True)

    def _show(self, sight: Sight, *, has_details: bool) -> None:
        bundle = self._drawing.bundle(sight, has_details=has_details)
        display(bundle, raw=True, display_id=self._display_id, update=self._is_there)
        self._is_there = True


class _Lines:
    """In a terminal, which has no place to draw again: a line for each step that is over."""

    def tell(self, event: events.Event) -> None:
        """Something has happened."""
        if isinstance(event, events.StepEnded):
            step = step_of(event)
            parts = [step.name, facts_of(step), error_text(step, 100)]
            self._say(f"{MARKS[step.state]} {'  '.join(part for part in parts if part)}")
        elif isinstance(event, events.StepRests):
            again = human_ms(event.wait_s * 1000)
            self._say(f"  {event.step.name}: attempt {event.attempt} failed, again in {again}")

    def draw(self, sight: Sight) -> None:
        """Nothing is drawn."""

    def end(self, sight: Sight) -> None:
        """Nothing is drawn."""

    def _say(self, line: str) -> None:
        print(one_line(line, 300), flush=True)  # noqa: T201 - it is the answer of the magic
