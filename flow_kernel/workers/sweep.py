"""No orphans: what a worker has started is found and killed, however it got away from its parent.

Called by `zygote` and by the pool, when a worker is gone and when they go themselves; `tree` looks
for processes through it.

A process leaves the tree of its parent by a double fork, its session by `setsid`, and its group by
`setpgid`. Three marks stay, and each has its gap:

    mark                              found by          gap
    the environment of its execution  `tagged`          a program started with a cleared environment
    its parents                       `descendants`     a parent between that has ended
    who adopted it                    `children` of a   only what this very process, its subreaper,
                                      subreaper         has adopted

`kill_all` takes the first two and the pids that its caller has by the third.

Source: proc_pid_environ(5), prctl(2) under PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from flow_kernel.records.process import start_time

TAG_NAME: Final = "FLOW_WORKER_TAG"
"""The environment variable that every process of ours carries."""

HAS_PROC: Final = Path("/proc/self/stat").exists()
_HAS_CHILDREN: Final = Path("/proc/thread-self/children").exists()
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_STOP: Final = getattr(signal, "SIGSTOP", None)
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
_ROUNDS: Final = 50
# Within one round: who forks while it is being looked for is stopped by the next pass.
_PASSES: Final = 20
# One that ends and leaves a successor may slip through a scan, not through several.
_CLEAN_SCANS: Final = 2
_CHASES: Final = 300
# A killed process that gives gigabytes back, or that waits for a disk, ends late.
_DYING_S: Final = 2.0
_SHORT_S: Final = 0.002
_EXECUTING_S: Final = 0.1
# Fields 23, 50 and 51 of stat, counted from the state.
_VSIZE, _ENV_START, _ENV_END = 20, 47, 48


def tagged(tag: str) -> list[int]:
    """The processes of this user that carry `tag`, without this one; ascending.

    About 2 ms for 300 processes. A process shows the environment that it was executed with; see
    `wear` for one that was forked only. Zombies have none and are not found.
    """
    return sorted(_carriers(tag))


def carries(pid: int, tag: str) -> bool:
    """True when `pid` belongs to this user and has exactly `tag`; False when nobody can say."""
    if not HAS_PROC:
        return _carries_by_psutil(pid, tag)
    entry = f"{TAG_NAME}={tag}".encode()
    found = environment_of(pid)
    until = None
    while found == b"" and _has_environment(pid):
        until = until or time.monotonic() + _EXECUTING_S
        if time.monotonic() > until:
            break
        time.sleep(_SHORT_S)  # the system tells nobody when it is through
        found = environment_of(pid)
    return found is not None and entry in found and entry in found.split(b"\0")


def children(pid: int) -> list[int]:
    """The children of `pid` now, zombies too; those that it adopted as subreaper are among them.

    About 6 us for a process with one thread.
    """
    if not HAS_PROC:
        return _family_by_psutil(pid, whole=False)
    if not _HAS_CHILDREN:
        return _by_parent().get(pid, [])
    found: list[int] = []
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            for thread in threads:
                found += _children_of_thread(f"{thread.path}/children")
    except OSError:
        pass  # it has ended meanwhile
    return found


def descendants(pid: int) -> list[int]:
    """Everything below `pid`, parents before their children, zombies too, without `pid` itself."""
    if not HAS_PROC:
        return _family_by_psutil(pid, whole=True)
    family = _by_parent() if not _HAS_CHILDREN else None
    found: dict[int, None] = {pid: None}
    generation = [pid]
    while generation:
        below = [
            child
            for parent in generation
            for child in (children(parent) if family is None else family.get(parent, []))
            if child not in found
        ]
        found.update(dict.fromkeys(below))
        generation = below
    del found[pid]
    return list(found)


def kill_all(tag: str, *, also: Iterable[int] = ()) -> int:
    """SIGKILL everything that carries `tag`, the processes `also`, and all that is below them.

    All are stopped first, so that none forks while others die. Goes on until nothing is found, for
    some seconds at most; what is left then waits for a device. Reaps nothing and never touches this
    process. Where there is nothing to kill, two scans: 4 ms for 300 processes. A subreaper that has
    no `children` but its own has nothing to kill, and need not ask.

    Args:
        tag: Whose; empty for nobody's.
        also: Pids that are certainly theirs: children of this process that it has not reaped.

    Returns:
        How many were killed.
    """
    named = {pid: started for pid in also if (started := start_time(pid)) is not None}
    killed: set[int] = set()
    clean = 0
    until = time.monotonic() + _DYING_S
    for _ in range(_ROUNDS):
        found = _stop_all(tag, named)
        clean = 0 if found else clean + 1
        if clean == _CLEAN_SCANS:
            break
        # Children first: a stopped child whose parent ends is told to go on (SIGHUP, SIGCONT).
        killed.update(pid for pid in found if _send(pid, _KILL))
        _await_ends(found, until)
    return len(killed)


def become_subreaper() -> bool:
    """From now on, what a descendant leaves behind becomes a child of this process.

    Returns:
        False where the system has no such thing, or refuses.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int, expected_parent_pid: int) -> bool:
    """Get signal `number` when the parent ends; exit now when it has ended before.

    The parent is the thread that forked: when that one ends, the signal comes as well, so fork from
    the main thread. It is not inherited: each fork calls this for itself.

    Args:
        number: The signal.
        expected_parent_pid: What `os.getpid` said in the parent before the fork.

    Returns:
        False where the system has no such thing; the parent lives or lived, and nobody tells.
    """
    will_be_told = _prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != expected_parent_pid:
        os._exit(128 + int(number))
    return will_be_told


def wear(tag: str) -> bool:
    """Make `tag` the mark of this process and of what it starts from now on.

    For a process that was forked and executes nothing: the system shows the environment that it was
    *executed* with, which `os.environ` does not change. The inherited entry is overwritten in
    place, so it must be there and be as long. About 80 us.

    Returns:
        False when this process is not marked; programs that it executes carry the tag all the same.
    """
    os.environ[TAG_NAME] = tag
    me, name = os.getpid(), f"{TAG_NAME}=".encode()
    try:
        environment = b"\0" + Path("/proc/self/environ").read_bytes()
        at = environment.find(b"\0" + name)
        old = environment[at + 1 + len(name) :].partition(b"\0")[0]
        stat = Path("/proc/self/stat").read_bytes()
        start = int(stat[stat.rfind(b")") + 2 :].split()[_ENV_START])
        if at >= 0 and len(old) == len(tag.encode()) and start > 0:
            memory = os.open("/proc/self/mem", os.O_RDWR)
            try:
                os.pwrite(memory, tag.encode(), start + at + len(name))
            finally:
                os.close(memory)
    except (OSError, IndexError, ValueError):
        return False
    return carries(me, tag)


def _carriers(tag: str) -> Iterator[int]:
    """As they are found, the newest first: it is the one that is about to fork and to leave."""
    if not tag:
        return
    me = os.getpid()
    for pid in sorted(all_pids(), reverse=True):
        if pid != me and carries(pid, tag):
            yield pid


def environment_of(pid: int) -> bytes | None:
    """What a process of this user was executed with; None for one of others, or that is gone."""
    try:
        fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read_whole(fd) if os.fstat(fd).st_uid == os.geteuid() else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _has_environment(pid: int) -> bool:
    """True for one that is being executed: it has its new memory, and gets an environment next."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) <= _ENV_END or fields[_VSIZE] == b"0":  # a zombie, a thread of the system
        return False
    return fields[_ENV_END] == b"0" or fields[_ENV_END] != fields[_ENV_START]


def all_pids() -> list[int]:
    """Of whomever, in no order."""
    if not HAS_PROC:
        import psutil  # costs 20 ms at import; only systems without /proc need it

        return list(psutil.pids())
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit()]


def _stop_all(tag: str, named: dict[int, str]) -> list[int]:
    """Stop all until a pass finds no new one; the youngest come first, children before parents."""
    stopped: dict[int, float] = {}
    for _ in range(_PASSES):
        before, seen = len(stopped), {os.getpid()}
        for pid, started in named.items():
            if start_time(pid) == started:
                _stop_tree(pid, stopped, seen)
        listed = set(all_pids())
        for pid in _carriers(tag):
            _stop_tree(pid, stopped, seen)
        if listed - set(all_pids()):
            _chase(tag, stopped, seen)
        if len(stopped) == before:
            break
    return sorted(stopped, key=lambda pid: (stopped[pid], pid), reverse=True)


def _chase(tag: str, stopped: dict[int, float], seen: set[int]) -> None:
    """Stop one that ends and leaves a successor faster than a scan gets to it.

    It is among those that the system started last. 6 ms when there is none.
    """
    before = len(stopped)
    for _ in range(_CHASES):
        try:
            newest = int(Path("/proc/loadavg").read_bytes().split()[-1])
        except (OSError, ValueError, IndexError):
            return
        for pid in (newest, newest + 1, newest - 1):
            if tag and pid not in seen and carries(pid, tag):
                _stop_tree(pid, stopped, seen)
        if len(stopped) > before:
            return


def _stop_tree(pid: int, stopped: dict[int, float], seen: set[int]) -> None:
    todo = [pid]
    while todo:
        pid = todo.pop()
        if pid in seen:
            continue
        seen.add(pid)
        if pid not in stopped and _send(pid, _STOP):
            started = start_time(pid)
            if started is not None:
                stopped[pid] = float(started)
        # Again for those that were stopped before: a fork that was under way has ended since.
        todo += children(pid)


def _send(pid: int, number: int | None) -> bool:
    """False when there is no such process any more; a system without SIGSTOP goes without."""
    try:
        if number is not None:
            os.kill(pid, number)
    except OSError:
        return False
    return True


def _await_ends(pids: Iterable[int], until: float) -> None:
    for pid in pids:
        left_s = max(_SHORT_S, until - time.monotonic())
        if not hasattr(os, "pidfd_open"):
            time.sleep(_SHORT_S)  # this system has nothing to wait on for a process not its child
            return
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue  # it is gone
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(left_s * 1000)
        finally:
            os.close(fd)


def _children_of_thread(path: str) -> list[int]:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return []
    try:
        return [int(pid) for pid in _read_whole(fd).split()]
    except OSError:
        return []
    finally:
        os.close(fd)


def _by_parent() -> dict[int, list[int]]:
    """Children by parent, for a system that does not list them; about 5 ms for 300 processes."""
    found: dict[int, list[int]] = {}
    for pid in all_pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        parent = int(stat[stat.rfind(b")") + 2 :].split()[1])
        found.setdefault(parent, []).append(pid)
    return found


def _read_whole(fd: int) -> bytes:
    # A list of children comes in pieces of a page, whatever is asked for.
    found = os.read(fd, 16384)
    if len(found) > 2048:
        while piece := os.read(fd, 16384):
            found += piece
    return found


def _carries_by_psutil(pid: int, tag: str) -> bool:
    import psutil  # costs 20 ms at import; only systems without /proc need it

    try:
        process = psutil.Process(pid)
        is_ours: bool = process.username() == psutil.Process().username()
        return is_ours and bool(process.environ().get(TAG_NAME) == tag)
    except (psutil.Error, OSError):
        return False


def _family_by_psutil(pid: int, *, whole: bool) -> list[int]:
    import psutil  # costs 20 ms at import; only systems without /proc need it

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=whole)]
    except (psutil.Error, OSError):
        return []


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # costs 2 to 5 ms at import; only a process that is to be bound needs it

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return False
    nothing = ctypes.c_ulong(0)
    return int(prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing)) == 0
