"""The place below a cell where a widget of ours stands, and what stays there without it.

Built by `shell.panel.buttons` and `shell.panel.live`.

There are two outputs. The first is HTML and text, for reports, for `nbconvert`, and for a notebook
that is opened again when its kernel is gone. The second is the widget, which hides the first while
it lives; the first hides the sentences that JupyterLab has for a widget whose kernel is gone.
"""

import uuid
from typing import Any, Final, Protocol

from flow_kernel.shell.panel.wire import Widget

_HIDE_THE_DEAD: Final = (
    "<style>.jp-OutputArea-child:has(.flow-still) + .jp-OutputArea-child"
    " > .jp-OutputArea-output.lm-Panel:not(:has(*)){display:none}</style>"
)


class Shown(Protocol):
    """What stays: text and HTML."""

    def _repr_html_(self) -> str: ...


class WidgetOutput:
    """The outputs of one widget, below the cell that runs now.

    Args:
        kernel: Of ipykernel.
        widget: Which is opened, and shown.
    """

    def __init__(self, kernel: Any, widget: Widget) -> None:
        self._kernel = kernel
        self._widget = widget
        self._parent: Any = kernel.get_parent("shell")
        self._still_id = uuid.uuid4().hex
        self._live_id = uuid.uuid4().hex

    def show(self, still: Shown) -> None:
        """Show both."""
        self._widget.open()
        self._publish("display_data", self._still_id, self._bundle(still))
        self._publish("display_data", self._live_id, {**self._widget.view, "text/plain": ""})

    def change(self, still: Shown) -> None:
        """Show another still form, which stays hidden while the widget lives."""
        self._publish("update_display_data", self._still_id, self._bundle(still))

    def end(self, still: Shown) -> None:
        """Show a still form in place of the widget."""
        self.change(still)
        self._publish("update_display_data", self._live_id, {})

    def _bundle(self, still: Shown) -> dict[str, object]:
        html = still._repr_html_()
        return {
            "text/plain": repr(still),
            "text/html": f'{_HIDE_THE_DEAD}<div class="flow-still flow-{self._widget.comm_id}">'
            f"{html}</div>",
        }

    def _publish(self, kind: str, display_id: str, data: dict[str, object]) -> None:
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            kind,
            {"data": data, "metadata": {}, "transient": {"display_id": display_id}},
            self._parent,
            ident=kernel._topic(kind),
        )
