"""Quick turns while a press or an order is handled, and until what it set going has gone on.

Used by `shell.panel.wire` and `shell.channels.control_channel`, in the threads that read their
channels.

An answer is in the store when its handler ends; the cell that waited for it wakes up then, in
another thread, and has its own way to go until its reply is sent. The loop of the thread that heard
the answer gives the interval back a moment later, so that needs no thread of its own. The loop of
the main thread is kept by the cells; where it has heard the answer none of them has waited for it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Final

from flow_kernel.records.quick_turns import QuickTurns

GO_ON_S: Final = 0.1
"""How long a cell has for its way on; without a thread that computes it needs 5 ms."""


@contextmanager
def answered(turns: QuickTurns) -> Iterator[None]:
    """Quick turns in the block and for a moment after it."""
    hold = object()
    try:
        turns.begin(hold)
        yield
    finally:
        loop = None if current_thread() is main_thread() else _running_loop()
        if loop is None:
            turns.end(hold)
        else:
            loop.call_later(GO_ON_S, turns.end, hold)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
