"""Keeps a cell that broke `sys.stdout` from silencing the kernel.

Called by the Flow kernel around each execute request.

ipykernel flushes `sys.stdout` and `sys.stderr` before the reply and before `idle`. A stream whose
`flush` raises, put there by a cell, makes it drop both, and the client waits for ever. Between
cells such a stream is set aside; the next cell finds it where it left it.
"""

import sys
from typing import Any

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class BrokenStreams:
    """Sets broken streams aside and puts them back."""

    def __init__(self, stdout: Any, stderr: Any) -> None:
        self._working = {"stdout": stdout, "stderr": stderr}
        self._aside: dict[str, Any] = {}

    def set_aside(self) -> None:
        """Replace each stream that cannot be flushed by the kernel's own."""
        for name, working in self._working.items():
            stream = getattr(sys, name, None)
            if stream is None or stream is working:
                continue
            try:
                stream.flush()
            except KeyboardInterrupt:
                raise
            except BaseException:  # noqa: BLE001 - a user's class may raise anything
                self._aside[name] = stream
                setattr(sys, name, working)

    def put_back(self) -> None:
        """Give the cell the streams that the last one left."""
        while self._aside:
            name, stream = self._aside.popitem()
            setattr(sys, name, stream)
