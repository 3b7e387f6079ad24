"""Who makes a change: the person before the machine, or whoever a running cell is of.

Used by `session.assembly_state`, `session.flow`, `session.open_home`, `session.orders` and the
command line.
"""

import getpass
from collections.abc import Callable

Author = str | Callable[[], str]
"""A name, or what gives it at the time of a change."""


def user_name() -> str:
    """Who runs this process; `unknown` where the system does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def name_of(author: Author) -> str:
    """Who it is now."""
    return author if isinstance(author, str) else author()
