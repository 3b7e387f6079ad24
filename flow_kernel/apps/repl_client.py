"""The client of `jupyter flow repl`: its lines, the cells it still waits for, and what it is told.

Called by `repl_session`.
"""

import os
from collections import deque
from collections.abc import Iterator
from typing import Final

from flow_kernel.apps import repl_protocol as protocol
from flow_kernel.apps.repl_lines import LineSplitter
from flow_kernel.apps.repl_pipes import Output
from flow_kernel.apps.repl_protocol import Decide, GiveInput, Refused, RunCell

_READ_BYTES: Final = 1 << 16
_QUEUE_BYTES: Final = 64 * 2**20


class Client:
    """Whoever is at the other end of stdin and stdout.

    Args:
        stdin: A descriptor; None where there is none.
        out: Where the answers go.
    """

    def __init__(self, stdin: int | None, out: Output) -> None:
        self.stdin = stdin
        self.out_fd: int = out.fd
        self._out = out
        self._splitter = LineSplitter(protocol.LINE_BYTES)
        self._queue: deque[RunCell] = deque()
        self._queue_bytes = 0

    @property
    def has_ended(self) -> bool:
        """True once stdin has; cells may still wait."""
        return self.stdin is None

    @property
    def has_cells(self) -> bool:
        """True while cells wait to be run."""
        return bool(self._queue)

    @property
    def is_full(self) -> bool:
        """True when so much waits that no more should be read."""
        return self._queue_bytes >= _QUEUE_BYTES

    def next_cell(self) -> RunCell:
        """The cell that has waited longest."""
        cell = self._queue.popleft()
        self._queue_bytes -= cell.size
        return cell

    def read(self) -> Iterator[GiveInput | Decide | Refused]:
        """Take in what is there; gives what does not wait for the cells before it."""
        for line in self._lines():
            request = protocol.too_long() if line is None else protocol.parse(line)
            if isinstance(request, RunCell):
                self._queue.append(request)
                self._queue_bytes += request.size
            elif request is not None:
                yield request

    def say(self, said: dict[str, object]) -> None:
        """Tell the client something, at once."""
        self._out.write(protocol.line_of(said))

    def _lines(self) -> Iterator[bytes | None]:
        if self.stdin is None:
            return
        try:
            data = os.read(self.stdin, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal that has hung up
            data = b""
        if data:
            yield from self._splitter.feed(data)
        else:
            self.stdin = None
            yield from self._splitter.end()
