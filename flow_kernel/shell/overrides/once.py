"""What ipykernel and IPython work out twice in each cell, worked out once.

Used by the shells and kernels of `shell.flow_shell` and `shell.worker.shell`.

For each cell ipykernel transforms the source to find out whether it awaits something, and IPython
transforms it again to run it; ipykernel compiles it for the same question, and looks up which
arguments its own methods take. Together they are a tenth of a small cell.

Proven for ipykernel 7.0 to 7.4 and IPython 9.0 to 9.18; where a name is missing, nothing changes.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

from ipykernel import ipkernel
from ipykernel.zmqshell import ZMQInteractiveShell

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.plain_results import PlainDisplayFormatter
from flow_kernel.shell.overrides.sections import SectionsOnce

globals()["__builtins__"] = FROZEN_BUILTINS

_ACCEPTS: Final = "_accepts_parameters"


class OnceShell(SectionsOnce, ZMQInteractiveShell):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's shell: what was transformed for a request is not transformed again."""

    _asked: tuple[str, str | None] | None = None
    """The source, and what became of it; one value, because subshells run cells as well."""

    def init_display_formatter(self) -> None:
        """Show plain objects as text at once."""
        self.display_formatter: Any = PlainDisplayFormatter(parent=self)
        self.configurables.append(self.display_formatter)

    def begin_request(self, code: str) -> None:
        """The source of a request is about to be run."""
        self._asked = code, None

    def end_request(self) -> None:
        """It has been run."""
        self._asked = None

    def transform_cell(self, raw_cell: str) -> str:
        """Plain Python for a source with magics."""
        asked = self._asked
        if asked is None or asked[0] is not raw_cell:
            other: str = super().transform_cell(raw_cell)
            return other
        if asked[1] is not None:
            self._asked = None  # who asks a third time may have changed the transformers
            return asked[1]
        made: str = super().transform_cell(raw_cell)
        self._asked = raw_cell, made
        return made

    def should_run_async(self, raw_cell: str, **known: Any) -> bool:
        """Whether a cell awaits something; without either word it cannot."""
        source = known.get("transformed_cell")
        if type(source) is str and "await" not in source and "async" not in source:
            return False
        awaits: bool = super().should_run_async(raw_cell, **known)
        return awaits


def remember_signatures() -> None:
    """From now on ipykernel looks only once what one of its methods takes."""
    module: Any = ipkernel
    stock: Any = getattr(module, _ACCEPTS, None)
    if is_usable() and not isinstance(stock, _Remembered):
        setattr(module, _ACCEPTS, _Remembered(stock))


def is_usable() -> bool:
    """True where ipykernel asks one function what its methods take."""
    stock: Any = getattr(ipkernel, _ACCEPTS, None)
    if isinstance(stock, _Remembered):
        return True
    try:
        return [*inspect.signature(stock).parameters] == ["meth", "param_names"]
    except (TypeError, ValueError):
        return False


class _Remembered:
    """A function of a method and names, which remembers what it found."""

    def __init__(self, stock: Callable[[Any, Any], Any]) -> None:
        self._stock = stock
        self._found: dict[tuple[Any, ...], Any] = {}

    def __call__(self, method: Any, names: Sequence[str]) -> Any:
        function = getattr(method, "__func__", None)
        if function is None:  # somebody has put another thing there, with a life of its own
            return self._stock(method, names)
        key = (function, *names)
        if key not in self._found:
            self._found[key] = self._stock(method, names)
        return self._found[key]
