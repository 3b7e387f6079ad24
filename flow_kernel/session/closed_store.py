"""The store of a handle that was closed: every use says so.

Made by `session.flow` when it is closed, so that a forgotten handle does not open the file again.
"""

from typing import NoReturn

from flow_kernel.errors import StoreError


class ClosedStore:
    """A `Store` that refuses all but `close`."""

    __slots__ = ()

    def read(self) -> NoReturn:
        """Refuse."""
        raise _closed()

    def write(self, *, is_durable: bool = False) -> NoReturn:
        """Refuse."""
        raise _closed()

    def version(self) -> NoReturn:
        """Refuse."""
        raise _closed()

    def check(self) -> NoReturn:
        """Refuse."""
        raise _closed()

    def close(self) -> None:
        """Nothing is left to close."""


def _closed() -> StoreError:
    return StoreError(
        "this handle is closed; nothing was changed", hint="get another one: open_flow()"
    )
