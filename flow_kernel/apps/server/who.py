"""Who asks, in words that an audit can use: a name somebody has proven, or how they were let in.

Called by `base` for each answer to a question, and for what the page says of its user.

Jupyter Server invents a name for whoever has nothing but the token or the password of the server,
another one in each browser. What is known is that they hold what the user who started the server
was given: so that user is named, and how the other one came in.
"""

import re
from typing import Any, Final

from flow_kernel.records.plain import one_line
from flow_kernel.session.person import user_name

_NAME_CHARS: Final = 100
_INVENTED: Final = re.compile(r"[0-9a-f]{32}\Z")
NOBODY: Final = "unknown (dashboard, no token)"
"""Where the server lets everybody in."""


def who_asks(user: Any, provider: Any, *, has_token: bool) -> str:
    """The name for the record.

    Args:
        user: A `jupyter_server.auth.User`; None where there is none.
        provider: The identity provider of the server.
        has_token: True where the request itself brought the token.
    """
    name = one_line(str(getattr(user, "username", "") or ""), _NAME_CHARS)
    if name and _INVENTED.match(name) is None:
        return name
    ways = [
        way
        for way, secret in (("token", "token"), ("password", "hashed_password"))
        if getattr(provider, secret, "")
    ]
    if not ways:
        return NOBODY
    way = "token" if has_token else " or ".join(ways)
    return f"{one_line(user_name(), _NAME_CHARS)} (dashboard, {way})"
