"""Functions whose arguments become context of a task.

Called by users as `flow_kernel.auto_context`.

    @auto_context("repo_url", "branch", result="commit", on_error=True)
    def deploy(task_id, repo_url, branch="main"): …

The task is the argument `task_id`, else the attribute `task_id` of the first argument (methods),
else the open task of this session. What cannot be kept never changes what the function does.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast

from flow_kernel.errors import FlowError, NotFound, UsageError
from flow_kernel.session.ambient import current_session

P = ParamSpec("P")
T = TypeVar("T")

_ERROR_KEY: Final = "error"
Write = Callable[[str, Mapping[str, object]], object]
"""Sets keys of a task's context: `Flow.update_task_context`."""


class AutoContext:
    """Keeps arguments, and if asked the result and the error, as context of a task.

    Args:
        names: Parameters to keep, under their own names; defaults count.
        result: The key for what the function returns; None keeps it nowhere.
        on_error: True keeps the arguments also when the function raises, with `error`.
        write: Gives the function that writes, when there is something to write.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        result: str | None,
        on_error: bool,
        write: Callable[[], Write],
    ) -> None:
        self._names = names
        self._result = result
        self._on_error = on_error
        self._write = write

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """`function`, sync or async, with the same signature.

        Raises:
            UsageError: It has no parameter of one of the names.
        """
        signature = inspect.signature(function)
        unknown = [name for name in self._names if name not in signature.parameters]
        if unknown:
            raise UsageError(
                f"{getattr(function, '__qualname__', function)} has no parameter {unknown[0]!r}"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                try:
                    result = await function(*args, **kwargs)
                except Exception as error:
                    self._failed(signature, (args, kwargs), error)
                    raise
                self._ended(signature, (args, kwargs), result)
                return result

            return cast("Callable[P, T]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                self._failed(signature, (args, kwargs), error)
                raise
            self._ended(signature, (args, kwargs), result)
            return result

        return called

    def _failed(self, signature: inspect.Signature, given: Any, error: Exception) -> None:
        if self._on_error:
            self._keep(signature, given, {_ERROR_KEY: f"{type(error).__name__}: {error}"})

    def _ended(self, signature: inspect.Signature, given: Any, result: object) -> None:
        self._keep(signature, given, {} if self._result is None else {self._result: result})

    def _keep(self, signature: inspect.Signature, given: Any, more: dict[str, object]) -> None:
        args, kwargs = given
        try:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = {name: bound.arguments[name] for name in self._names}
            self._write()(_task_of(bound), {**values, **more})
        except FlowError as error:
            # The function has done its work, or has failed with an error of its own.
            warnings.warn(f"auto_context kept nothing: {error}", RuntimeWarning, stacklevel=4)


def _task_of(bound: inspect.BoundArguments) -> str:
    """The task that the call names."""
    named = bound.arguments.get("task_id", bound.kwargs.get("task_id"))
    if named is None and bound.args:
        named = getattr(bound.args[0], "task_id", None)
    if named is None:
        task = current_session().current_task
        if task is None:
            raise NotFound("no task is open here", hint="pass task_id, or: %task start NAME")
        named = f"{task.plan_id}/{task.task_id}"
    if not isinstance(named, str):
        raise UsageError(f"task_id is {type(named).__name__}, not text")
    return named
