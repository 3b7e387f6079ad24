"""What checkpoints need to know of a shell.

Called by `shell.kernel` for the kernel and for the extension.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

from flow_kernel.session.checkpoints.surroundings import Surroundings


def surroundings(shell: Any) -> Surroundings:
    """The variables of a shell, and what they may refer to."""
    return Surroundings(
        namespace=shell.user_ns,
        hidden=shell.user_ns_hidden,
        anchors=lambda: _anchors(shell),
        key_path=Path(jupyter_data_dir(), "flow", "key"),
        cwd=Path.cwd(),
        user_home=Path.home(),
    )


def _anchors(shell: Any) -> Mapping[str, object]:
    """Objects of the session that come with every kernel."""
    found = {
        "shell": shell,
        "kernel": getattr(shell, "kernel", None),
        "In": shell.user_ns.get("In"),
        "Out": shell.user_ns.get("Out"),
        "stdout": sys.stdout,
        "stderr": sys.stderr,
        "environ": os.environ,
    }
    distinct = {id(value): name for name, value in found.items() if value is not None}
    return {name: found[name] for name in distinct.values()}
