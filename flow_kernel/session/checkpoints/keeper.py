"""A frozen copy of the session that saves it while the session itself goes on.

Started by `service`.

    session ── fork ─▶ go-between ── fork ─▶ keeper (frozen) ── fork ─▶ writer, watched by it
       │                   └ gone at once        └ says what was saved, then `_exit`
       └ goes on at once; reads the answer later

The go-between makes the keeper nobody's child: `os.wait()` of a cell finds only what the cell has
started. The keeper changes nothing of the copy it is, so that another writer can be forked from it
when a class of the user kills or hangs the first. It ends by itself once nobody reads its answer.
"""

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn, Protocol

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.store import forks

_READ_BYTES: Final = 1 << 16
_STANDARD: Final = (0, 1, 2)
_LOOK_MS: Final = 200


class Wanted(Protocol):
    """Says whether the answer is still wanted; also waited for beside other descriptors."""

    def fileno(self) -> int:
        """The descriptor that reports an error once it is not."""

    def __call__(self) -> bool:
        """True while it is."""


class _Mouth:
    """The end of the pipe that the answer goes to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, 0)

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def __call__(self) -> bool:
        """True until the other end is closed."""
        return not self._poll.poll(0)

    def say(self, document: dict[str, Any]) -> None:
        """Write the answer."""
        data = memoryview(orjson.dumps(document))
        while data:
            data = data[os.write(self._fd, data) :]


Work = Callable[[Wanted], dict[str, Any]]


class Keeper:
    """A keeper at work, seen from the session; to be closed."""

    def __init__(self, reader: int, go_between: int) -> None:
        self._reader = reader
        self._go_between = go_between
        self._is_read = False
        self._is_given_up = False

    @classmethod
    def start(cls, work: Work) -> "Keeper":
        """Fork one; the session as it is now is what it works on.

        Args:
            work: Run in the copy; its document is the answer, StoreError is one as well.

        Raises:
            OSError: There can be no more processes.
        """
        # An interrupt that is raised in one of the functions that Python calls at a fork would be
        # lost: those swallow what is raised in them.
        noted = NotedInterrupts()
        try:
            with noted:
                keeper = cls._fork(work)
        except OSError:
            noted.pass_on()
            raise
        try:
            noted.pass_on()
        except BaseException:
            keeper.close()
            keeper.disown()
            raise
        return keeper

    @classmethod
    def _fork(cls, work: Work) -> "Keeper":
        reader, mouth = os.pipe()
        pid = -1
        try:
            with forks.left_open():
                pid = fork()
                if pid == 0:
                    _go_between(work, reader, mouth)  # never returns
        except BaseException:
            if pid == 0:
                os._exit(1)  # a second session must not go on
            os.close(reader)
            raise
        else:
            return cls(forks.keep_from_children(reader), pid)
        finally:
            if pid != 0:
                os.close(mouth)

    def disown(self) -> None:
        """Wait for the go-between: from here on the cell has no child that it did not start."""
        with suppress(ChildProcessError):  # a handler of the user's may have been faster
            os.waitpid(self._go_between, 0)

    def answer(self) -> dict[str, Any]:
        """What the work has come to; waits for it.

        Raises:
            StoreError: The disk refused, the keeper was killed, or it was given up.
        """
        data = bytearray()
        self._is_read = True
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        try:
            # A read that blocks would keep the pipe open for a keeper that nobody wants any more.
            while not self._is_given_up:
                if not poll.poll(_LOOK_MS):
                    continue
                got = os.read(self._reader, _READ_BYTES)
                if not got:
                    break
                data += got
        finally:
            self._is_read = False
            self._close()
        try:
            document: dict[str, Any] = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise StoreError(
                "the variables could not be saved: the process that saved them was ended"
            ) from None
        if "refused" in document:
            raise StoreError(document["refused"])
        return document

    def close(self) -> None:
        """Give the answer up if it has not come; harmless the second time."""
        self._is_given_up = True
        if not self._is_read:
            self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, -1
        if reader >= 0:
            forks.close(reader)


def can_fork() -> bool:
    """True where a fork of this process is safe: Linux, no CUDA, memory to spare."""
    if sys.platform != "linux":
        return False
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        return False  # its driver does not outlive a fork
    return has_memory()


def fork() -> int:
    """`os.fork` without its warning."""
    with warnings.catch_warnings():
        # Python 3.12 warns that threads may hold locks; a child that hangs for one is killed.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


_PAGES_KEPT_FREE: Final = 0.2
"""Of our own memory: what a copy may need while it is read and the session goes on."""


def has_memory() -> bool:
    """True where there is memory for what a copy of this process may need."""
    # Read here and not by psutil: 30 us against 300.
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - Path.open takes twice as long
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        with open("/proc/meminfo", "rb") as file:  # noqa: PTH123 - as above
            facts = file.read(400).split()
        free = int(facts[facts.index(b"MemAvailable:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        return True
    return free > _PAGES_KEPT_FREE * resident


def _go_between(work: Work, reader: int, mouth: int) -> NoReturn:
    """The life of the go-between, which starts the keeper and is gone."""
    try:
        # Before anything else: an interrupt of the next cell is for that cell.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        gc.disable()  # finalizers are the session's
        if fork() == 0:  # the hooks are still told to leave the stores alone
            _keeper(work, reader, mouth)
    finally:
        os._exit(0)


def _keeper(work: Work, reader: int, mouth: int) -> NoReturn:
    """The life of the keeper."""
    try:
        os.setsid()  # not among those that a client kills or interrupts with the kernel
        os.close(reader)
        silence = os.open(os.devnull, os.O_RDWR)
        for fd in _STANDARD:  # what classes print while they are saved is nobody's output
            os.dup2(silence, fd)
        answer = _Mouth(mouth)
        try:
            document = work(answer)
        except StoreError as error:
            document = {"refused": error.message}
        answer.say(document)
    finally:
        os._exit(0)
