"""One object for equal texts (pure).

Used by `shell.overrides.history_batches` for the sources of cells, and by
`shell.overrides.packed_outputs`.

Who runs the same cell again, or sees the same result, has the same text again. IPython keeps each
of them for as long as the session lives, and a source even twice: as it was written, and as plain
Python.
"""

from typing import Final, TypeVar, cast

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

Kept = TypeVar("Kept", bound=str | tuple[str, ...])

MOST: Final = 256
"""So many different ones are remembered."""


class SharedTexts:
    """The texts of late."""

    def __init__(self) -> None:
        self._known: dict[str | tuple[str, ...], str | tuple[str, ...]] = {}

    def same(self, text: Kept) -> Kept:
        """`text`, or one that is equal and was given before.

        Args:
            text: A text, or a tuple of texts; those of other classes are given back.
        """
        if type(text) is not str and type(text) is not tuple:
            return text
        known = self._known
        found = known.get(text)
        if found is not None:
            return cast("Kept", found)
        if len(known) >= MOST:
            known.clear()
        known[text] = text
        return text

    def clear(self) -> None:
        """Forget them all."""
        self._known.clear()
