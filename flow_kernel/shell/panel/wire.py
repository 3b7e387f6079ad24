"""One widget of ours as a front end knows it: a model of anywidget at the other end of a comm.

Built by `shell.panel.buttons` and `shell.panel.live`.

The comm is spoken by hand. ipywidgets would be loaded into the user's process for it (0.2 s), and
its widgets may be used in the thread that runs the cells only; this one sends from any thread, and
what it hears comes in whichever thread `shell.channels.own_comms` hears it.

    kernel ──▶ comm_open {state}, comm_msg {method: custom | update}, comm_close
    client ──▶ comm_msg {method: custom | update | request_state}, comm_close
"""

import os
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final

from flow_kernel.shell.channels.own_comms import OwnComms
from flow_kernel.shell.channels.quick_answers import answered

VIEW: Final = "application/vnd.jupyter.widget-view+json"
_TARGET: Final = "jupyter.widget"
_PROTOCOL: Final = "2.1.0"
_MODULE: Final = "anywidget"


def is_there() -> bool:
    """True where the front end's half of our widgets is installed."""
    return find_spec(_MODULE) is not None


class Widget:
    """A model of anywidget; safe with several threads.

    Args:
        kernel: Of ipykernel.
        comms: That hear it.
        state: What its views begin with, told again to whoever asks.
        on_said: Called for what a view says: any JSON.
        on_close: Called once nobody looks any more.
    """

    def __init__(
        self,
        kernel: Any,
        comms: OwnComms,
        *,
        state: Callable[[], Mapping[str, object]],
        on_said: Callable[[Any], None],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.comm_id: str = uuid.uuid4().hex
        self.target_name: str = _TARGET
        self._kernel = kernel
        self._comms = comms
        self._state = state
        self._on_said = on_said
        self._on_close = on_close
        self._parent: Any = kernel.get_parent("shell")
        self._pid = os.getpid()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """False before it was opened, and once either side has closed it."""
        return self._is_open and os.getpid() == self._pid

    @property
    def view(self) -> dict[str, object]:
        """What an output holds in place of it."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.comm_id}}

    def open(self) -> None:
        """Tell the front end of it."""
        self._is_open = True
        self._comms.add(self)
        data = {"state": self._whole_state(), "buffer_paths": []}
        self._send(
            "comm_open",
            {"data": data, "target_name": _TARGET, "target_module": None},
            metadata={"version": _PROTOCOL},
        )

    def say(self, content: Mapping[str, object]) -> None:
        """Tell its views something; nothing happens once it is closed."""
        if self.is_open:
            self._send("comm_msg", {"data": {"method": "custom", "content": dict(content)}})

    def close(self) -> None:
        """Take it from the front end; harmless the second time."""
        if self._is_open:
            self._is_open = False
            self._comms.remove(self.comm_id)
            self._send("comm_close", {"data": {}})
            self._on_close()

    def handle_msg(self, message: dict[str, Any]) -> None:
        """Called by whoever hears the comm."""
        data = message["content"].get("data")
        method = data.get("method") if type(data) is dict else None
        if method == "request_state":
            state = {"state": self._whole_state(), "buffer_paths": [], "method": "update"}
            self._send("comm_msg", {"data": state}, parent=message)
        elif method == "custom":
            with answered(self._comms.turns):
                self._on_said(data.get("content"))

    def handle_close(self, _message: dict[str, Any]) -> None:
        """Called by whoever hears the comm."""
        if self._is_open:
            self._is_open = False
            self._comms.remove(self.comm_id)
            self._on_close()

    def _whole_state(self) -> dict[str, object]:
        numbers = _numbers()
        return {
            "_model_module": _MODULE,
            "_model_name": "AnyModel",
            "_model_module_version": numbers,
            "_view_module": _MODULE,
            "_view_name": "AnyView",
            "_view_module_version": numbers,
            "_view_count": None,
            "_anywidget_id": f"flow_kernel.panel.{self.comm_id}",
            "_esm": _script(),
            **self._state(),
        }

    def _send(
        self,
        kind: str,
        content: dict[str, object],
        *,
        metadata: dict[str, object] | None = None,
        parent: Any = None,
    ) -> None:
        kernel = self._kernel
        if os.getpid() != self._pid:
            return  # a process that a cell has forked is nobody whom the front end knows
        kernel.session.send(
            kernel.iopub_socket,
            kind,
            {"comm_id": self.comm_id, **content},
            parent or self._parent,
            ident=f"comm-{self.comm_id}".encode(),
            metadata=metadata,
        )


@cache
def _script() -> str:
    return files("flow_kernel.shell.panel").joinpath("flow.mjs").read_text(encoding="utf-8")


@cache
def _numbers() -> str:
    """As anywidget itself asks for its other half: any patch of this version."""
    major, minor, *_ = version(_MODULE).split(".")
    return f"~{major}.{minor}.*"
