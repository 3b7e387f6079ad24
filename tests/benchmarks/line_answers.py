"""Requests and answers over lines of JSON, for processes that a benchmark asks.

Called by `checkpoint_tool` and `peers/pool_tool.py`. Only the standard library is imported here:
what calls it has an environment of its own.
"""

import json
import os
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(begin: Callable[[], Answer]) -> None:
    """Answer requests until stdin ends; what others print goes nowhere, and they can read nothing.

    `sys.stdin` itself is not waited for: whoever reads it holds its lock, and a process that is
    forked meanwhile by another thread wants that lock to close it.

    Args:
        begin: Makes what answers, once nothing can be printed any more.
    """
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    answer = begin()
    for line in requests:
        try:
            found = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the one who asked decides what to do
            found = {"error": f"{type(error).__name__}: {error}"[:2000]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()
