"""A loop of its own in a thread of its own, for programs that may have a loop already.

Used by `service` and `single`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")
_LOOK_S: Final = 0.2
"""How often the thread that waits can be interrupted."""


def run_beside(
    work: Callable[[], Coroutine[Any, Any, T]], *, name: str, stop: Callable[[], object] | None
) -> T:
    """What `work` gives or raises.

    Args:
        work: Makes what is run.
        name: Of the thread.
        stop: Called in its loop at a KeyboardInterrupt; None to cancel the work.

    Raises:
        KeyboardInterrupt: The work was cancelled by one.
    """
    found: list[T] = []
    failed: list[BaseException] = []
    stops: list[Callable[[], object]] = []
    over = threading.Event()

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        chosen = stop or (task.cancel if task is not None else loop.stop)
        stops.append(lambda: loop.call_soon_threadsafe(chosen))
        found.append(await work())

    def target() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            failed.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=target, name=name)
    thread.start()
    is_interrupted = False
    # Not `join`: Python 3.11 takes a thread for ended when that is interrupted.
    while not over.is_set():
        try:
            if is_interrupted and stops:
                is_interrupted = False
                with suppress(RuntimeError):  # its loop has just ended
                    stops[0]()
            over.wait(_LOOK_S)
        except KeyboardInterrupt:
            is_interrupted = True
    if failed and isinstance(failed[0], asyncio.CancelledError):
        raise KeyboardInterrupt from None
    if failed:
        raise failed[0]
    return found[0]
