"""What tests of isolated cells have in common.

Called by the tests in `tests/flows`.
"""

import time
from itertools import groupby
from typing import Final

from tests.kernels import Kernel
from tests.replies import Ran
from tests.workers.trees import runs

DEAF: Final = (
    "import signal\nfor number in (signal.SIGINT, signal.SIGTERM):"
    " signal.signal(number, signal.SIG_IGN)\n"
)
"""Code of a worker that no longer hears what asks it to stop."""
IMPORT: Final = "from flow_kernel import current_session\ns = current_session()\n"
"""Code of a worker that works with its session."""


def ok(kernel: Kernel, code: str, **options: object) -> str:
    """The result of a cell that has to end well, else what it printed."""
    ran = kernel.run(code, **options)  # type: ignore[arg-type]
    assert ran.status == "ok", ran.error or ran.stderr
    return ran.result or ran.stdout


def with_session(kernel: Kernel) -> Kernel:
    """A kernel whose cells can ask for `current_session()`."""
    ok(kernel, "from flow_kernel import current_session")
    return kernel


def there(kernel: Kernel, code: str, **options: object) -> str:
    """What `code` comes to in a worker that has the session as `s`."""
    return ok(kernel, f"%%isolated\n{IMPORT}{code}", **options)


def kinds(ran: Ran) -> list[str]:
    """What came, in its order: a stream by its name, in however many pieces."""
    each = [m["content"].get("name") or m["msg_type"] for m in ran.messages]
    return [kind for kind, _ in groupby(each)]


def is_gone(pid: int) -> bool:
    """True once a process has ended, ten seconds from now at the latest."""
    deadline = time.monotonic() + 10
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
