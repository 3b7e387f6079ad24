"""The other process of a sending: receives into its own `__main__`, evaluates, sends back.

Called by the tests of `transfer`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from flow_kernel.workers import transfer

_PROGRAM: Final = """
import json, sys
from flow_kernel.workers import transfer as _transfer
_arena = _transfer.Arena()
for _line in sys.stdin:
    _order = json.loads(_line)
    try:
        if "shipment" in _order:
            _frames = [bytes.fromhex(frame) for frame in _order["frames"]]
            globals().update(_transfer.unpack(_order["shipment"], _frames))
            _answer = None
        elif "names" in _order:
            _packed = _transfer.pack({name: globals()[name] for name in _order["names"]})
            _answer = _transfer.ship(_packed, _arena)
        else:
            exec(_order["run"], globals())
            _answer = eval(_order["tell"], globals())
        print(json.dumps({"answer": _answer}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
"""


def session(code: str = "") -> dict[str, Any]:
    """The namespace of a session after a cell."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(code, namespace)
    return namespace


class FarSide:
    """The process. Every call waits for its answer."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent.parent,
            text=True,
        )
        self.pid = self._process.pid
        self.arena = transfer.Arena()

    def send(
        self,
        values: Mapping[str, object],
        namespace: Mapping[str, object] | None = None,
        *,
        by_frames: bool = False,
    ) -> transfer.Packed:
        """Bind variables there."""
        packed = transfer.pack(values, namespace)
        if by_frames:
            shipment, frames = transfer.inline(packed)
        else:
            shipment, frames = transfer.ship(packed, self.arena), []
        self._ask({"shipment": shipment, "frames": [frame.hex() for frame in frames]})
        return packed

    def tell(self, expression: str, *, after: str = "") -> Any:
        """What an expression is there, after some code."""
        return self._ask({"run": after, "tell": expression})

    def shipment(self, *names: str) -> dict[str, Any]:
        """Variables of the other side, on their way back."""
        shipment: dict[str, Any] = self._ask({"names": names})
        return shipment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self.arena.close()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["answer"]
