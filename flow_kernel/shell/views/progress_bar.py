"""A progress bar where the user looks: in the output of the cell, or in the terminal.

Called by `session.steps` through the function that `shell.attach` hands to the session.
"""

import sys
from html import escape
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from flow_kernel.session.progress import Progress

_WIDTH: Final = 30
_STYLE: Final = (
    "<style>.flow-bar{font-size:13px;display:flex;gap:.8em;align-items:center;max-width:46em}"
    ".flow-bar progress{flex:1;height:.7em}.flow-bar span{opacity:.7;white-space:nowrap}</style>"
)


class Bar:
    """One moment of a progress bar, for whatever a client can show."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress

    def __repr__(self) -> str:
        return line_of(self._progress)

    def _repr_html_(self) -> str:
        progress = self._progress
        return (
            f'{_STYLE}<div class="flow-bar"><b>{escape(progress.name)}</b>'
            f'<progress max="1" value="{progress.fraction:.4f}"></progress>'
            f"<span>{escape(_said(progress))}</span></div>"
        )


class ProgressBars:
    """Draws the bars of a session, each in its own place."""

    def __init__(self, *, has_displays: bool) -> None:
        """Begin without any.

        Args:
            has_displays: True in a kernel, where an output can be replaced.
        """
        self._has_displays = has_displays
        # By the step that is being done: one that is done again draws below its own cell.
        self._handles: WeakKeyDictionary[object, Any] = WeakKeyDictionary()

    def __call__(self, step: object, progress: "Progress") -> None:
        """Draw the bar of a step anew."""
        if not self._has_displays:
            self._draw_line(progress)
            return
        from IPython.display import display  # only when something is shown

        handle = self._handles.get(step)
        if handle is None:
            self._handles[step] = display(Bar(progress), display_id=True)
        else:
            handle.update(Bar(progress))
        if progress.is_over:
            self._handles.pop(step, None)

    def _draw_line(self, progress: "Progress") -> None:
        stream = sys.stdout
        if not stream.isatty():
            if progress.is_over:
                stream.write(f"{line_of(progress)}\n")
            return
        stream.write(f"\r{line_of(progress)}\x1b[K" + ("\n" if progress.is_over else ""))
        stream.flush()


def line_of(progress: "Progress") -> str:
    """The bar in one line of text."""
    return f"{progress.name}  {progress.bar(_WIDTH)}  {_said(progress)}"


def _said(progress: "Progress") -> str:
    return progress.said or progress.note()
