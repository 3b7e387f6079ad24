"""Front ends that show our widgets, as far as a kernel sees them: JupyterLab and VS Code.

Called by `tests/flows/test_panel*.py`. Each sends exactly what the real one sends with a cell and
with a press: JupyterLab a subshell of its own for comms, VS Code none, after hidden probes of its
own; JupyterLab closes the box beside the buttons with the press.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from flow_kernel.shell.views.input_box import PRESSED
from tests.kernels import DEADLINE_S, Kernel
from tests.replies import Message, Ran

VIEW: Final = "application/vnd.jupyter.widget-view+json"
_PROBES: Final = (
    "import ipywidgets as _VSCODE_ipywidgets; print(_VSCODE_ipywidgets.__version__)",
    "__vsc_ipynb_file__ = '/work/notebook.ipynb'",
)


def displays_without_widgets(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """What was displayed and changed, but for the two outputs of each widget of ours."""
    shown = [m["content"] for m in messages if "display_data" in m["msg_type"]]
    ours = {
        each["transient"]["display_id"]
        for each in shown
        if VIEW in each["data"] or "flow-still" in each["data"].get("text/html", "")
    }
    return [each for each in shown if each["transient"].get("display_id") not in ours]


class Widget:
    """One widget that a cell has opened.

    Args:
        front: That shows it.
        opened: The message that told of it.
    """

    def __init__(self, front: "FrontEnd", opened: Message) -> None:
        self._front = front
        self.comm_id = str(opened["content"]["comm_id"])
        self.state: dict[str, Any] = opened["content"]["data"]["state"]
        self.flow: dict[str, Any] = self.state["flow"]

    def says(self, said: object) -> str:
        """A view says something; returns the id of the message."""
        data = {"method": "custom", "content": said}
        return self._front.comm("comm_msg", self.comm_id, data)

    def heard(self, op: str | None = None) -> list[dict[str, Any]]:
        """What views were told so far."""
        return [
            said
            for message in self._front.kernel.iopub
            if message["msg_type"] == "comm_msg"
            and message["content"]["comm_id"] == self.comm_id
            and message["content"]["data"]["method"] == "custom"
            for said in (message["content"]["data"]["content"],)
            if op in (None, said["op"])
        ]

    def wait_for(self, op: str, count: int = 1) -> dict[str, Any]:
        """Wait until views were told something, and return it."""
        self._front.kernel.wait(lambda: len(self.heard(op)) >= count)
        return self.heard(op)[count - 1]

    def answers(self, decision: str, comment: str = "") -> None:
        """A person presses a button below the question."""
        question = self.flow["question"]["id"]
        said = {"op": "answer", "id": question, "decision": decision, "comment": comment}
        self.says(said)
        self._front.closes_box()

    def rows(self) -> dict[str, dict[str, Any]]:
        """The lines of a panel by key, as its views have them by now."""
        found = {row["key"]: row for row in self.flow["rows"]}
        for said in self.heard():
            if said["op"] == "all":
                found = {}
            for row in said.get("rows", ()):
                found[row["key"]] = row
            for key in said.get("dropped", ()):
                found.pop(key, None)
        return found

    def workers(self) -> list[str]:
        """The workers of a panel in words, as its views have them by now."""
        known = [self.flow["workers"], *(said.get("workers") for said in self.heard())]
        latest = [each for each in known if each is not None][-1]
        return [f"{each['title']} {each['detail']}" for each in latest]

    def wait_for_row(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of a panel."""
        rows: list[dict[str, Any]] = []

        def is_there() -> bool:
            rows[:] = [row for row in self.rows().values() if fits(row)]
            return bool(rows)

        self._front.kernel.wait(is_there)
        return rows[-1]


class FrontEnd:
    """JupyterLab or VS Code at a kernel.

    Args:
        kernel: Which.
        is_lab: True for JupyterLab.
    """

    def __init__(self, kernel: Kernel, *, is_lab: bool) -> None:
        self.kernel = kernel.ready()
        self.is_lab = is_lab
        self._cells = 0
        self._subshell: str | None = None
        if is_lab:
            reply = kernel.ask("create_subshell_request", {}, channel="control")
            self._subshell = str(reply["subshell_id"])
        else:
            for probe in _PROBES:
                kernel.run(probe, store_history=False, stop_on_error=False, allow_stdin=True)

    def begin(self, code: str, **metadata: Any) -> str:
        """Run a cell; returns the id of the request."""
        self._cells += 1
        if self.is_lab:
            return self.kernel.send(
                code, cell_id=f"c{self._cells}", allow_stdin=True, metadata=metadata
            )
        uri = f"vscode-notebook-cell:/work/notebook.ipynb#W{self._cells}sZmlsZQ%3D%3D"
        return self.kernel.send(
            code, metadata={"cellId": uri, **metadata}, allow_stdin=True, stop_on_error=False
        )

    def run(self, code: str, **metadata: Any) -> Ran:
        """Run a cell to its end."""
        return self.ended(self.begin(code, **metadata))

    def ended(self, cell: str) -> Ran:
        """Wait for the end of a cell."""
        return self.kernel.collect(cell)

    def widget(self, cell: str) -> Widget:
        """Wait for the widget of a cell, and for the box of a question."""
        opened: list[Message] = []

        def is_there() -> bool:
            opened[:] = [
                message
                for message in self.kernel.iopub
                if message["msg_type"] == "comm_open"
                and message["parent_header"].get("msg_id") == cell
            ]
            return bool(opened)

        self.kernel.wait(is_there, timeout=DEADLINE_S)
        widget = Widget(self, opened[-1])
        if widget.flow["what"] == "question":
            self.kernel.wait(lambda: bool(self.kernel.inputs))
        return widget

    def comm(self, kind: str, comm_id: str, data: object) -> str:
        """Say something on a comm."""
        content = {"comm_id": comm_id, "data": data}
        return self.kernel.request(kind, content, subshell=self._subshell)

    def closes_box(self) -> None:
        """JupyterLab presses Enter in the box beside the buttons; VS Code leaves it open."""
        self.kernel.inputs.clear()
        if self.is_lab:
            message = self.kernel.session.msg("input_reply", {"value": PRESSED})
            self.kernel.session.send(self.kernel.sockets["stdin"], message)

    def types(self, text: str) -> None:
        """A person types into the box."""
        self.kernel.inputs.clear()
        message = self.kernel.session.msg("input_reply", {"value": text})
        self.kernel.session.send(self.kernel.sockets["stdin"], message)
