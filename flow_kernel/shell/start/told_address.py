"""A kernel that is told its address does not look for the addresses of the machine.

Used by `shell.kernel`, whose application is one.

jupyter_client works out a default for the address before it looks whether the connection file has
one, and for that it asks psutil for all network interfaces: 5 ms, most of them the import.

Proven for jupyter_client 8.6 to 8.10, which asks `_ip_default` for it; another one that asks
something else gets what it did before.
"""

from typing import Any


class ToldAddress:
    """A mixin for an application with a connection file."""

    _told: str | None = None

    def load_connection_info(self, info: Any) -> None:
        """Take over what a connection file says."""
        told = info.get("ip")
        self._told = told if type(told) is str else None
        try:
            super().load_connection_info(info)  # type: ignore[misc]  # of the application
        finally:
            self._told = None

    def _ip_default(self) -> str:
        default: str = self._told or super()._ip_default()  # type: ignore[misc]  # as above
        return default
