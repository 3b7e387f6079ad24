"""What `%flow panel` answers: the live panel where the front end shows widgets, else a still one.

Built by `shell.opening`; called by `shell.magics.flow_magics`. A kernel has one live panel: the one
before is left as it stood.
"""

from typing import TYPE_CHECKING, Any

from flow_kernel.session.session import Session
from flow_kernel.shell.channels.own_comms import OwnComms

if TYPE_CHECKING:
    from flow_kernel.shell.panel.live import LivePanel
    from flow_kernel.shell.panel.still import StillPanel


class Panels:
    """The panels of one shell.

    Args:
        kernel: Of ipykernel; None in a terminal.
        comms: That hear what is pressed; None in a terminal.
    """

    def __init__(self, kernel: Any, comms: OwnComms | None) -> None:
        self._kernel = kernel
        self._comms = comms
        self._live: LivePanel | None = None

    def show(self, session: Session) -> "StillPanel | None":
        """Show the panel of a session.

        Returns:
            A still one; None where a live one is shown.
        """
        from flow_kernel.shell.panel.board import Board  # most sessions have no panel
        from flow_kernel.shell.panel.still import StillPanel  # as above
        from flow_kernel.shell.panel.wire import is_there  # as above

        metadata: dict[str, Any] = {}
        if self._kernel is not None:
            metadata = self._kernel.get_parent("shell").get("metadata") or {}
        if self._comms is not None and "cellId" in metadata and is_there():
            from flow_kernel.shell.panel.live import LivePanel  # as above

            self.close()
            self._live = LivePanel(self._kernel, self._comms, session)
            self._live.show()
            return None
        board = Board(session)
        board.look()
        note = "" if is_there() else "live, with buttons: pip install 'flow_kernel[ui]'"
        return StillPanel(board.now, note=note)

    def close(self) -> None:
        """End the live one, if there is one."""
        live, self._live = self._live, None
        if live is not None:
            live.close()
