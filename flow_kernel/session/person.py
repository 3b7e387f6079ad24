"""Who sits before the machine, as the system says.

Used by `session.assembly_state`, `session.open_home`, `session.orders` and the command line.
"""

import getpass


def user_name() -> str:
    """Who runs this process; `unknown` where the system does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
