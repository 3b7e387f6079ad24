"""Who somebody is at a Jupyter Server, as a test says: the header `X-User`, behind the token.

Loaded by the servers of `tests/flows/test_sandbox_bounds.py`.
"""

from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User


class HeaderUsers(IdentityProvider):
    """An identity provider with accounts."""

    async def get_user_token(self, handler: Any) -> User | None:
        """The user of a request with the right token."""
        if await super().get_user_token(handler) is None:
            return None
        return User(username=handler.request.headers.get("X-User", "nobody"))
