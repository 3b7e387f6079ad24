"""Copies of the scripts of a workflow, for people who want to read what was run.

Written by `service` while the first steps run, and named by `orders`.

    .flow/workflow_scripts/<workflow>/step_<order>_<name>.py      .sh for a command
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.workflow.model import Step, StepType, Workflow
from flow_kernel.workflow.private import private_directory

_NO_NAME: Final = re.compile(r"[^\w.-]+", re.ASCII)
_MOST_CHARS: Final = 80
_MARK: Final = ".definition"
"""Which definition the copies are of: they are not looked at again for each run of it."""


class Scripts:
    """The copies of one workflow.

    Args:
        home: Below it they lie.
        workflow: Whose.
        sha256: Of its definition.
    """

    def __init__(self, home: Home, workflow: Workflow, sha256: str) -> None:
        self._directory = home.root / "workflow_scripts" / _slug(workflow.name)
        self._names = _names(workflow)
        self._workflow = workflow
        self._sha256 = sha256
        self._is_wanted = True

    def path(self, step: Step) -> str:
        """Where the copy of a step lies."""
        return f"{self._directory}/{self._names[step.id]}"

    def file_of(self, step: Step) -> str:
        """The file that the tracebacks of a step name."""
        return step.file or self.path(step)

    def write(self) -> None:
        """Write the copies that are not there yet; beside the run, which does not wait for it.

        A disk that refuses them does not keep a step from running.
        """
        mark = self._directory / _MARK
        with suppress(OSError):
            if mark.read_text("ascii") == self._sha256:
                return
        for step in self._workflow.steps:
            if not self._is_wanted:
                return
            if step.step_type != StepType.NOTEBOOK:
                with suppress(OSError):
                    self._write(Path(self.path(step)), step.code.encode("utf-8", "surrogatepass"))

        with suppress(OSError):
            self._write(mark, self._sha256.encode())

    def stop(self) -> None:
        """Write no more."""
        self._is_wanted = False

    def _write(self, path: Path, data: bytes) -> None:
        with suppress(FileNotFoundError):
            if path.read_bytes() == data:
                return
        private_directory(path.parent)
        draft = path.with_name(f".{path.name[:60]}.{os.urandom(4).hex()}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _names(workflow: Workflow) -> dict[str, str]:
    """By id; two steps of one order and name get different ones."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for step in workflow.steps:
        suffix = ".sh" if step.step_type == StepType.COMMAND else ".py"
        name = f"step_{step.order}_{_slug(step.name)}"
        if name + suffix in taken:
            name = f"{name}_{_slug(step.id)}"
        count = 2
        wanted = name
        while name + suffix in taken:
            name, count = f"{wanted}_{count}", count + 1
        taken.add(name + suffix)
        names[step.id] = name + suffix
    return names


def _slug(text: str) -> str:
    """As a part of a file name on any system."""
    return _NO_NAME.sub("_", text).strip("._")[:_MOST_CHARS] or "unnamed"
