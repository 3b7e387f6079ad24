"""Compiled sources, so that a process forked later need not compile what was seen before.

Used by `host_process` and, as a copy, in what it forks.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

_MOST = 256
_MOST_CHARS = 4_000_000
"""Of all sources together: a compiled one takes several times as much."""


class Compiled:
    """A bounded table; the oldest go first."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType | None] = {}
        self._nchars = 0

    def get(self, source: str, filename: str) -> "CodeType | None":
        """The code, compiled now if need be; None where it does not compile: its process tells."""
        key = (filename, source)
        if key in self._codes:
            return self._codes[key]
        try:
            code = compile(source, filename, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            code = None
        self._codes[key] = code
        self._nchars += len(source)
        while len(self._codes) > _MOST or (self._nchars > _MOST_CHARS and len(self._codes) > 1):
            oldest = next(iter(self._codes))
            del self._codes[oldest]
            self._nchars -= len(oldest[1])
        return code

    def known(self, source: str, filename: str) -> "CodeType | None":
        """The code, if it was compiled before."""
        return self._codes.get((filename, source))
