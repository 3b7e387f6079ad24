"""How numbers, texts and lists are shown: as text, without asking twelve formatters first.

Used by the shells of `shell.overrides.once`.

For each result IPython asks each of its formatters (HTML, PNG, JSON, …) whether it has something
for that object: a tenth of a small cell, a third of a `display(1)`. For objects of Python's own
types the answer is known without asking, unless somebody has registered a printer for them: then
they are asked.

Proven for IPython 9.0 to 9.18; where a formatter is none of IPython's own classes, it is asked.
"""

from typing import Any, Final

from IPython.core import formatters
from IPython.core.formatters import BaseFormatter, DisplayFormatter, PlainTextFormatter

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.sections import SectionsOnce

globals()["__builtins__"] = FROZEN_BUILTINS

_PLAIN: Final = frozenset(
    {int, float, complex, bool, str, bytes, list, dict, tuple, set, frozenset, type(None)}
)
_TEXT: Final = "text/plain"
_KNOWN: Final = frozenset(
    kind
    for kind in vars(formatters).values()
    if isinstance(kind, type) and issubclass(kind, BaseFormatter)
)
_REGISTRIES: Final = ("type_printers", "deferred_printers", "singleton_printers")


class PlainDisplayFormatter(SectionsOnce, DisplayFormatter):  # type: ignore[misc]  # IPython's traits have no types
    """IPython's; what can only be text is not looked at for more."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        """What is shown of `obj`, by MIME type, and its metadata."""
        plain = self.formatters.get(_TEXT)
        if (
            type(obj) in _PLAIN
            and include is None
            and exclude is None
            and type(plain) is PlainTextFormatter
            and not self._is_special(obj, plain)
        ):
            text = plain(obj)
            return ({} if text is None else {_TEXT: text}), {}
        return super().format(obj, include=include, exclude=exclude)

    def _is_special(self, obj: Any, plain: Any) -> bool:
        others = (
            self.ipython_display_formatter,
            self.mimebundle_formatter,
            *self.formatters.values(),
        )
        for formatter in others:
            if formatter is plain:
                continue
            if type(formatter) not in _KNOWN:
                return True
            values = formatter._trait_values  # a registry that is not there yet is empty
            for name in _REGISTRIES:
                found = values.get(name)
                if found and _has(found, obj):
                    return True
        return False


def _has(registry: Any, obj: Any) -> bool:
    """True where a registry of a formatter, of whichever kind, may have something for `obj`."""
    if id(obj) in registry:
        return True
    return any(
        kind in registry or (kind.__module__, kind.__name__) in registry
        for kind in type(obj).__mro__
    )


PlainDisplayFormatter.__name__ = PlainDisplayFormatter.__qualname__ = DisplayFormatter.__name__
PlainDisplayFormatter.__module__ = DisplayFormatter.__module__
