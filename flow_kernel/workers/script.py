"""A script of bash as a child of a worker: begun, fed, interrupted, and ended with all it started.

Called by `shell.worker.script`.

stdout and stderr are those of the worker, which its session reads as they come. The text goes in by
a descriptor that commands of the script do not see: it may be of any length, and no list of
processes shows it. stdin is a pipe, which is written to once a process waits for it, see
`stdin_waits`.

The script leads a session and a process group of its own, and what it starts carries a mark in its
environment: by these all of it is found, however it got away. A program that has left the session
and was started with a cleared environment is not; it ends with the worker.
"""

import array
import os
import select
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from flow_kernel.records.process import start_time
from flow_kernel.workers import sweep
from flow_kernel.workers.stdin_waits import Looks

MARK: Final = "FLOW_SCRIPT_TAG"
"""The environment variable that every process of a script carries."""
_ROUNDS: Final = 20
_MANY: Final = 20
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)


def kill_those_of(pids: Iterable[int]) -> int:
    """SIGKILL those that a script has started; how many there were.

    Their process groups die with them: what forks faster than anybody can look dies in one call.
    One of each group is asked for its mark: who forks lets nobody read it meanwhile.

    Args:
        pids: Just seen, the worker first; what is in its own group no script has started.
    """
    entry = f"{MARK}=".encode()
    spared: set[int] = set()
    groups: set[int] = set()
    killed = 0
    for at, pid in enumerate(pids):
        group = _group_of(pid)
        if group in groups:
            killed += 1
        elif at == 0:
            spared.add(group)
        elif group not in spared:
            environment = sweep.environment_of(pid) or b""
            if environment.startswith(entry) or b"\0" + entry in environment:
                groups |= _kill_group_of(pid)
                killed += 1
    return killed


class Script:
    """One script, from its start.

    Args:
        text: Of bash.

    Raises:
        FileNotFoundError: There is no bash, or no way to run it on this system.
    """

    def __init__(self, text: str) -> None:
        bash = shutil.which("bash")
        if bash is None or not hasattr(os, "killpg"):
            raise FileNotFoundError("bash")
        self._mark = uuid.uuid4().hex
        source = _kept(_with_line_ends(text).encode("utf-8", "surrogateescape"))
        theirs, self._stdin = os.pipe()
        try:
            # Read whole before it runs. NUL bytes fall away there, and bash says so.
            argv = ["bash", "-c", f'eval "$(</dev/fd/{source})" {source}<&-']
            self._popen = subprocess.Popen(  # noqa: S603 - that is what the cell asks for
                argv,
                executable=bash,
                stdin=theirs,
                pass_fds=(source,),
                start_new_session=True,
                env={**os.environ, MARK: self._mark},
            )
        except BaseException:
            os.close(self._stdin)
            raise
        finally:
            os.close(source)
            os.close(theirs)
        os.set_blocking(self._stdin, False)
        self._pidfd = _pidfd_of(self._popen.pid)
        self._looks = Looks(os.fstat(self._stdin).st_ino)
        self._unsaid = b""
        if not self._looks.can_tell(self._popen.pid):
            self.close_input()

    @property
    def pid(self) -> int:
        """Of bash."""
        return self._popen.pid

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end.

        Returns:
            The exit code, negative for a signal; None while it runs.
        """
        if self._pidfd is None:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_s)
        elif self._popen.returncode is None:
            select.select([self._pidfd], (), (), timeout_s)
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Signal its process group."""
        if self._popen.poll() is None:  # as long as it is not reaped, the number is its own
            with suppress(OSError):
                os.killpg(self._popen.pid, number)

    # -- its input ---------------------------------------------------------------------------------

    def reader(self) -> str | None:
        """The name of a program of it that waits for input; None while none does."""
        if self._stdin < 0 or self._unsaid or _in_pipe(self._stdin):
            return None
        return self._looks.reader(self._popen.pid)

    def write(self, text: str) -> None:
        """Type `text`; it is taken when the script reads."""
        self._unsaid += text.encode("utf-8", "surrogateescape")
        self.feed()

    def feed(self) -> None:
        """Go on to write what did not fit."""
        while self._unsaid and self._stdin >= 0:
            try:
                self._unsaid = self._unsaid[os.write(self._stdin, self._unsaid) :]
            except BlockingIOError:
                return
            except OSError:  # nobody is left who could read it
                self.close_input()

    def close_input(self) -> None:
        """Nobody types any more: it reads the end of its input."""
        self._unsaid = b""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    # -- its end -----------------------------------------------------------------------------------

    def close(self) -> int:
        """Kill what is left of it.

        Returns:
            How many processes that were, bash among them.
        """
        self.close_input()
        killed = 0
        for _ in range(_ROUNDS):
            left = self._left()
            if not left:
                break
            if len(left) > _MANY:
                self._kill_groups(left)
            killed += sweep.kill_all("", also=left)
            self._popen.poll()
        self._popen.wait()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        return killed

    def _kill_groups(self, pids: Iterable[int]) -> None:
        """A bomb forks while each of its processes is looked for."""
        groups: set[int] = set()
        for pid in pids:
            if _session_of(pid) == self._popen.pid and _group_of(pid) not in groups:
                groups |= _kill_group_of(pid)

    def _left(self) -> list[int]:
        """What runs of it: by its session, or by its mark."""
        me, entry = os.getpid(), f"{MARK}={self._mark}".encode()
        return [
            pid
            for pid in sweep.all_pids()
            if pid != me
            and (_session_of(pid) == self._popen.pid or entry in (sweep.environment_of(pid) or b""))
            and start_time(pid) is not None
        ]


def _with_line_ends(text: str) -> str:
    """A text of Windows as bash reads one; what is mixed stays as it was written."""
    whole = text.removesuffix("\n")  # the last one may be IPython's
    ends = whole.count("\r\n")
    is_of_windows = ends > 0 and ends == whole.count("\n")
    return text.replace("\r\n", "\n") if is_of_windows else text


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _kill_group_of(pid: int) -> set[int]:
    """SIGKILL all of the group that `pid`, just seen, is in; that group, or none."""
    try:
        group = os.getpgid(pid)
        if group != os.getpgrp():
            os.killpg(group, _KILL)
            return {group}
        os.kill(pid, _KILL)
    except OSError:
        pass
    return set()


def _kept(data: bytes) -> int:
    """A descriptor that `data` can be read from, and that has no name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("script")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(fd, left) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _pidfd_of(pid: int) -> int | None:
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _in_pipe(fd: int) -> int:
    """How many bytes nobody has read yet."""
    import fcntl  # Windows has none, and runs no script
    import termios

    found = array.array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(fd, termios.FIONREAD, found)
    return found[0]
