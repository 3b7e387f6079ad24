"""A cell that is a script of bash, in the worker that runs it.

Called by `shell.worker.app` in the place of IPython.

    what happens                          what is done
    a process of it waits for input       the cell asks; the answer is typed, or its input ends
    SIGINT                                goes to its process group
    SIGTERM, from a session out of        SIGTERM to its process group, a moment later SIGKILL to
    patience                              all of it: the worker lives on
    bash ends                             what it left running is killed
"""

import signal
from types import FrameType
from typing import Any, Final, Self

from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.shell.views.input_box import InputBox
from flow_kernel.workers.script import Script

_SLICE_S: Final = 0.02
_LAST_CHANCE_SLICES: Final = 25
"""Between SIGTERM and SIGKILL: half a second, in which a session does not lose its patience."""
_END_OF_FILE: Final = "\x04"


def run_script(kernel: Any, text: str, *, can_ask: bool) -> dict[str, Any]:
    """Run a script to its end.

    Args:
        kernel: Of the worker.
        text: Of the script.
        can_ask: True where somebody answers what it asks for; else its input is at its end.

    Returns:
        `returncode`, negative for a signal, and `was_interrupted`; `is_missing` where there is no
        bash.
    """
    with _Heard() as heard:
        try:
            script = Script(text)
        except FileNotFoundError:
            return {"is_missing": True}
        question = _Question(InputBox(kernel) if can_ask else None, script)
        try:
            code = _wait(script, question, heard)
        finally:
            question.close()
            left = script.close()
    return {"returncode": code, "was_interrupted": heard.count > 0, "left": left}


def _wait(script: Script, question: "_Question", heard: "_Heard") -> int:
    interrupts = chances = 0
    while (code := script.wait(0.0 if question.is_open else _SLICE_S)) is None:
        if heard.count > interrupts:
            interrupts = heard.count
            script.signal(signal.SIGINT)
        if heard.was_terminated:
            if not chances:
                script.signal(signal.SIGTERM)
            elif chances > _LAST_CHANCE_SLICES:
                script.close()
            chances += 1
        question.mind()
    return code


class _Heard(NotedInterrupts):
    """Notes the signals that a session sends for a cell; they are the script's."""

    def __init__(self) -> None:
        self.count = 0
        self.was_terminated = False
        self._terminate: Any = None

    def __enter__(self) -> Self:
        super().__enter__()
        self._terminate = signal.signal(signal.SIGTERM, self._note_end)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGTERM, self._terminate or signal.SIG_DFL)
        super().__exit__(*exception)

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        self.count += 1

    def _note_end(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.was_terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the next one is for the worker


class _Question:
    """The box in which a person types what the script reads.

    Args:
        box: None where nobody can type.
        script: That reads.
    """

    def __init__(self, box: InputBox | None, script: Script) -> None:
        self._box = box
        self._script = script
        self.is_open = False
        self._act = self._look

    def mind(self) -> None:
        """Ask, once the script waits; take an answer, once there is one."""
        self._script.feed()
        self._act()

    def close(self) -> None:
        """The script has ended: nobody waits for an answer."""
        if self._box is not None and self.is_open:
            self._box.done()
            self.is_open = False

    def _look(self) -> None:
        program = self._script.reader()
        if program is None:
            return
        if self._box is None:
            self._script.close_input()
            return
        self._box.ask(f"{program} reads: ", is_question=False)
        self.is_open, self._act = True, self._take

    def _take(self) -> None:
        text = None if self._box is None else self._box.poll(_SLICE_S)
        if text is None:
            return
        self.is_open, self._act = False, self._look
        if text == _END_OF_FILE:
            self._script.close_input()
        else:
            self._script.write(f"{text}\n")
