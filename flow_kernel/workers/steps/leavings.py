"""Finds and kills what a step has left behind when its process has ended.

Used by `host_process`, the subreaper of all that the steps start: what has no living parent of
theirs is its child. `sweep` does the killing; it is loaded when there is something to kill, or
before, while nobody waits.
"""

import _signal  # type: ignore[import-not-found] # `signal` takes a starting host 4 ms
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


class Undisturbed:
    """While it is held, nobody ends this process: what is half loaded could not clear up."""

    def __enter__(self) -> None:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))

    def __exit__(self, *_: object) -> None:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))


def kill_left(
    is_known: "Callable[[int], bool]", *, leader: int, tag: str, running: "Collection[str]"
) -> int:
    """Kill what a step has left; 10 us where that is nothing.

    Args:
        is_known: True for a child of this process that it has forked itself.
        leader: The process of the step.
        tag: Of the step.
        running: Tags of other steps.

    Returns:
        How many were killed.
    """
    strangers = others(is_known)
    if not strangers:
        return 0
    with Undisturbed():
        from flow_kernel.workers import sweep
    left = [pid for pid in strangers if _is_of(pid, leader, tag, running, sweep.carries)]
    return sweep.kill_all(tag, also=left) if left else 0


def others(is_known: "Callable[[int], bool]") -> list[int]:
    """Children of this process that it has not forked itself: it has adopted them."""
    return [pid for pid in _children() if not is_known(pid)]


def kill_below(tags: "Iterable[str]") -> None:
    """Kill all that is below this process, and what carries a tag."""
    from flow_kernel.workers import sweep

    me = os.getpid()
    for tag in {*tags} or {""}:
        below = sweep.descendants(me)
        if tag or below:
            sweep.kill_all(tag, also=below)


def _children() -> list[int]:
    """Of this process: of its one thread, mostly."""
    try:
        threads = os.listdir("/proc/self/task")  # noqa: PTH208 - names only, on each step's path
        if len(threads) == 1:
            with open(f"/proc/self/task/{threads[0]}/children", "rb", 0) as file:  # noqa: PTH123 - lean
                said = file.read()
            return [int(pid) for pid in said.split()]
    except OSError:
        pass  # the system does not list them
    with Undisturbed():
        from flow_kernel.workers import sweep
    return sweep.children(os.getpid())


def _is_of(
    pid: int, leader: int, tag: str, running: "Collection[str]",
    carries: "Callable[[int, str], bool]",
) -> bool:  # fmt: skip
    """True where an adopted process belongs to the step that has ended, or to none that runs."""
    try:
        if leader in (os.getsid(pid), os.getpgid(pid)):
            return True
    except OSError:
        return False
    return carries(pid, tag) or not any(carries(pid, each) for each in running)
