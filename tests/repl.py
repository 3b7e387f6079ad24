"""A program that talks to `jupyter flow repl` over pipes, as an agent does.

Called by the flow tests and by tests of the command line.
"""

import array
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

import psutil

from tests.environments import environment
from tests.kernels import DEADLINE_S

Said = dict[str, Any]


class Repl:
    """One process of the verb in a folder of its own.

    Args:
        arguments: Of the verb.
        home: Home of records; its own folder by default.
        env: Variables to set over a cleaned copy of our environment.
        reads: False leaves stdout to the test.
        stdin: A file to read in place of a pipe.
    """

    def __init__(
        self,
        *arguments: str,
        home: Path | None = None,
        env: Mapping[str, str] | None = None,
        reads: bool = True,
        stdin: IO[bytes] | None = None,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fr"))
        self.home = home or self.root / "home"
        (self.root / "tmp").mkdir()
        with (self.root / "err.txt").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flow_kernel.apps.cli", "repl", *arguments],
                stdin=subprocess.PIPE if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=self.root,
                env=environment(
                    {
                        "FLOW_HOME": str(self.home),
                        "IPYTHONDIR": str(self.root / "ipython"),
                        "TMPDIR": str(self.root / "tmp"),
                        **(env or {}),
                    }
                ),
            )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self._stdin = self.process.stdin
        self.lines: list[bytes] = []
        self.checkpoints: list[dict[str, Any]] = []
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # Reads all the time: a full pipe would make the other side wait for us.
        self._reader = threading.Thread(target=self._read)
        if reads:
            self._reader.start()

    def _read(self) -> None:
        for line in self.stdout:
            self._queue.put(line)
        self._queue.put(b"")

    # -- saying ------------------------------------------------------------------------------------

    def say(self, **request: object) -> None:
        """Send one request."""
        self.raw(json.dumps(request).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self._stdin is not None
        self._stdin.write(data)
        self._stdin.flush()

    def run(self, code: str, **options: object) -> Said:
        """Run one cell; what is said meanwhile is dropped."""
        self.say(id=code[:20], code=code, **options)
        return self.until("success")

    # -- hearing -----------------------------------------------------------------------------------

    def next(self) -> Said:
        """The next object on stdout that no checkpoint has said.

        A checkpoint is told of when it is durable, which may be after the answer of its cell; those
        are in `checkpoints`.

        Raises:
            EOFError: There is none any more.
        """
        while (said := self.next_line()).get("event", {}).get("name") == "checkpoint":
            self.checkpoints.append(said["event"])
        return said

    def next_line(self) -> Said:
        """The next object on stdout, whoever said it.

        Raises:
            EOFError: There is none any more.
        """
        try:
            line = self._queue.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise TimeoutError(f"nothing was said: {self.remarks()[-2000:]}") from None
        if not line:
            raise EOFError(self.remarks()[-2000:])
        self.lines.append(line)
        assert line.endswith(b"\n")
        assert not line.startswith(b"MCP::")
        said = json.loads(line)
        assert isinstance(said, dict)
        return said

    def until(self, key: str) -> Said:
        """The next object that has `key`."""
        while key not in (said := self.next()):
            pass
        return said

    def streamed(self, text: str) -> list[Said]:
        """The next pieces of streamed text, which are `text`.

        A print is two writes: it may come in two pieces.
        """
        pieces, said = [], ""
        while len(said) < len(text):
            pieces.append(self.until("stream"))
            said += pieces[-1]["text"]
        assert said == text
        return pieces

    def rest(self) -> list[Said]:
        """Everything until stdout ends."""
        found = []
        while True:
            try:
                found.append(self.next())
            except EOFError:
                return found

    def remarks(self) -> str:
        """What was said on stderr."""
        return (self.root / "err.txt").read_text(encoding="utf-8", errors="replace")

    # -- the process -------------------------------------------------------------------------------

    def kernels(self) -> list[psutil.Process]:
        """The kernels below it."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "flow_kernel" in " ".join(child.cmdline())]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def unread(self) -> int:
        """Bytes that lie in the pipe."""
        counted = array.array("i", [0])
        fcntl.ioctl(self.stdout, termios.FIONREAD, counted)
        return counted[0]

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Wait until something outside of the lines has happened."""
        deadline = time.monotonic() + DEADLINE_S
        while not happened():
            assert time.monotonic() < deadline, self.remarks()[-2000:]
            time.sleep(0.01)

    def close_input(self) -> None:
        """Say nothing more."""
        assert self._stdin is not None
        self._stdin.close()

    def end(self) -> int:
        """Close stdin and wait for the end; returns the exit code."""
        self.close_input()
        code = self.process.wait(DEADLINE_S)
        self._join()
        return code

    def close(self) -> None:
        """End the process however it stands, and remove its folder."""
        if self.process.poll() is None:
            kernels = self.kernels()
            self.process.kill()
            for kernel in kernels:
                kill_group(kernel.pid)
        self.process.wait()
        self._join()
        for stream in (self._stdin, self.stdout):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:
                continue
        shutil.rmtree(self.root, ignore_errors=True)

    def _join(self) -> None:
        if self._reader.ident is not None:
            self._reader.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def kill_group(pid: int) -> None:
    """Kill a kernel and its process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
