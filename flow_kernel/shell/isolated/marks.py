"""Cells that are isolated by a mark other than `%%isolated`: turned into that magic.

Installed by `shell.attach` among the transformers that IPython asks first. The record keeps the
source as it was written; IPython runs `%%isolated` above it.

Only the cell of a request is looked at, and only before it begins: code that a cell runs itself is
part of it. A cell made of our own magics alone works on the session, and runs there, unless a line
of it holds code. The body of `%%step` and `%%approve` goes to the worker with them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from IPython.core.inputtransformer2 import (
    classic_prompt,
    ipython_prompt,
    leading_empty_lines,
    leading_indent,
)

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.session import Session
from flow_kernel.shell.isolated import routing
from flow_kernel.shell.isolated.routing import Marks, Order

globals()["__builtins__"] = FROZEN_BUILTINS

_MAGIC: Final = "isolated"
# IPython evaluates what stands in braces, and attributes behind a dollar, in the line of a magic.
_CODE: Final = re.compile(r"[{$]")
_WITH_BODY: Final = ("step", "approve")
_OURS: Final = re.compile(
    r"\s*(?:#.*|%(?:flow|task|approve|checkpoint|rollback|workers)\b[^{$]*"
    r"|%%(?:step|approve)\b[^{$]*)?\Z"
)
_OF_VARIABLES: Final = re.compile(r"\s*%(?:checkpoint|rollback)\b(?!\s*\?)")
# What IPython does to a cell before it looks for a magic in its first line.
_CLEANUPS: Final = (leading_empty_lines, leading_indent, classic_prompt, ipython_prompt)


class IsolatedMarks:
    """The marks of one shell.

    Args:
        shell: IPython's.
        session: At work in it.
        is_running: True while a cell runs in this thread.
    """

    def __init__(self, shell: Any, session: Session, is_running: Callable[[], bool]) -> None:
        self._shell = shell
        self._session = session
        self._is_running = is_running

    def install(self) -> None:
        """Begin to look at cells."""
        self._shell.input_transformer_manager.cleanup_transforms.insert(0, self._transform)

    def remove(self) -> None:
        """Leave the shell as it was."""
        transforms = self._shell.input_transformer_manager.cleanup_transforms
        if self._transform in transforms:
            transforms.remove(self._transform)

    def order_of(self, source: str, magic: Marks | None) -> Order | None:
        """How the cell of the present request is to run; None for here.

        Args:
            source: Of the cell, or of the body of `%%isolated`.
            magic: What that magic says.

        Raises:
            UsageError: A mark is not understood.
        """
        metadata = self._metadata()
        settings = self._session.settings
        return routing.resolve(
            magic,
            routing.of_metadata(metadata),
            routing.of_tags(metadata),
            routing.of_comment(source),
            by_type=self._session.where.now.task_type in settings.isolated_types,
            isolate_all=settings.isolate_all,
        )

    # -- inside ------------------------------------------------------------------------------------

    def _transform(self, lines: list[str]) -> list[str]:
        if not lines or self._is_running():
            return lines
        is_strict = self._session.settings.isolate_all
        if lines[0].startswith("%%") and _isolates_itself(lines[:1], is_strict=is_strict):
            return lines  # whatever the request: most cells that are isolated say so at once
        source = "".join(lines)
        if not self._is_of_request(source) or _is_for_session(_clean(lines), is_strict=is_strict):
            return lines
        order = self.order_of(source, None)
        if order is None:
            return lines
        # Whoever looks whether a cell is risky has to see that it is no Python.
        return [f"%%{_MAGIC} --shell\n" if order.is_shell else f"%%{_MAGIC}\n", *lines]

    def _is_of_request(self, source: str) -> bool:
        """True for the cell itself: a kernel transforms other texts as well."""
        kernel = getattr(self._shell, "kernel", None)
        if kernel is None:
            return True
        parent = kernel.get_parent("shell")
        if (parent.get("header") or {}).get("msg_type") != "execute_request":
            return False
        code = (parent.get("content") or {}).get("code")
        return type(code) is str and code.strip() == source.strip()

    def _metadata(self) -> Any:
        kernel = getattr(self._shell, "kernel", None)
        return None if kernel is None else kernel.get_parent("shell").get("metadata")


def _is_for_session(lines: list[str], *, is_strict: bool) -> bool:
    """True for a cell that is nothing but our own magics, or that is isolated by itself."""
    if not any(line.strip() for line in lines):
        return False
    if _isolates_itself(lines, is_strict=is_strict):
        return True
    if is_strict and any(_OF_VARIABLES.match(line) for line in lines):
        return False  # they act on the variables, which a worker holds
    return all(_OURS.match(line.rstrip()) for line in lines)


def _isolates_itself(lines: list[str], *, is_strict: bool) -> bool:
    """True for `%%isolated`, alone or as the body of others of ours; strictly without code."""
    while lines and lines[0].startswith("%%"):
        name, _, rest = lines[0][2:].rstrip().partition(" ")
        if is_strict and _CODE.search(rest):
            return False
        if name == _MAGIC:
            return True
        if name not in _WITH_BODY:
            return False
        lines = _clean(lines[1:])
    return False


def _clean(lines: list[str]) -> list[str]:
    for cleanup in _CLEANUPS:
        lines = cleanup(lines)
    return lines
