"""What IPython warns of at a `SystemExit` is said once: by the session, to whom the error goes.

Called by `shell.worker.app` and `shell.forked.cell`, in a worker and in a copy of a session. There
IPython would say how to leave it, and nobody sits there who could.

Source: IPython 9, `InteractiveShell.run_code`; where a later one warns in another way it is said
twice, and nothing else is lost.
"""

import sys
import warnings
from typing import Any, Final

from IPython.core import interactiveshell

_WORDS: Final = "To exit: "


def keep_quiet() -> None:
    """From now on this process does not say it."""
    module: Any = interactiveshell
    if getattr(module, "warn", None) is warnings.warn:
        module.warn = _warn


def _warn(message: Any, category: Any = None, stacklevel: int = 1, source: Any = None) -> None:
    if not (str(message).startswith(_WORDS) and isinstance(sys.exc_info()[1], SystemExit)):
        warnings.warn(message, category, stacklevel + 1, source)
