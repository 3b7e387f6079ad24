"""Log files as bytes, dealt to as many processes as there are processors.

Called by `tally` and `tally_duckdb`.

A share is a range of one file; it holds the lines that begin in it, so shares of any size cover
every line once. A worker is this interpreter again: it gets shares as JSON and answers in JSON.
Where it cannot be started, or dies, its shares are worked on here.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson

_BLOCK_BYTES: Final = 1 << 18
_NEWLINE: Final = 10
_WORTH_A_PROCESS_BYTES: Final = 32 << 20
_WORKER: Final = "import sys; from flow_kernel.apps.shares import serve; serve(*sys.argv[1:])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The lines of `path` that begin in [start, end)."""

    path: str
    start: int
    end: int


Work = Callable[[Sequence[Share]], Any]
"""From shares to what JSON can carry; a function of a module, so that a worker finds it."""


def spread(work: Work, paths: Sequence[Path], *, processes: int | None = None) -> list[Any]:
    """What `work` answers for all of `paths`, one answer for each process that took part.

    Args:
        work: The work.
        paths: Log files.
        processes: How many may work; by default one a processor, where there is much to read.

    Raises:
        OSError: A file cannot be read.
    """
    sizes = [(path, path.stat().st_size) for path in paths]
    if processes is None:
        total = sum(size for _, size in sizes)
        processes = min(len(os.sched_getaffinity(0)), 1 + total // _WORTH_A_PROCESS_BYTES)
    mine, *others = _deal(sizes, processes)
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(work, shares)) for shares in others]
        return [orjson.loads(orjson.dumps(work(mine))), *(worker.answer() for worker in workers)]


def serve(module: str, function: str) -> None:
    """What a worker runs: shares on stdin, the answer on stdout."""
    work: Work = getattr(import_module(module), function)
    shares = [Share(**share) for share in orjson.loads(sys.stdin.buffer.read())]
    sys.stdout.buffer.write(orjson.dumps(work(shares)))


def blocks(share: Share) -> Iterator[tuple[int, bytearray, int]]:
    """The lines of `share` in blocks.

    Yields:
        Where the block begins in the file, a buffer, and how many bytes of it count: whole lines,
        each with its newline (added to the last one where it is missing). The buffer is used again.
    """
    with Path(share.path).open("rb", buffering=0) as file:
        offset = _line_start(file.fileno(), share.start)
        file.seek(offset)
        buffer, held = bytearray(_BLOCK_BYTES), 0
        while offset < share.end:
            if held + 1 >= len(buffer):
                buffer += bytes(len(buffer))
            with memoryview(buffer) as view:
                got = file.readinto(view[held:-1])
            if not got:
                buffer[held] = _NEWLINE
                if held:
                    yield offset, buffer, held + 1
                return
            held += got
            whole = buffer.rfind(b"\n", 0, held) + 1
            wanted = share.end - offset
            if wanted <= whole:
                yield offset, buffer, buffer.find(b"\n", wanted - 1) + 1
                return
            if whole:
                yield offset, buffer, whole
                buffer[: held - whole] = buffer[whole:held]
                held -= whole
                offset += whole


class _Worker:
    """A process that works on shares while this one does."""

    def __init__(self, work: Work, shares: Sequence[Share]) -> None:
        self._work = work
        self._shares = shares
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_Worker":
        names = (self._work.__module__, self._work.__name__)
        try:
            # -P: a file of the working directory must not stand in for a module.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and names
                [sys.executable, "-P", "-c", _WORKER, *names],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            stdin = self._process.stdin
            if stdin is not None:
                stdin.write(orjson.dumps([asdict(share) for share in self._shares]))
                stdin.close()
                self._process.stdin = None
        except OSError:  # no process to be had, or it is gone already
            pass
        return self

    def answer(self) -> Any:
        """What the process answers, or what the work gives here when it does not."""
        if self._process is not None:
            told = self._process.communicate()[0]
            if self._process.returncode == 0:
                return orjson.loads(told)
        return orjson.loads(orjson.dumps(self._work(self._shares)))

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _deal(sizes: Iterable[tuple[Path, int]], hands: int) -> list[list[Share]]:
    everything = list(sizes)
    part = -(-sum(size for _, size in everything) // hands) or 1
    dealt: list[list[Share]] = [[] for _ in range(hands)]
    position = 0
    for path, size in everything:
        start = 0
        while start < size:
            hand = position // part
            end = min(size, start + (hand + 1) * part - position)
            dealt[hand].append(Share(path=os.fspath(path), start=start, end=end))
            position += end - start
            start = end
    return dealt


def _line_start(fd: int, position: int) -> int:
    """The first beginning of a line at or after `position`."""
    if position == 0:
        return 0
    position -= 1
    while block := os.pread(fd, _BLOCK_BYTES, position):
        found = block.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return position
