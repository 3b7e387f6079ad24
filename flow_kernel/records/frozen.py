"""The builtins as they were when flow_kernel was imported.

Called by every module that runs inside a user's cell.

A cell may replace `builtins.len` or `builtins.isinstance`. Functions look builtins up through the
`__builtins__` of their module's globals, so a module on the cell path binds its own copy before it
defines any function:

    globals()["__builtins__"] = FROZEN_BUILTINS

Source: CPython `PyFunction_New`, which takes `func.__builtins__` from the globals.
"""

import builtins
from typing import Final

FROZEN_BUILTINS: Final[dict[str, object]] = vars(builtins).copy()
