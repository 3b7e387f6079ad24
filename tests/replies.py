"""What came back from one execute request, and how two of them are compared (pure).

Called by `kernels` to build it and by the tests to look at it.
"""

import re
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

_NOISE = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"ipykernel_\d+/\d+"), "ipykernel_…"),
    # What Python says while ipykernel finds out whether a cell awaits something, and says again.
    (re.compile(r"^<>:\d+: SyntaxWarning: .*\n", re.MULTILINE), ""),
    (re.compile(r"pid=\d+"), "pid=…"),
    (re.compile(r"/tmp/fk\w+/"), "<root>/"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """The reply of one execute request and its broadcast messages in the order of arrival.

    Status and execute_input messages are left out.
    """

    msg_id: str
    reply: Message
    metadata: Message
    messages: tuple[Message, ...]

    @property
    def status(self) -> str:
        """`ok`, `error` or `aborted`."""
        return str(self.reply["status"])

    @property
    def stdout(self) -> str:
        """Text on stdout, joined."""
        return self.stream("stdout")

    @property
    def stderr(self) -> str:
        """Text on stderr, joined."""
        return self.stream("stderr")

    def stream(self, name: str) -> str:
        """Text on one stream, joined."""
        return "".join(
            m["content"]["text"] for m in self.of("stream") if m["content"]["name"] == name
        )

    def of(self, kind: str) -> list[Message]:
        """Messages of one type."""
        return [m for m in self.messages if m["msg_type"] == kind]

    @property
    def result(self) -> str | None:
        """The text of the execute result."""
        shown = self.of("execute_result")
        return str(shown[0]["content"]["data"]["text/plain"]) if shown else None

    @property
    def displays(self) -> list[dict[str, Any]]:
        """Mime bundles of everything displayed."""
        return [m["content"]["data"] for m in self.of("display_data")]

    @property
    def error(self) -> Message | None:
        """Content of the error message."""
        errors = self.of("error")
        return errors[0]["content"] if errors else None

    @property
    def flow(self) -> Message:
        """What the recorder put into the metadata of the reply."""
        return dict(self.metadata.get("flow", {}))

    @property
    def seq(self) -> int:
        """Sequence number of the cell record; its presence is the acknowledgement."""
        return int(self.flow["seq"])

    def effects(self) -> dict[str, Any]:
        """Everything a program or its user can see, without addresses, folders and chunking."""
        return quiet(
            {
                "reply": {k: v for k, v in self.reply.items() if k != "engine_info"},
                "shown": [
                    [m["msg_type"], _content(m)]
                    for m in self.messages
                    if m["msg_type"] not in ("stream", "comm_open", "comm_msg")
                ],
                "stdout": self.stdout,
                "stderr": self.stderr,
            }
        )


def quiet(value: Any) -> Any:
    """`value` with addresses, process ids and the folder of the kernel replaced by signs."""
    if isinstance(value, str):
        for pattern, sign in _NOISE:
            value = pattern.sub(sign, value)
        return value
    if isinstance(value, dict):
        return {quiet(k): quiet(v) for k, v in value.items()}
    if isinstance(value, list):
        return [quiet(v) for v in value]
    return value


def _content(message: Message) -> dict[str, Any]:
    return dict(message["content"])
