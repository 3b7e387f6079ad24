"""What `current_session()` gives in a worker: the session that the cell belongs to, from afar.

Made by `shell.worker.app`. Each call is done by the session, in the thread of the cell, and returns
when it is done. Values are JSON; what the session shows comes as text that shows itself alike.
"""

import os
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import FlowError, UsageError
from flow_kernel.session.ambient import current_session
from flow_kernel.session.context_values import encoded
from flow_kernel.session.flow import TaskView
from flow_kernel.session.progress import Meter
from flow_kernel.session.steps import is_number
from flow_kernel.shell.worker.calls import WorkerCalls
from flow_kernel.shell.worker.checkpoints import WorkerCheckpoints
from flow_kernel.store.contract import StepRow, TaskRow

if TYPE_CHECKING:
    from flow_kernel.session.checkpoints.rollback import Rollback
    from flow_kernel.session.checkpoints.service import Checkpoints
    from flow_kernel.session.checkpoints.taking import Taking

_monotonic: Final = time.monotonic


class WorkerSession:
    """The session, as code in a worker sees it.

    Args:
        call: Has the session do something.
        checkpoints: At work where this worker holds the variables of the session; None where it
            never does.
    """

    def __init__(self, call: WorkerCalls, checkpoints: WorkerCheckpoints | None = None) -> None:
        self._call: Any = call
        self._checkpoints = checkpoints

    @property
    def current_task(self) -> TaskRow | None:
        """The task that cells belong to now; None outside any."""
        found = self._call("task")
        return None if found is None else TaskRow(**found)

    @property
    def context(self) -> "WorkerContext":
        """The context of the open task, as a dict that writes itself."""
        return WorkerContext(self._call)

    def start_task(
        self,
        name: str,
        description: str = "",
        *,
        steps: Sequence[str] = (),
        type: str = "custom",
    ) -> TaskView:
        """Create a task and begin to work on it."""
        found = self._call(
            "start_task", name=name, description=description, type=type,
            steps=list(steps) if isinstance(steps, tuple) else steps,
        )  # fmt: skip
        return TaskView(
            task=TaskRow(**found["task"]),
            steps=[StepRow(**step) for step in found["steps"]],
            context=found["context"],
            tags=found["tags"],
        )

    @contextmanager
    def step(self, name: str, *, is_alone: bool = False) -> Iterator["WorkerStep"]:
        """A step for the time of a `with` block: `s.log(text)`, `s.progress(i, n)`.

        Args:
            name: Of the step.
            is_alone: True to have the one that `%task step` has begun done first.
        """
        begun = self._call("step_begin", name=name, is_alone=is_alone)
        step = WorkerStep(self._call, begun["handle"], name=begun["name"], number=begun["number"])
        try:
            yield step
        except BaseException as error:
            with suppress(FlowError):  # the error of the block is the one to be seen
                step.end(failure=type(error).__name__)
            raise
        step.end(failure=None)

    def finish(self) -> object:
        """The open task is done. Returns its report, which shows itself."""
        return self._call("finish")

    def fail(self, reason: str) -> object:
        """The open task failed. Returns its report, which shows itself."""
        return self._call("fail", reason=reason)

    def artifact(self, path: "str | os.PathLike[str]") -> None:
        """Note a file that the open task makes; its size and checksum are taken at its end."""
        self._call("artifact", path=_path(path))

    def request_approval(
        self,
        message: str,
        *,
        payload: object = None,
        timeout_s: float | None = None,
        on_timeout: str = "reject",
        park: bool | None = None,
        remind_s: float | None = None,
    ) -> bool:
        """Ask a person, and say whether the answer was yes; see `Session.request_approval`.

        The answer is bound to the source of the cell of the session.

        Raises:
            ApprovalPending: It is parked.
            UsageError: An argument cannot be used; nothing was asked.
        """
        return bool(
            self._call(
                "approve", message=message, payload=payload, timeout_s=timeout_s,
                on_timeout=on_timeout, park=park, remind_s=remind_s,
            )
        )  # fmt: skip

    @property
    def checkpoints(self) -> "Checkpoints":
        """The time machine, where every cell of the session runs in this worker.

        Raises:
            AttributeError: The session has its own, which cannot be reached.
        """
        if self._own is None:
            raise AttributeError("checkpoints of the session cannot be reached from a worker")
        return self._own.checkpoints

    def checkpoint(
        self, name: str | None = None, *, tag: bool = False, wait: bool | None = None
    ) -> "str | Taking":
        """Keep the variables of the session, and the files.

        Where every cell runs in this worker, its variables are those of the session.

        Args:
            name: For lists and for the way back.
            tag: True to give the commit of the files a git tag as well.
            wait: Said where the session takes one; from here it is always waited for.

        Returns:
            The checkpoint where it is of this worker, else its id.
        """
        if self._own is not None:
            return self._own.checkpoint(name, tag=tag)
        return str(self._call("checkpoint", name=name, tag=tag))

    def rollback(
        self, to: Any, *, what: str = "all", dry_run: bool = False, trusts: bool = False
    ) -> "str | Rollback":
        """Make the variables of the session and the files as they were.

        Where every cell runs in this worker, its variables are those of the session.

        Args:
            to: A checkpoint, its name or id, or `-1` for the newest.
            what: all, state or files.
            dry_run: True to say what would happen, and to change nothing.
            trusts: True to load one that this user has not signed, which may run any code.

        Returns:
            What was done where it is of this worker, else the id of the checkpoint.
        """
        if self._own is not None:
            return self._own.rollback(to, what=what, dry_run=dry_run, trusts=trusts)
        said = to if isinstance(to, str) else to.checkpoint_id
        return str(self._call("rollback", to=said, what=what, dry_run=dry_run, trusts=trusts))

    @property
    def _own(self) -> WorkerCheckpoints | None:
        found = self._checkpoints
        return found if found is not None and found.is_on else None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} of the session cannot be reached from a worker")

    def __reduce__(self) -> tuple[Any, ...]:
        return current_session, ()  # as a variable it means the session, wherever it is sent

    def __repr__(self) -> str:
        return "<the session of this worker>"


class WorkerStep:
    """A step that is being done."""

    def __init__(self, call: Any, handle: str, *, name: str, number: int) -> None:
        self.name: str = name
        self.number: int = number
        self._call = call
        self._handle = handle
        self._meter = Meter(name)
        self._untold: tuple[float, float] | None = None

    def log(self, text: str) -> None:
        """Add a line to the log of the task."""
        self._call("log", text=text)

    def artifact(self, path: "str | os.PathLike[str]") -> None:
        """Note a file that the task makes; its size and checksum are taken when the task ends."""
        self._call("artifact", path=_path(path))

    def progress(self, i: float, n: float) -> None:
        """Say that `i` of `n` are done; the session is told ten times a second at most.

        Raises:
            UsageError: They are no numbers, or `n` is not above zero.
        """
        if not (is_number(i) and is_number(n) and n > 0):
            raise UsageError(f"progress takes two numbers, the second above zero, not {i!r}, {n!r}")
        self._untold = (i, n)
        if self._meter.report(i, n, _monotonic()) is not None:
            self._untold = None
            self._call("progress", handle=self._handle, i=i, n=n)

    def end(self, *, failure: str | None) -> None:
        """It goes on no more, as far as it may have come."""
        untold, self._untold = self._untold, None
        self._call(
            "step_end", handle=self._handle, failure=failure,
            untold=None if untold is None else list(untold),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<step {self.name}>"


class WorkerContext(MutableMapping[str, object]):
    """Keys and JSON values of the open task; reading and writing raise NotFound when none is."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getitem__(self, key: str) -> object:
        return self._all()[key]

    def __setitem__(self, key: str, value: object) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        if not self._call("context_unset", key=key):
            raise KeyError(key)

    def update(self, other: Any = (), /, **more: object) -> None:
        """Set several keys, in one change of the context."""
        values = {**dict(other), **more}
        encoded(values)  # says which key cannot be kept
        self._call("context_set", values=values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(dict(self._all()))

    def _all(self) -> Mapping[str, object]:
        found: Mapping[str, object] = self._call("context")
        return found


def _path(path: object) -> str:
    """A path as it is meant here: the session may stand in another directory."""
    try:
        return os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100 - checked here, and links stay
    except (TypeError, ValueError):
        raise UsageError(f"an artifact is a path, not {type(path).__name__}") from None
