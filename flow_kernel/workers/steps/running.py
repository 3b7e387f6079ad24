"""One step that runs, as its owner sees it: what it says, and why it was ended.

Made by `host` and by `spawned`; lives in one event loop.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.records.process import memory_total
from flow_kernel.workers.steps.contract import How, StepEnd, StepJob

if TYPE_CHECKING:
    from flow_kernel.workers.death import Death, Killer

_PIECE: Final = 1 << 16
_TAIL_CHARS: Final = 4096
_LAST_BYTES: Final = 1 << 20
"""What is read of a pipe after the end of its step: it holds no more, unless somebody goes on."""


class Running:
    """One step.

    Args:
        job: It.
        on_text: Gets what it writes to stderr, as it comes.
        kill: Ends it, with all that it has started.
    """

    def __init__(
        self, job: StepJob, on_text: Callable[[bytes], None], kill: Callable[[], object]
    ) -> None:
        self.job = job
        self.killed_by: Killer | None = None
        self.block: dict[str, Any] | None = None
        self.last_line = ""
        self.oom_kills: dict[str, int] = {}
        self.failure: BaseException | None = None
        self.on_timeout: Callable[[], None] | None = None
        """Ends it in the place of `end_for`, when its time is up."""
        self._kill = kill
        self._on_text = on_text
        self._loop = asyncio.get_running_loop()
        self._out: deque[bytes] = deque()
        self._out_bytes = 0
        self._tail = b""
        self._fds: dict[int, Callable[[bytes], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def output_bytes(self) -> int:
        """What it has written to stdout so far."""
        return self._out_bytes

    def listen(self) -> tuple[int, int]:
        """Begin to hear it.

        Returns:
            What its stdout and its stderr are to be; the caller closes them.
        """
        out, out_end = os.pipe2(os.O_CLOEXEC)
        try:
            err, err_end = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(out)
            os.close(out_end)
            raise
        for fd, add in ((out, self.hear_out), (err, self.hear_err)):
            os.set_blocking(fd, False)
            self._fds[fd] = add
            self._loop.add_reader(fd, self._read, fd)
        self.begin()
        return out_end, err_end

    def begin(self) -> None:
        """Its time begins."""
        if self.job.limits.timeout_s is not None:
            self._timer = self._loop.call_later(self.job.limits.timeout_s, self._time_is_up)

    def end_for(self, killer: "Killer") -> None:
        """Have it killed; the first reason stands."""
        if self.killed_by is None:
            self.killed_by = killer
        self._kill()

    def hear_out(self, data: bytes) -> None:
        """It has written this to stdout."""
        limit = self.job.limits.output_bytes
        if limit is None or self._out_bytes <= limit:
            self._out.append(data)
        self._out_bytes += len(data)
        if limit is not None and self._out_bytes > limit and self.killed_by is None:
            self.end_for("output")

    def hear_err(self, data: bytes) -> None:
        """It has written this to stderr."""
        self._tail = (self._tail + data)[-_TAIL_CHARS:] if len(data) < _TAIL_CHARS else data
        try:
            self._on_text(data)
        except Exception as error:  # noqa: BLE001 - of the caller's: it is raised where they wait
            self.failure = self.failure or error
            self.end_for("user")

    def close(self) -> None:
        """Hear what is there still, and no more."""
        if self._timer is not None:
            self._timer.cancel()
        for fd in list(self._fds):
            left = _LAST_BYTES
            while left > 0 and fd in self._fds:
                read = self._read(fd)
                if read == 0:
                    break
                left -= read
            self._forget(fd)

    def end(
        self, status: int, *, usage: dict[str, Any], how: How, how_reason: str,
        oom_kills: dict[str, int],
    ) -> StepEnd:  # fmt: skip
        """What became of it.

        Args:
            status: As `subprocess` has it.
            usage: `peak_rss_bytes`, `cpu_s`, `elapsed_s`, `left_behind`.
            how: It was started.
            how_reason: Why so.
            oom_kills: Of the system, now.
        """
        limit = self.job.limits.output_bytes
        if limit is not None and self._out_bytes > limit and self.killed_by is None:
            self.killed_by = "output"
        return StepEnd(
            returncode=status,
            stdout=b"".join(self._out)[:limit],
            stdout_bytes=self._out_bytes,
            peak_rss_bytes=usage.get("peak_rss_bytes"),
            cpu_s=usage.get("cpu_s"),
            elapsed_s=usage.get("elapsed_s", 0.0),
            death=self._death(status, usage.get("peak_rss_bytes"), oom_kills),
            block=self.block,
            left_behind=usage.get("left_behind", 0),
            how=how,
            how_reason=how_reason,
        )

    # -- inside ------------------------------------------------------------------------------------

    def _time_is_up(self) -> None:
        if self.on_timeout is None:
            self.end_for("timeout")
        else:
            self.on_timeout()

    def _read(self, fd: int) -> int:
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._forget(fd)
            return 0
        self._fds[fd](data)
        return len(data)

    def _forget(self, fd: int) -> None:
        if self._fds.pop(fd, None) is not None:
            self._loop.remove_reader(fd)
            with suppress(OSError):
                os.close(fd)

    def _death(self, status: int, peak: int | None, oom_kills: dict[str, int]) -> "Death | None":
        if status >= 0 and self.killed_by is None:
            return None
        from flow_kernel.workers.death import Evidence, decide, last_line_of

        said = self._tail[-_TAIL_CHARS:].decode("utf-8", "replace")
        fault = last_line_of(said, self.job.filename) if self.job.filename else None
        last = self.last_line or (f"line {fault.line} of the script" if fault else "")
        death = decide(
            Evidence(
                exit_code=status if status >= 0 else None,
                signal=-status if status < 0 else None,
                limits=self.job.limits,
                peak_rss_bytes=peak,
                was_killed_by=self.killed_by,
                oom_kills_before=self.oom_kills,
                oom_kills_after=oom_kills,
                last_line=last,
                last_output=said,
                fault=said,
                machine_bytes=memory_total(),
            )
        )
        sentence = death.sentence.replace("the worker died", "the step died", 1)
        return replace(death, sentence=sentence, hint=death.hint.replace("the worker", "the step"))
