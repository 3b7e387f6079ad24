"""Steps in the process of the runner itself: no isolation, and no process to start.

Built by `workflow.registry` as `inline`. For short scripts that are known to behave: one that ends
the process, hangs or fills the memory does that to the run and to everything in it, and no timeout
ends it. Steps run one after the other here, whatever the number of places.
"""

import io
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from types import CodeType, ModuleType
from typing import Any, Final, TextIO

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workflow.executors.contract import Context, Log, Order, Outcome
from flow_kernel.workflow.files import OPTION, StepFiles
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.outcome import error_of
from flow_kernel.workflow.states import StepState

_MOST_COMPILED: Final = 512
_MOST_CODE: Final = 0xFF
"""The system keeps so much of an exit code."""


class _Heard(io.StringIO):
    """What a script writes; it may close this, as it may close its own."""

    def close(self) -> None:
        """Nothing."""


class InlineExecutor:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._files = context.files
        self._compiled: dict[tuple[str, str], CodeType] = {}

    async def run(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end; see `contract.Executor`."""
        return self.run_now(order, log)

    def run_now(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end; see `contract.ImmediateExecutor`."""
        if order.step_type != StepType.PYTHON_SCRIPT:
            raise IsolationUnavailable(
                f"a step of type {order.step_type} cannot run inline",
                hint="leave its isolation away",
            )
        out, err = _Heard(), _Heard()
        with (
            self._variables(order) as variables,
            _as_a_program(order, variables),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = self._run(order, err)
        said = err.getvalue()
        if said:
            log(said.encode("utf-8", "backslashreplace"))
        error = error_of(code, said) if code else None
        return Outcome(
            state=StepState.ERROR if code else StepState.OK,
            stdout=out.getvalue().encode("utf-8", "surrogatepass"),
            error=error,
            how="inline",
        )

    async def close(self) -> None:
        """Nothing is left."""

    @contextmanager
    def _variables(self, order: Order) -> Iterator[str]:
        """A path that the variables are read from, as long as the step runs."""
        if order.keep_in is not None or not hasattr(os, "memfd_create"):
            files = StepFiles(order, self._files)
            try:
                yield files.variables
            finally:
                files.close()
            return
        # A file of the disk costs as much as all the rest.
        fd = os.memfd_create("variables", os.MFD_CLOEXEC)
        try:
            rest = memoryview(order.variables)
            while rest:
                rest = rest[os.write(fd, rest) :]
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def _run(self, order: Order, err: TextIO) -> int:
        """The exit code that a process of its own would have had."""
        module = ModuleType("__main__")
        module.__file__ = order.filename
        try:
            exec(self._code(order), module.__dict__)  # noqa: S102 - that is what the step asks for
        except SystemExit as error:
            if isinstance(error.code, int) or error.code is None:
                return (error.code or 0) & _MOST_CODE
            err.write(f"{error.code}\n")
            return 1
        except KeyboardInterrupt:  # of whoever wants the run to end
            raise
        except BaseException as error:  # noqa: BLE001 - a script may raise anything; it is told as its error
            # Without the frame that is ours.
            below = error.__traceback__.tb_next if error.__traceback__ else None
            traceback.print_exception(type(error), error, below, file=err)
            return 1
        return 0

    def _code(self, order: Order) -> CodeType:
        key = (order.filename, order.source)
        code = self._compiled.get(key)
        if code is None:
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            code = compile(order.source, order.filename, "exec", dont_inherit=True)
            self._compiled[key] = code
        return code


@contextmanager
def _as_a_program(order: Order, variables: str) -> Iterator[None]:
    """What a script finds around itself, and what the process had before."""
    argv: list[Any] = sys.argv
    path, cwd = [*sys.path], _cwd()
    sys.argv = [order.filename, OPTION, variables]
    sys.path.insert(0, os.path.dirname(order.filename))  # noqa: PTH120 - texts, 50 times a path
    if order.directory != cwd:
        os.chdir(order.directory)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        if cwd and _cwd() != cwd:
            with suppress(OSError):
                os.chdir(cwd)


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - see above
    except OSError:
        return ""
