"""Sees each code object that the shell compiles.

Called by `shell.attach`. IPython compiles a cell statement by statement with `shell.compile`, and
`%time`, `%timeit` and `%prun` do the same with the code they are given, so one tap sees all of it.
The compiler keeps its state, its type's name and `isinstance`; only its call passes by here.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class CompileTap:
    """Swaps the class of the shell's compiler for one that tells of each code object."""

    def __init__(self, shell: Any, on_code: Callable[[CodeType], None]) -> None:
        self._compiler = shell.compile
        self._original = type(shell.compile)
        self._on_code = on_code

    def install(self) -> None:
        """Begin to listen."""
        original, on_code = self._original, self._on_code

        def call(compiler: Any, *args: Any, **kwargs: Any) -> Any:
            code = original.__call__(compiler, *args, **kwargs)
            if type(code) is CodeType:
                on_code(code)
            return code

        names = {"__call__": call, "__module__": original.__module__, "__doc__": original.__doc__}
        self._compiler.__class__ = type(original.__name__, (original,), names)

    def remove(self) -> None:
        """Give the compiler its class back."""
        self._compiler.__class__ = self._original
