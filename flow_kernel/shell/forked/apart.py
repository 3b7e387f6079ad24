"""Sets a copy of the session apart from it: signals, descriptors, limits, marks, taps.

Called by `shell.forked.cell` in the copy, before anything of the cell runs.

What the copy shares with the session by nature, and what is done about it:

    descriptors of files     opened anew at the same place: reading moves nobody else's position
    stdin, stdout, stderr    nothing, and pipes of its own
    SIGINT, the wake-up fd   its own; else its signals would wake the loop of the session
    the collector of cycles  what there is is frozen: no pass writes to pages that are shared
    random numbers           go on as they would here where a cell has seeded them; else anew
    recorder, journal, store silent: each knows the process that it is of
"""

import ctypes
import faulthandler
import fcntl
import gc
import io
import os
import random
import resource
import signal
import stat
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from flow_kernel.session import ambient
from flow_kernel.session.isolation.fork_facts import openmp_libraries
from flow_kernel.shell.channels.sendable import make_sendable
from flow_kernel.shell.worker.job import limit_data
from flow_kernel.shell.worker.session import WorkerSession
from flow_kernel.workers import sweep
from flow_kernel.workers.fork_ends import ForkEnds
from flow_kernel.workers.fork_mark import wear
from flow_kernel.workers.limits import Limits
from flow_kernel.workers.pool import is_stripped

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_OOM_SCORE: Final = b"500"
_MT_WORDS: Final = 624
"""The state of the Mersenne Twister."""
_WRITERS: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair)


def set_apart(ends: ForkEnds, limits: Limits, *, has_one_thread: bool, seed: Any) -> list[int]:
    """Make the process one of its own.

    Args:
        ends: What it begins with.
        limits: Of the cell.
        has_one_thread: OpenMP is held to one thread.
        seed: The state of the random numbers that go on; None for new ones.

    Returns:
        The interrupts that come before `take_interrupts`, as they come.
    """
    noted: list[int] = []
    was_collecting = gc.isenabled()
    gc.disable()
    gc.freeze()
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sweep.die_with_parent(signal.SIGKILL, ends.session)
    for name in [name for name in os.environ if is_stripped(name)]:
        del os.environ[name]
    wear(ends.tag)
    _arrange_descriptors(ends)
    faulthandler.enable(file=ends.ends.faults, all_threads=True)
    faulthandler.register(signal.SIGUSR2, file=ends.ends.faults, all_threads=True)
    with suppress(OSError):  # the session is to outlive it where memory ends
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, _OOM_SCORE)
        os.close(fd)
    if limits.memory_bytes is not None:
        limit_data(limits.memory_bytes, has_reserved=True)
    _seed(seed)
    if has_one_thread:
        _hold_openmp()
    if was_collecting:
        gc.enable()
    return noted


def take_interrupts(noted: list[int]) -> None:
    """From now on an interrupt stops what runs.

    Args:
        noted: Those that came before.

    Raises:
        KeyboardInterrupt: There were some.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if noted:
        raise KeyboardInterrupt


def free_memory() -> None:
    """What is given back to the session is not the cell's."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def detach(shell: Any) -> None:
    """Nothing of ours looks at what the copy does."""
    for name in ("pre_run_cell", "post_run_cell"):
        callbacks: list[Any] = shell.events.callbacks.get(name, [])
        callbacks[:] = [each for each in callbacks if not _is_ours(each)]
    vars(getattr(getattr(shell, "kernel", None), "session", shell)).pop("send", None)
    transforms = shell.input_transformer_manager.cleanup_transforms
    transforms[:] = [each for each in transforms if not _is_ours(each)]
    shell.ast_transformers[:] = [each for each in shell.ast_transformers if not _is_ours(each)]
    history: Any = shell.history_manager
    if history is not None:  # its thread is not here, and may have held its locks
        history.db_input_cache_lock = threading.Lock()
        history.db_output_cache_lock = threading.Lock()
        history.db_cache_size = sys.maxsize  # it is never written
        history.writeout_cache = lambda *_: None
        saver: Any = getattr(history, "save_thread", None)
        if saver is not None:
            saver.save_flag = threading.Event()


def send_escaped(session: Any) -> None:
    """Texts that cannot be sent arrive escaped, as they do from the session itself."""
    send, pid = session.send, os.getpid()

    def escaping(stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **kw: Any) -> Any:
        if os.getpid() != pid:  # a process that the cell has forked speaks with nobody
            return None
        held = msg_or_type.get("content") if isinstance(msg_or_type, dict) else content
        if isinstance(held, dict):
            make_sendable(held)
        return send(stream, msg_or_type, content, *args, **kw)

    session.send = escaping


def stand_in(session: Any, apart: WorkerSession) -> None:
    """`current_session()` means the session from afar now."""
    ambient.leave(session)
    ambient.enter(apart)


def flush_new_files() -> None:
    """Write what files hold that the cell has opened; those of the session are the session's.

    What was there at the fork is frozen, and so none of these.
    """
    for value in gc.get_objects():
        if type(value) in _WRITERS:
            with suppress(Exception):  # closed, broken, or of a device that is gone
                value.flush()


# -- inside ----------------------------------------------------------------------------------------


def _is_ours(callback: Any) -> bool:
    owner = getattr(callback, "__self__", callback)
    return type(owner).__module__.startswith("flow_kernel.")


def _arrange_descriptors(ends: ForkEnds) -> None:
    kept = {ends.ends.stdout, ends.ends.stderr, ends.ends.faults, ends.ends.frames}
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    os.dup2(ends.ends.stdout, _STDOUT)
    os.dup2(ends.ends.stderr, _STDERR)
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names only, and it is much faster
        fd = int(entry)
        if fd > _STDERR and fd not in kept:
            with suppress(OSError):  # a file that may not be opened once more stays shared
                _open_anew(fd)
    os.close(ends.ends.stdout)
    os.close(ends.ends.stderr)


def _open_anew(fd: int) -> None:
    """Give a file a position of its own."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK)
    is_inherited = os.get_inheritable(fd)
    place = os.lseek(fd, 0, os.SEEK_CUR)
    own = os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
    try:
        os.lseek(own, place, os.SEEK_SET)
        os.dup2(own, fd, inheritable=is_inherited)
    finally:
        os.close(own)


def _seed(state: Any) -> None:
    numpy_random: Any = sys.modules.get("numpy.random")
    if state is not None:
        random.setstate(state)  # Python has seeded it anew at the fork
    elif numpy_random is not None:
        words = sys.modules["numpy"].frombuffer(os.urandom(4 * _MT_WORDS), "uint32")
        with suppress(ValueError, TypeError):  # a cell has put another generator there
            # Half of what `seed()` takes, which mixes what the system gives.
            numpy_random.set_state(("MT19937", words, _MT_WORDS, 0, 0.0))


def _hold_openmp() -> None:
    """Its other threads are not here: one that is asked for would be waited for without an end."""
    for path in openmp_libraries():
        with suppress(OSError, AttributeError):
            ctypes.CDLL(path).omp_set_num_threads(1)
