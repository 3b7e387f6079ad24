"""The files that a step is run with, and their end.

Used by executors that run steps on this machine. Everything of a run lies in one directory below
the home, so what a runner that was killed has left is found and removed by the next one.

    .flow/run/steps/<run>/<number>-<attempt>.json     the variables
                          <number>-<attempt>.py       the script, where its file says another thing
"""

import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.workflow.executors.contract import Order
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.private import private_directory

OPTION: Final = "--variables-file"
_NO_NAME: Final = re.compile(r"[^\w.-]+", re.ASCII)


class StepFiles:
    """The files of one attempt.

    Args:
        order: The attempt.
        directory: Of the run.

    Raises:
        StoreError: The disk refuses them.
    """

    def __init__(self, order: Order, directory: Path) -> None:
        self._order = order
        self._keeps = order.keep_in is not None
        self._directory = directory if order.keep_in is None else order.keep_in
        self._made: list[str] = []
        name = f"{order.number}-{order.attempt}"
        if self._keeps:
            name = f"{order.run_id}-{name}-{_NO_NAME.sub('_', order.step_id)[:60]}"
        self._stem = f"{self._directory}/{name}"
        self.variables: str = self._write(f"{self._stem}.json", order.variables)

    def script(self) -> str:
        """A file that holds the source: its own one if that still says the same."""
        source = self._order.source.encode("utf-8", "surrogatepass")
        with suppress(OSError):
            if Path(self._order.filename).read_bytes() == source:
                return self._order.filename
        suffix = ".sh" if self._order.step_type == StepType.COMMAND else ".py"
        return self._write(f"{self._stem}{suffix}", source)

    def command(self) -> tuple[str, ...]:
        """What runs the step as a program."""
        order = self._order
        if order.step_type == StepType.COMMAND:
            return ("bash", "-c", order.source, "bash", OPTION, self.variables)
        if order.notebook is not None:
            module = "flow_kernel.workflow.notebook_step"
            return (sys.executable, "-P", "-m", module, order.notebook, OPTION, self.variables)
        return (sys.executable, self.script(), OPTION, self.variables)

    def repeats(self) -> str:
        """What a person types to run the step again by hand; empty where nothing is kept."""
        if not self._keeps:
            return ""
        cd = f"cd {shlex.quote(self._order.directory)}"
        if self._order.step_type == StepType.COMMAND:
            return f"{cd} && {shlex.join(['bash', self.script(), OPTION, self.variables])}"
        return f"{cd} && {shlex.join(self.command())}"

    def close(self) -> None:
        """Remove them, unless they are to be kept."""
        if not self._keeps:
            for path in self._made:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - a path object takes as long as the removal

    def _write(self, path: str, data: bytes) -> str:
        try:
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except FileNotFoundError:
                private_directory(self._directory)
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._made.append(path)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(fd, rest) :]
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(f"cannot write {path} ({error.strerror or error})") from error
        return path
