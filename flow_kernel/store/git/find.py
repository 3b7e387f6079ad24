"""Which repository holds the files of a project.

Called by `session.checkpoints`, once a session.
"""

from collections.abc import Mapping
from pathlib import Path

from flow_kernel.errors import StoreError
from flow_kernel.store.git.command import Git
from flow_kernel.store.git.rules import is_refused

_FIND_S = 5.0


def find(cwd: Path, *, env: Mapping[str, str], user_home: Path) -> Git:
    """The working tree around `cwd`.

    Args:
        cwd: Where the session works.
        env: The environment of the process.
        user_home: Never captured as a whole.

    Raises:
        StoreError: There is none that can be captured; the message says why.
    """
    git = Git(top=cwd, env=env).until(_FIND_S)
    try:
        top = Path(git.line("rev-parse", "--show-toplevel"))
    except StoreError as error:
        if "not a git repository" in error.message:
            raise StoreError("there is no git repository around them") from None
        raise
    if is_refused(str(top), str(user_home)):
        raise StoreError(f"files are not captured: the repository is all of {top}")
    return Git(top=top, env=env)
