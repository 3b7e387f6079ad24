"""A source without IPython's syntax is not taken to pieces to find that out.

Used by the shells of `shell.flow_shell` and `shell.worker.shell`.

IPython reads each cell with Python's tokenizer, which is written in Python: 35 µs for `1+1`, 5 ms
for a hundred lines. What it looks for begins with a few characters, and stands first in a line or
behind a `=`. The call that it makes of a cell magic is read as well, body and all. Of what is wrong
with a source the tokenizer tells one thing itself, that a line stands at no depth of those before.

Our own transformers begin at a `%`, or look for a question mark. Proven for IPython 9.0 to 9.18:
nothing changes where others are at work, and where `is_usable` finds other names.
"""

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from IPython.core import inputtransformer2
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.question_mark import TRANSFORMERS

globals()["__builtins__"] = FROZEN_BUILTINS

_NAMES: Final = ("MagicAssign", "SystemAssign", "EscapedCommand", "HelpEnd")
_FINDERS: Final = [getattr(inputtransformer2, name, None) for name in _NAMES]
_KNOWN: Final = (_FINDERS, [*_FINDERS, *TRANSFORMERS])
_INSIDE: Final = re.compile(r"\?|=[\s\\]*[%!]")
_FIRST: Final = ("%", "!", ",", ";", "/")
_TEXT: Final = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_MAGIC: Final = re.compile(rf"get_ipython\(\)\.run_cell_magic\({_TEXT}, {_TEXT}, {_TEXT}\)\n")


class PlainTransformers(TransformerManager):  # type: ignore[misc]  # IPython has no types
    """IPython's, which look at the tokens of a source only where there may be something."""

    def do_token_transforms(self, lines: list[str]) -> list[str]:
        """Transform what is IPython's syntax."""
        if self.token_transformers in _KNOWN and is_plain(lines):
            return lines
        found: list[str] = super().do_token_transforms(lines)
        return found


class PlainSourceShell(InteractiveShell):  # type: ignore[misc]  # IPython has no types
    """A shell with such transformers."""

    def init_prefilter(self) -> None:
        """Begin to transform cells."""
        super().init_prefilter()
        given = self.input_transformer_manager
        if is_usable() and type(given) is TransformerManager:
            given.__class__ = PlainTransformers


def is_plain(lines: Sequence[str]) -> bool:
    """True where no transformer of tokens, of IPython or ours, can find anything (pure).

    Args:
        lines: Of a source, with their ends.
    """
    if len(lines) == 1 and _MAGIC.fullmatch(lines[0]):
        return True
    return _INSIDE.search("".join(lines)) is None and _are_in_order(lines)


def _are_in_order(lines: Sequence[str]) -> bool:
    """True where no line begins as a command, and none stands where the tokenizer complains."""
    depths = [0]
    for line in lines:
        text = line.lstrip()
        if text.startswith(_FIRST) or not line.endswith("\n"):
            return False
        if text:
            depth = len(line) - len(text)
            if line[:depth].strip(" "):
                return False
            if depth > depths[-1]:
                depths.append(depth)
            while depth < depths[-1]:
                depths.pop()
            if depth != depths[-1]:
                return False
    return True


def is_usable() -> bool:
    """IPython transforms tokens as we know it."""
    try:
        parameters = [*inspect.signature(TransformerManager.do_token_transforms).parameters]
        made: Any = TransformerManager()
        return parameters == ["self", "lines"] and made.token_transformers == _FINDERS
    except (AttributeError, TypeError, ValueError):
        return False
